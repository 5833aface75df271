//! Gathers what threads hand over: windows in their order, and what was noted of each phase.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use quipu_lab::recording::Recording;
use quipu_lab::window::{Series, Window, WindowSum};

use crate::notes::{Handover, Part};

/// What was gathered of a run.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) phases: Vec<Recording>,
    pub(crate) windows: Vec<Window>,
}

/// A window that not all threads have handed over.
#[derive(Debug, Default)]
struct Pending {
    sum: WindowSum,
    recording: Recording,
}

/// Gathers what threads hand over.
#[derive(Debug)]
pub(crate) struct Collector {
    handovers: Receiver<Handover>,
    /// Gives memory back to each thread.
    emptied: Vec<SyncSender<Part>>,
    /// Until when each thread has handed over.
    until_ns: Vec<u64>,
    pending: BTreeMap<u64, Pending>,
    window_ns: Vec<u64>,
    phases: Vec<Recording>,
    series: Series,
    spare: Vec<Recording>,
}

impl Collector {
    /// Makes a collector from these channels for phases whose windows have at least these lengths.
    pub(crate) fn new(
        window_ns: Vec<u64>,
        handovers: Receiver<Handover>,
        emptied: Vec<SyncSender<Part>>,
    ) -> Self {
        Self {
            handovers,
            until_ns: vec![0; emptied.len()],
            emptied,
            pending: BTreeMap::new(),
            phases: window_ns.iter().map(|_| Recording::default()).collect(),
            window_ns,
            series: Series::default(),
            spare: Vec::new(),
        }
    }

    /// Gathers until all threads have handed over their last, and tells of each window.
    pub(crate) fn run(mut self, tell: &mut dyn FnMut(&Window)) -> Gathered {
        while let Ok(handover) = self.handovers.recv() {
            self.take(handover);
            while let Some(pending) = self.next_complete() {
                let window = Window::new(&pending.sum, &pending.recording);
                tell(&window);
                let least_ns = self.window_ns.get(usize::from(window.phase)).copied().unwrap_or(0);
                self.series.push(window, least_ns);
                self.spare.push(pending.recording);
            }
        }
        Gathered { phases: self.phases, windows: self.series.finish() }
    }

    /// Takes the earliest window if all threads have handed it over.
    fn next_complete(&mut self) -> Option<Pending> {
        let until_ns = self.until_ns.iter().copied().min()?;
        let first = self.pending.first_entry()?;
        let sum = &first.get().sum;
        (sum.start_ns + sum.len_ns <= until_ns).then(|| first.remove())
    }

    fn take(&mut self, handover: Handover) {
        let sum = handover.sum;
        let thread = handover.thread as usize;
        if let Some(until_ns) = self.until_ns.get_mut(thread) {
            *until_ns = if handover.is_last { u64::MAX } else { sum.start_ns + sum.len_ns };
        }
        let pending = self.pending.entry(sum.start_ns).or_insert_with(|| {
            let mut recording = self.spare.pop().unwrap_or_default();
            recording.reset();
            Pending { sum: WindowSum { phase: sum.phase, ..WindowSum::default() }, recording }
        });
        pending.sum.start_ns = sum.start_ns;
        pending.sum.len_ns = pending.sum.len_ns.max(sum.len_ns);
        pending.sum.in_flight_ns += sum.in_flight_ns;
        pending.sum.backlog_max += sum.backlog_max;
        for part in handover.parts {
            pending.recording.merge(&part.recording);
            if let Some(phase) = self.phases.get_mut(usize::from(part.phase)) {
                phase.merge(&part.recording);
            }
            give_back(self.emptied.get(thread), part);
        }
    }
}

/// Empties a part and gives it back to its thread.
fn give_back(emptied: Option<&SyncSender<Part>>, mut part: Part) {
    part.recording.reset();
    if let Some(emptied) = emptied {
        // A thread that has ended or has enough needs no more.
        match emptied.try_send(part) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}
