//! A comparison of pairs as text: what is claimed first, then what it rests on.

use stdx::units::Nanos;

use super::{Claim, Compared, Ending, Limit, PairsPlan, PairsResult, Sample, SideResult, Slice};
use crate::finding::Environment;
use crate::metric::Declared;
use quipu_stats::pair::Side;

/// Points in one line.
const POINTS_PER_LINE: usize = 12;

impl PairsPlan {
    /// Returns what the pilot found and what is planned, for whoever may want to stop it here.
    pub fn page(&self) -> String {
        let mut lines = vec!["pilot: spread of the log ratios, and what it needs".to_owned()];
        for metric in &self.metrics {
            let Declared { metric: name, margin_ratio, difference_ratio } = metric.declared;
            let needed = metric.pairs_needed.map_or("more than any".to_owned(), |n| n.to_string());
            lines.push(format!(
                "  {name:<11} s_d {:.2} %; {needed} pairs tell a change of {:.1} % from the margin of {:.1} %",
                metric.deviation * 100.0,
                difference_ratio * 100.0,
                margin_ratio * 100.0,
            ));
        }
        let limit = match self.limit {
            None => "",
            Some(Limit::Asked) => " (as asked for, fewer than are needed)",
            Some(Limit::Time) => " (all that there is time for, fewer than are needed)",
            Some(Limit::Most) => " (the most that are planned, fewer than are needed)",
        };
        let left = Nanos(self.wall_ns).approximate();
        lines.push(format!("plan: {} pairs{limit}, about {left} more", self.pairs));
        let detectable = self.metrics.iter().map(|metric| {
            format!("{} {:.1} %", metric.declared.metric, metric.detectable_ratio * 100.0)
        });
        let detectable: Vec<String> = detectable.collect();
        lines.push(format!("least change that it finds 4 times in 5: {}", detectable.join(", ")));
        lines.join("\n") + "\n"
    }
}

/// Returns one line for a slice that is over.
pub fn slice(slice: &Slice, sample: &Sample, declared: &[Declared]) -> String {
    let side = if slice.side == Side::Baseline { 'A' } else { 'B' };
    let pair = slice.pair + 1;
    let Some(values) = &sample.values else {
        let why = sample.missing.clone().unwrap_or_else(|| sample.reasons.join("; "));
        return format!("pair {pair:>3} {side}  {} says nothing: {why}", sample.verdict);
    };
    let values = declared.iter().zip(values);
    let values = values.map(|(one, value)| format!("{} {}", one.metric, one.metric.shown(*value)));
    let values: Vec<String> = values.collect();
    format!("pair {pair:>3} {side}  {:<7}  {}", sample.verdict, values.join("  "))
}

impl PairsResult {
    /// Returns the page.
    pub fn page(&self) -> String {
        let mut lines = vec![self.headline()];
        lines.extend(self.doubts().map(|doubt| format!("  {doubt}")));
        lines.push(String::new());
        lines.push(side('A', &self.baseline));
        lines.push(side('B', &self.candidate));
        for metric in &self.metrics {
            lines.push(String::new());
            lines.extend(compared(metric));
        }
        lines.join("\n") + "\n"
    }

    fn headline(&self) -> String {
        let pairs = self.pairs;
        match (self.ending, self.claim, self.further_pairs) {
            (Ending::TooManyUnusable, ..) => {
                format!("INVALID: too many slices said nothing; {pairs} pairs are whole")
            }
            (Ending::Unmeasurable, ..) => {
                let missing = self.slices.last().and_then(|part| part.missing.as_deref());
                format!("INVALID: {}; longer slices, or other metrics", missing.unwrap_or_default())
            }
            (_, Claim::Inconclusive, Some(more)) => {
                format!(
                    "B against A: inconclusive after {pairs} pairs; about {more} more would settle it"
                )
            }
            (_, Claim::Inconclusive, None) => format!(
                "B against A: inconclusive after {pairs} pairs; the difference lies too near to a margin"
            ),
            (_, claim, _) => format!("B against A: {claim}, by {pairs} pairs"),
        }
    }

    /// What a reader should know before the numbers.
    fn doubts(&self) -> impl Iterator<Item = String> {
        let stopped = (self.ending == Ending::Stopped).then(|| {
            "stopped before the plan ended: who stops because of what he sees makes more false claims"
                .to_owned()
        });
        let sides = [('A', &self.baseline), ('B', &self.candidate)];
        let unusable: Vec<String> = sides
            .iter()
            .filter(|(_, side)| side.unusable + side.suspect > 0)
            .map(|(name, side)| {
                format!(
                    "{name}: {} slices said nothing and were repeated, {} of {} that count are SUSPECT",
                    side.unusable, side.suspect, side.slices
                )
            })
            .collect();
        let environments = differences(&self.baseline.environment, &self.candidate.environment);
        let environments = environments.into_iter().map(|one| format!("A and B differ in {one}"));
        let failed: Vec<String> = sides
            .iter()
            .filter(|(_, side)| side.failed > 0)
            .map(|(name, side)| {
                let share = side.failed as f64 * 100.0 / (side.ok + side.failed) as f64;
                format!(
                    "{name}: {share:.3} % of the requests failed; latencies are those of the others"
                )
            })
            .collect();
        stopped.into_iter().chain(unusable).chain(failed).chain(environments)
    }
}

/// Returns in what two environments differ, as `what: this, that`.
pub fn differences(this: &Environment, that: &Environment) -> Vec<String> {
    let (left, right) = (this.facts(), that.facts());
    let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let absent = String::new();
    let both = names
        .into_iter()
        .map(|name| (name, left.get(name).unwrap_or(&absent), right.get(name).unwrap_or(&absent)));
    let show = |value: &str| if value.is_empty() { "nothing".to_owned() } else { value.to_owned() };
    both.filter(|(_, left, right)| left != right)
        .map(|(name, left, right)| format!("{name}: {}, {}", show(left), show(right)))
        .collect()
}

fn side(name: char, side: &SideResult) -> String {
    format!("{name}  {} -> {}, {} slices", side.name, side.target, side.slices)
}

fn compared(found: &Compared) -> Vec<String> {
    let metric = found.declared.metric;
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    let interval = found.interval.map_or("no interval: too few pairs".to_owned(), |(low, high)| {
        format!("{:+.2} % to {:+.2} %", percent(low), percent(high))
    });
    let mut lines = vec![
        format!(
            "{metric}: {}   A {}  B {}  B/A {:+.2} % ({interval}), margin {:.1} %",
            found.claim,
            metric.shown(found.baseline_median),
            metric.shown(found.candidate_median),
            percent(found.ratio),
            found.declared.margin_ratio * 100.0,
        ),
        format!(
            "  no difference p {:.4} (Wilcoxon), claim p {:.4}, with Holm {:.4}; s_d {:.2} %, finds {:.2} %",
            found.p_no_difference,
            found.p_claim,
            found.p_adjusted,
            found.deviation * 100.0,
            found.detectable_ratio * 100.0,
        ),
    ];
    let points: Vec<String> = found
        .baseline
        .iter()
        .zip(&found.candidate)
        .map(|(baseline, candidate)| format!("{:+.2}", percent(candidate / baseline)))
        .collect();
    for (row, points) in points.chunks(POINTS_PER_LINE).enumerate() {
        let label = if row == 0 { "B/A in % by pair:" } else { "" };
        lines.push(format!("  {label:<17} {}", points.join(" ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::differences;
    use crate::finding::Environment;

    #[test]
    fn what_differs_between_two_places_is_named() {
        let one = Environment { cpus: 2, kernel: "6.1".to_owned(), ..Environment::default() };
        let mut two = Environment { cpus: 4, ..one.clone() };
        two.target.insert("redis_version".to_owned(), "7".to_owned());
        assert_eq!(differences(&one, &one), Vec::<String>::new());
        assert_eq!(differences(&one, &two), ["cpus: 2, 4", "target.redis_version: nothing, 7"]);
    }
}
