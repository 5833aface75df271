//! An environment as names and values, to say in what two of them differ.

use std::collections::BTreeMap;

use crate::finding::Environment;

impl Environment {
    /// Returns each thing that must be the same for two runs to be comparable, by its name.
    pub fn facts(&self) -> BTreeMap<String, String> {
        let Self {
            quipu_version,
            cpu_model,
            cpus,
            governor,
            kernel,
            clock_source,
            tcp_congestion_control,
            cgroup_cpu_max,
            cgroup_memory_max,
            target,
        } = self;
        let own = [
            ("quipu_version", quipu_version.clone()),
            ("cpu_model", cpu_model.clone()),
            ("cpus", cpus.to_string()),
            ("governor", governor.clone()),
            ("kernel", kernel.clone()),
            ("clock_source", clock_source.clone()),
            ("tcp_congestion_control", tcp_congestion_control.clone()),
            ("cgroup_cpu_max", cgroup_cpu_max.clone()),
            ("cgroup_memory_max", cgroup_memory_max.clone()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let target = target.iter().map(|(name, value)| (format!("target.{name}"), value.clone()));
        own.chain(target).collect()
    }
}
