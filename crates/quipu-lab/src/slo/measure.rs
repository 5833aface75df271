//! What a promise may speak of.

use std::fmt;

use crate::slo::amount::Dimension;

/// Something that a run measures.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// A latency of the answers that were as expected.
    Latency(Latency, Statistic),
    /// Requests that failed: how many, or which share of those that came to an end.
    Errors,
    /// Slots that were never sent: how many, or which share of the planned ones.
    Missed,
    /// Slots that were planned.
    Planned,
    /// Slots that were sent: how many, or which share of the planned ones.
    Sent,
    /// Requests that were answered as expected.
    Succeeded,
    /// Requests sent per second, or as a share of the planned rate.
    Rate,
    /// Requests per second that were answered as expected, or as a share of the planned rate.
    Goodput,
    /// The most slots that were due and not sent.
    BacklogPeak,
    /// How fast the backlog shrank after its peak.
    DrainRate,
    /// From the end of a burst until latency was back near its baseline.
    TimeToRecover,
    /// Whether rate and latency have settled.
    Steady,
    /// Whether every increment was counted once: see [`crate::conservation`].
    Conserved,
    /// The sum of what the target said it counted.
    Acknowledged,
    /// The sum of what the target has counted.
    Counted,
    /// The sum of what the target was asked to count.
    Asked,
    /// Requests without an answer that were sent again after the plan: see [`crate::settle`].
    Retried,
    /// Requests of which nobody knows whether they were counted.
    Unsettled,
    /// What a process used.
    Resource(Resource),
    /// How much something grows with time: the slope of a line through its windows.
    Slope(Box<Measure>),
}

/// Which latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// From the moment of the plan to the answer.
    Response,
    /// From the write to the answer.
    Service,
    /// From the moment of the plan to the write.
    Lag,
}

/// Which number of many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// The value that this share of all do not exceed, such as 0.99.
    Percentile(f64),
    /// The mean.
    Mean,
    /// The greatest.
    Max,
}

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Memory of the server.
    ServerRss,
    /// Processor time of the server, as a share of one core.
    ServerCpu,
    /// Memory of the generator.
    GeneratorRss,
    /// Processor time of the generator, as a share of one core.
    GeneratorCpu,
}

/// Measures with one name.
pub(super) static NAMED: [(&str, Measure); 22] = [
    ("errors", Measure::Errors),
    ("missed", Measure::Missed),
    ("planned", Measure::Planned),
    ("sent", Measure::Sent),
    ("succeeded", Measure::Succeeded),
    ("rate", Measure::Rate),
    ("goodput", Measure::Goodput),
    ("backlog.peak", Measure::BacklogPeak),
    ("drain_rate", Measure::DrainRate),
    ("time_to_recover", Measure::TimeToRecover),
    ("steady", Measure::Steady),
    ("conserved", Measure::Conserved),
    ("acknowledged", Measure::Acknowledged),
    ("counted", Measure::Counted),
    ("asked", Measure::Asked),
    ("retried", Measure::Retried),
    ("unsettled", Measure::Unsettled),
    ("server.rss", Measure::Resource(Resource::ServerRss)),
    ("server.cpu", Measure::Resource(Resource::ServerCpu)),
    ("generator.rss", Measure::Resource(Resource::GeneratorRss)),
    ("generator.cpu", Measure::Resource(Resource::GeneratorCpu)),
    // Another word for what a person may call it.
    ("ok", Measure::Succeeded),
];

/// The names of latencies.
pub(super) const LATENCIES: [(&str, Latency); 3] =
    [("response", Latency::Response), ("service", Latency::Service), ("lag", Latency::Lag)];

impl Measure {
    /// Returns what kinds of number it can be read as, the plainest first.
    pub fn dimensions(&self) -> impl Iterator<Item = Dimension> {
        let (first, second) = match self {
            Self::Latency(..) | Self::TimeToRecover => (Dimension::Time, None),
            Self::Errors | Self::Missed | Self::Sent => (Dimension::Count, Some(Dimension::Share)),
            Self::Rate | Self::Goodput => (Dimension::Rate, Some(Dimension::Share)),
            Self::DrainRate => (Dimension::Rate, None),
            Self::Planned
            | Self::Succeeded
            | Self::BacklogPeak
            | Self::Acknowledged
            | Self::Counted
            | Self::Asked
            | Self::Retried
            | Self::Unsettled => (Dimension::Count, None),
            Self::Steady | Self::Conserved => (Dimension::Truth, None),
            Self::Resource(Resource::ServerRss | Resource::GeneratorRss) => {
                (Dimension::Bytes, None)
            }
            Self::Resource(Resource::ServerCpu | Resource::GeneratorCpu) => {
                (Dimension::Share, None)
            }
            Self::Slope(of) => {
                let own = of.dimensions().find_map(Dimension::growth);
                (own.unwrap_or(Dimension::ShareGrowth), Some(Dimension::ShareGrowth))
            }
        };
        [Some(first), second].into_iter().flatten()
    }

    /// Whether a slope of it can be asked for: it has a value in each window.
    pub(super) fn is_series(&self) -> bool {
        matches!(self, Self::Latency(..) | Self::Resource(_) | Self::Rate | Self::Goodput)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(latency, statistic) => write!(f, "{latency}.{statistic}"),
            Self::Slope(of) => write!(f, "slope({of})"),
            _ => {
                let named = NAMED.iter().find(|(_, measure)| measure == self);
                f.write_str(named.map_or("", |(name, _)| name))
            }
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = LATENCIES.iter().find(|(_, latency)| latency == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Multiplying by 100 leaves crumbs that rounding removes.
            Self::Percentile(share) => write!(f, "p{}", (share * 1e6).round() / 1e4),
            Self::Mean => f.write_str("mean"),
            Self::Max => f.write_str("max"),
        }
    }
}
