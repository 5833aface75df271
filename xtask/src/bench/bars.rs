//! What has to be reached: the bars as data, and the verdict on each.

use serde_json::{Value, json};

use crate::bench::statistics::Spread;

/// The sides of the throughput rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Redis that keeps nothing.
    RedisVolatile,
    /// Redis with `appendfsync always`.
    RedisAlways,
    /// Quipu with `ack=fsync`.
    QuipuDurable,
    /// Quipu with `ack=memory`.
    QuipuMemory,
    /// Quipu with `ack=fsync`, one hot key.
    QuipuHot,
}

impl Side {
    /// Every side, in the order of a round: those compared with each other stand side by side.
    pub(crate) const ALL: [Self; 5] = [
        Self::QuipuMemory,
        Self::RedisVolatile,
        Self::QuipuDurable,
        Self::RedisAlways,
        Self::QuipuHot,
    ];

    /// The name in tables and raw results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RedisVolatile => "redis without persistence",
            Self::RedisAlways => "redis appendfsync always",
            Self::QuipuDurable => "quipu ack=fsync",
            Self::QuipuMemory => "quipu ack=memory",
            Self::QuipuHot => "quipu ack=fsync, one hot key",
        }
    }
}

/// The depths of redis-benchmark's pipeline.
pub(crate) const PIPELINES: [u32; 3] = [1, 16, 64];

/// Which measure of a cell a bar compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Requests per second; more is better.
    Throughput,
    /// Server CPU per request; less is better.
    Cpu,
}

/// One comparison at each pipeline depth.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) ours: Side,
    pub(crate) theirs: Side,
    pub(crate) measure: Measure,
    /// What closes the issue, per depth.
    pub(crate) close: [f64; 3],
    /// What is aimed at, per depth.
    pub(crate) aim: [f64; 3],
}

/// The bars of the issue "a node that counts".
pub(crate) const BARS: [Bar; 4] = [
    Bar {
        ours: Side::QuipuDurable,
        theirs: Side::RedisVolatile,
        measure: Measure::Throughput,
        close: [0.8, 0.8, 1.1],
        aim: [1.0, 1.0, 1.5],
    },
    Bar {
        ours: Side::QuipuDurable,
        theirs: Side::RedisAlways,
        measure: Measure::Throughput,
        close: [1.1, 1.5, 2.0],
        aim: [1.3, 1.9, 2.7],
    },
    Bar {
        ours: Side::QuipuMemory,
        theirs: Side::RedisVolatile,
        measure: Measure::Cpu,
        close: [1.0, 0.75, 0.6],
        aim: [0.9, 0.65, 0.45],
    },
    Bar {
        ours: Side::QuipuHot,
        theirs: Side::QuipuDurable,
        measure: Measure::Throughput,
        close: [0.95; 3],
        aim: [1.0; 3],
    },
];

/// The bar of the reader's p99 against Redis `always`, with slow syncs: to close, and the aim.
pub(crate) const READER_BAR: (f64, f64) = (0.2, 0.05);

/// What a measured ratio is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Aim,
    Close,
    Missed,
}

impl Verdict {
    /// Judges a ratio where more is better.
    pub(crate) fn at_least(ratio: f64, close: f64, aim: f64) -> Self {
        match ratio {
            ratio if ratio >= aim => Self::Aim,
            ratio if ratio >= close => Self::Close,
            _ => Self::Missed,
        }
    }

    /// Judges a ratio where less is better. What is not a number is missed.
    pub(crate) fn at_most(ratio: f64, close: f64, aim: f64) -> Self {
        match ratio {
            ratio if ratio <= aim => Self::Aim,
            ratio if ratio <= close => Self::Close,
            _ => Self::Missed,
        }
    }

    /// The word in the table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Aim => "aim reached",
            Self::Close => "closes",
            Self::Missed => "MISSED",
        }
    }
}

/// One line of the table of ratios.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) ratio: Spread,
    pub(crate) close: f64,
    pub(crate) aim: f64,
    pub(crate) less_is_better: bool,
}

impl Line {
    /// The verdict on the median.
    pub(crate) fn verdict(&self) -> Verdict {
        let Spread { median, .. } = self.ratio;
        if self.less_is_better {
            return Verdict::at_most(median, self.close, self.aim);
        }
        Verdict::at_least(median, self.close, self.aim)
    }

    /// The line as JSON, with the names of its fields.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "what": self.what,
            "ratio": self.ratio.to_json(),
            "to_close": self.close,
            "aim": self.aim,
            "less_is_better": self.less_is_better,
            "verdict": self.verdict().word(),
        })
    }

    /// The line as a row of a Markdown table.
    pub(crate) fn row(&self) -> String {
        let Self { what, ratio, close, aim, .. } = self;
        let sign = if self.less_is_better { "<=" } else { ">=" };
        let verdict = self.verdict().word();
        let Spread { median, least, most } = ratio;
        format!(
            "| {what} | {median:.3}x | {least:.3} to {most:.3} | {sign} {close}x | {sign} {aim}x \
             | {verdict} |"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(median: f64, less_is_better: bool) -> Line {
        let ratio = Spread { median, least: 0.0, most: 9.0 };
        let (close, aim) = if less_is_better { (1.0, 0.9) } else { (0.8, 1.0) };
        Line { what: "a".to_owned(), ratio, close, aim, less_is_better }
    }

    #[test]
    fn a_missed_bar_is_called_missed() {
        let check = |median, less, expected| assert_eq!(line(median, less).verdict(), expected);
        check(1.0, false, Verdict::Aim);
        check(0.8, false, Verdict::Close);
        check(0.79, false, Verdict::Missed);
        check(f64::NAN, false, Verdict::Missed);
        check(0.9, true, Verdict::Aim);
        check(1.0, true, Verdict::Close);
        check(1.01, true, Verdict::Missed);
        check(f64::NAN, true, Verdict::Missed);
    }

    #[test]
    fn a_row_shows_the_ratio_its_range_and_both_bars() {
        let expected = "| a | 0.790x | 0.000 to 9.000 | >= 0.8x | >= 1x | MISSED |";
        assert_eq!(line(0.79, false).row(), expected);
    }

    #[test]
    fn the_aim_of_every_bar_is_beyond_what_closes_it() {
        for bar in &BARS {
            let pairs = bar.close.iter().zip(bar.aim);
            let is_beyond = |(close, aim): (&f64, f64)| match bar.measure {
                Measure::Throughput => aim > *close,
                Measure::Cpu => aim < *close,
            };
            assert!(pairs.into_iter().all(is_beyond), "{bar:?}");
        }
    }
}
