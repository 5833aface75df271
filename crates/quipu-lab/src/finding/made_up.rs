//! Findings of systems that do not exist, for tests of what reads findings.

use crate::finding::{Environment, Finding, Generator, PhaseFinding, Span, VERSION};
use crate::recording::{Recording, Sample};
use crate::window::{Window, WindowSum};

/// What a second of a made-up system was.
#[derive(Debug, Clone)]
pub(crate) struct MadeUp {
    recording: Recording,
    in_flight_ns: u128,
    is_closed: bool,
}

impl MadeUp {
    /// A second in which these requests were answered, each after so long.
    pub(crate) fn answered(response_ns: impl IntoIterator<Item = u64>) -> Self {
        let mut recording = Recording::default();
        let mut in_flight_ns = 0;
        for response_ns in response_ns {
            recording.ok(Sample { response_ns, service_ns: response_ns, lag_ns: 1_000 });
            in_flight_ns += u128::from(response_ns);
        }
        recording.counts.planned = recording.counts.ok;
        recording.counts.sent = recording.counts.ok;
        Self { recording, in_flight_ns, is_closed: false }
    }

    /// The same in a closed loop.
    pub(crate) fn closed(self) -> Self {
        Self { is_closed: true, ..self }
    }

    /// So many more were planned and never sent.
    pub(crate) fn missed(mut self, count: u64) -> Self {
        self.recording.counts.planned += count;
        self.recording.counts.missed += count;
        self
    }

    /// Its finding, VALID, without promises.
    pub(crate) fn finding(self) -> Finding {
        let second = 1_000_000_000;
        let in_flight_ns = self.in_flight_ns;
        let sum = WindowSum { len_ns: second, in_flight_ns, ..WindowSum::default() };
        let window = Window::new(&sum, &self.recording);
        let span = Span { active_ns: second, is_recorded: true, ..Span::default() };
        let total = PhaseFinding::new(span, &self.recording).over(std::iter::once(&window));
        let text = serde_json::json!({
            "version": VERSION,
            "plan": {
                "name": "made up", "seed": 1, "target": "redis://there:1",
                "is_closed": self.is_closed, "arrival": "", "connections": 1, "pipeline": 1,
                "in_flight_max": 1, "timeout_ns": 1,
            },
            "environment": Environment::default(),
            "generator": Generator::default(),
            "server": null,
            "started": "2026-11-30T00:00:00Z",
            "lasted_ns": second,
            "stopped": false,
            "validity": { "verdict": "VALID", "is_generator_bound": false, "gates": [] },
            "promises": [],
            "conservation": null,
            "phases": [total.clone()],
            "total": total,
            "windows": [window],
        });
        Finding::from_json(&text.to_string()).expect("the form of a finding")
    }
}
