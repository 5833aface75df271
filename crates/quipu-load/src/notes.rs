//! What one thread notes, in windows that it hands over when they end.
//!
//! The memory goes round: what was handed over comes back empty. A collector that is behind makes a
//! window longer, never the loop wait.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use quipu_lab::failure::Failure;
use quipu_lab::recording::{Recording, Sample};
use quipu_lab::slot::Slot;
use quipu_lab::window::{WINDOW_NS, WindowSum};

use crate::connection::Landing;
use crate::ledger::Ledger;

/// What was noted of one phase in one window.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) phase: u16,
    pub(crate) recording: Recording,
}

/// What one thread noted in one window.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) thread: u32,
    pub(crate) sum: WindowSum,
    pub(crate) parts: Vec<Part>,
    /// It was the thread's last.
    pub(crate) is_last: bool,
}

/// The ends of the channels of one thread.
#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) to_collector: SyncSender<Handover>,
    pub(crate) emptied: Receiver<Part>,
}

/// What one thread notes.
#[derive(Debug)]
pub(crate) struct Notes {
    thread: u32,
    channels: Channels,
    /// When phases end, in order.
    phase_ends_ns: Vec<(u16, u64)>,
    sum: WindowSum,
    parts: Vec<Part>,
    end_ns: u64,
    in_flight: u64,
    in_flight_since_ns: u64,
    ledger: Option<Ledger>,
}

impl Notes {
    /// Makes the notes of thread `thread`, which knows when the phases end.
    pub(crate) fn new(
        thread: u32,
        phase_ends_ns: Vec<(u16, u64)>,
        channels: Channels,
        ledger: Option<Ledger>,
    ) -> Self {
        let mut notes = Self {
            thread,
            channels,
            phase_ends_ns,
            sum: WindowSum::default(),
            parts: Vec::new(),
            end_ns: 0,
            in_flight: 0,
            in_flight_since_ns: 0,
            ledger,
        };
        notes.begin(0);
        notes
    }

    /// When the window ends.
    pub(crate) fn window_end_ns(&self) -> u64 {
        self.end_ns
    }

    /// Notes that a slot was given up.
    pub(crate) fn missed(&mut self, slot: &Slot) {
        let counts = &mut self.part(slot.phase).counts;
        counts.planned += 1;
        counts.missed += 1;
    }

    /// Notes that a request was tried and is under way.
    pub(crate) fn sent(&mut self, slot: &Slot, now_ns: u64) {
        self.integrate(now_ns);
        self.in_flight += 1;
        if let Some(ledger) = &mut self.ledger {
            ledger.sent(slot);
        }
        self.tried(slot);
    }

    /// Notes that a request was tried and got no connection.
    pub(crate) fn unconnected(&mut self, slot: &Slot, failure: Failure, now_ns: u64) {
        if let Some(ledger) = &mut self.ledger {
            ledger.unwritten();
        }
        self.tried(slot);
        let response_ns = now_ns - slot.due_ns.min(now_ns);
        let sample = Sample { response_ns, service_ns: 0, lag_ns: response_ns };
        self.part(slot.phase).failed(failure, sample);
    }

    fn tried(&mut self, slot: &Slot) {
        let counts = &mut self.part(slot.phase).counts;
        counts.planned += 1;
        counts.sent += 1;
    }

    /// Notes the end of a request that was under way.
    pub(crate) fn ended(&mut self, landing: &Landing, now_ns: u64) {
        self.integrate(now_ns);
        self.in_flight -= 1;
        if let Some(ledger) = &mut self.ledger {
            ledger.ended(landing);
        }
        let (slot, sent_ns) = (landing.flight.slot, landing.flight.sent_ns);
        let sample = Sample {
            response_ns: now_ns.saturating_sub(slot.due_ns),
            service_ns: now_ns.saturating_sub(sent_ns),
            lag_ns: sent_ns.saturating_sub(slot.due_ns),
        };
        let recording = self.part(slot.phase);
        match landing.outcome {
            Ok(()) => recording.ok(sample),
            Err(failure) => recording.failed(failure, sample),
        }
    }

    /// How many requests are under way.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    fn integrate(&mut self, now_ns: u64) {
        let ns = now_ns.saturating_sub(self.in_flight_since_ns);
        self.sum.in_flight_ns += u128::from(ns) * u128::from(self.in_flight);
        self.in_flight_since_ns = self.in_flight_since_ns.max(now_ns);
    }

    fn part(&mut self, phase: u16) -> &mut Recording {
        let place = self.parts.iter().position(|part| part.phase == phase).unwrap_or_else(|| {
            let empty = self.channels.emptied.try_recv().unwrap_or_default();
            self.parts.push(Part { phase, ..empty });
            self.parts.len() - 1
        });
        &mut self.parts.get_mut(place).expect("the place was found or made").recording
    }

    /// Ends windows that are over at `now_ns`, when `backlog` slots are due and not sent.
    pub(crate) fn roll(&mut self, now_ns: u64, backlog: u64) {
        self.sum.backlog_max = self.sum.backlog_max.max(backlog);
        while self.end_ns <= now_ns {
            let end_ns = self.end_ns;
            if !self.hand_over(end_ns, false) {
                self.end_ns += WINDOW_NS;
                return;
            }
            self.begin(end_ns);
            self.sum.backlog_max = backlog;
        }
    }

    /// Ends the last window and returns the ledger, if one was kept.
    pub(crate) fn finish(mut self, now_ns: u64) -> Option<Ledger> {
        let end_ns = now_ns.max(self.sum.start_ns + 1);
        // At the end of all there is time to wait.
        let handover = self.handover(end_ns, true);
        // A collector that is gone wants nothing more.
        drop(self.channels.to_collector.send(handover));
        self.ledger
    }

    fn hand_over(&mut self, end_ns: u64, is_last: bool) -> bool {
        let handover = self.handover(end_ns, is_last);
        match self.channels.to_collector.try_send(handover) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => true,
            Err(TrySendError::Full(handover)) => {
                self.sum = handover.sum;
                self.parts = handover.parts;
                false
            }
        }
    }

    fn handover(&mut self, end_ns: u64, is_last: bool) -> Handover {
        self.integrate(end_ns);
        self.sum.len_ns = end_ns - self.sum.start_ns;
        let sum = std::mem::take(&mut self.sum);
        Handover { thread: self.thread, sum, parts: std::mem::take(&mut self.parts), is_last }
    }

    /// Begins a window: a second from the grid, cut where a phase ends.
    fn begin(&mut self, start_ns: u64) {
        let later = self.phase_ends_ns.iter().find(|(_, end_ns)| *end_ns > start_ns);
        let last = self.phase_ends_ns.last();
        let phase = later.or(last).map_or(0, |(phase, _)| *phase);
        self.sum = WindowSum { phase, start_ns, ..WindowSum::default() };
        let grid_ns = (start_ns / WINDOW_NS + 1) * WINDOW_NS;
        self.end_ns = later.map_or(grid_ns, |(_, end_ns)| grid_ns.min(*end_ns));
    }
}
