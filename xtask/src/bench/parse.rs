//! What redis-benchmark, the kernel and the servers print, as numbers: pure functions over text.

/// Returns the requests per second of the only test in redis-benchmark's `--csv` output.
pub(crate) fn requests_per_second(csv: &str) -> Option<f64> {
    column(csv, "rps")
}

/// Returns a column of the only test in redis-benchmark's `--csv` output, by its name.
pub(crate) fn column(csv: &str, wanted: &str) -> Option<f64> {
    let mut lines = csv.lines().filter(|line| line.starts_with('"'));
    let header = lines.next()?;
    let row = lines.next()?;
    let column = cells(header).position(|name| name == wanted)?;
    cells(row).nth(column)?.parse().ok()
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(|cell| cell.trim().trim_matches('"'))
}

/// Returns the ticks of CPU in `/proc/PID/stat`: own and waited-for children's, user and system.
///
/// Children count because Redis rewrites its log in one.
pub(crate) fn cpu_ticks(stat: &str) -> Option<u64> {
    // The second field is the command in parentheses, and may hold anything.
    let after_command = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_command.split_whitespace().collect();
    // utime is field 14 of the page proc(5); the first here is field 3.
    let times = fields.get(11..15)?;
    times.iter().map(|field| field.parse::<u64>().ok()).sum()
}

/// Ticks of the whole machine from the first line of `/proc/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MachineTicks {
    /// All that is not idle and not stolen.
    pub(crate) busy: u64,
    /// Taken by the host of a virtual machine.
    pub(crate) stolen: u64,
    /// Everything.
    pub(crate) total: u64,
}

/// Reads the first line of `/proc/stat`.
pub(crate) fn machine_ticks(stat: &str) -> Option<MachineTicks> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let fields: Option<Vec<u64>> =
        line.split_whitespace().skip(1).take(8).map(|field| field.parse().ok()).collect();
    let fields = fields?;
    let [user, nice, system, idle, waiting, interrupt, soft_interrupt, stolen] = fields[..] else {
        return None;
    };
    let busy = user + nice + system + interrupt + soft_interrupt;
    Some(MachineTicks { busy, stolen, total: busy + idle + waiting + stolen })
}

/// Returns the ten-second average of `/proc/pressure/cpu`, in percent of time in which some waited.
pub(crate) fn pressure_avg10(pressure: &str) -> Option<f64> {
    let line = pressure.lines().find(|line| line.starts_with("some "))?;
    let field = line.split_whitespace().find_map(|field| field.strip_prefix("avg10="))?;
    field.parse().ok()
}

/// Returns the sum of all series of a metric in Prometheus text, or None if it is not there.
pub(crate) fn metric_sum(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Returns the value of `name:value` in the text of INFO.
pub(crate) fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_the_column_that_names_it() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\"\n\
                   \"INCR\",\"103092.78\",\"0.263\",\"0.064\"\n";
        assert_eq!(requests_per_second(csv), Some(103_092.78));
        let warned = format!("WARNING: could not fetch server CONFIG\n{csv}");
        assert_eq!(requests_per_second(&warned), Some(103_092.78));
        assert_eq!(requests_per_second("Error: Connection refused"), None);
        assert_eq!(requests_per_second("\"test\",\"rps\"\n"), None);
    }

    #[test]
    fn cpu_counts_own_and_waited_for_time_whatever_the_command_is_called() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 5 0 9";
        assert_eq!(cpu_ticks(stat), Some(124));
        assert_eq!(cpu_ticks("42 (a) S 1"), None);
    }

    #[test]
    fn the_machine_is_busy_when_neither_idle_nor_stolen() {
        let stat = "cpu  10 1 5 100 4 1 2 3 0 0\ncpu0 1 1 1 1\n";
        let expected = MachineTicks { busy: 19, stolen: 3, total: 126 };
        assert_eq!(machine_ticks(stat), Some(expected));
        assert_eq!(machine_ticks("cpu  1 2\n"), None);
    }

    #[test]
    fn pressure_is_the_share_in_which_some_waited() {
        let text = "some avg10=12.34 avg60=0.36 total=1\nfull avg10=0.00 total=0\n";
        assert_eq!(pressure_avg10(text), Some(12.34));
        assert_eq!(pressure_avg10(""), None);
    }

    #[test]
    fn a_metric_is_the_sum_of_its_series_and_of_no_other() {
        let text = "# HELP quipu_folds_total 9\nquipu_folds_total 2\nquipu_folds_total_more 5\n\
                    quipu_syncs{a=\"}\"} 3\nquipu_syncs{a=\"b\"} 4 1700000000\n";
        assert_eq!(metric_sum(text, "quipu_folds_total"), Some(2.0));
        assert_eq!(metric_sum(text, "quipu_syncs"), Some(7.0));
        assert_eq!(metric_sum(text, "quipu_none"), None);
    }

    #[test]
    fn an_info_field_is_found_by_its_whole_name() {
        let info = "# Server\r\nredis_version:7.0.15\r\nversion:1\r\n";
        assert_eq!(info_field(info, "redis_version"), Some("7.0.15"));
        assert_eq!(info_field(info, "redis"), None);
    }
}
