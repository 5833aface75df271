//! Tests that look at the order of values only, so that no shape of the noise is assumed.
//!
//! Equal values share the mean of their ranks. Small samples get the exact distribution of the
//! statistic given those ranks (Streitberg and Roehmel, "Exact distributions for permutation and
//! rank tests", 1986), so ties and zeros keep the stated level; large ones the normal
//! approximation with the variance of those ranks and a continuity correction.

use crate::{normal, spread};

/// Values up to which the null distribution is enumerated: as R does it, within a few milliseconds.
const EXACT_MAX: usize = 50;

/// How the p values came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// From every arrangement of signs or sides.
    Exact,
    /// From the normal distribution.
    Normal,
}

/// What a rank test found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankTest {
    /// Wilcoxon's sum of the ranks of positive differences, or Mann-Whitney's U of the first side.
    pub statistic: f64,
    /// Chance of a statistic as small as this if there were no difference.
    pub p_less: f64,
    /// Chance of a statistic as great as this if there were no difference.
    pub p_greater: f64,
    /// How the chances were computed.
    pub method: Method,
    /// Differences that are exactly zero; always 0 for two independent sides.
    pub zeros: usize,
    /// Values that share their rank with another.
    pub tied: usize,
}

impl RankTest {
    /// The two-sided p value: twice the smaller one, at most 1.
    pub fn p_value(&self) -> f64 {
        (2.0 * self.p_less.min(self.p_greater)).min(1.0)
    }
}

/// Wilcoxon's signed-rank test: are paired differences symmetric around zero?
///
/// Zeros are ranked with the others and then left out (Pratt, 1959): they are evidence for no
/// difference, and dropping them first would hide it. Nothing of no differences, or of one that
/// is not finite. Cost: the cube of up to 50 differences, beyond that a sort.
pub fn signed_rank(differences: &[f64]) -> Option<RankTest> {
    if differences.is_empty() {
        return None;
    }
    let distances: Vec<f64> = differences.iter().map(|value| value.abs()).collect();
    let ranks = ranks(&distances)?;
    let tied = tied(&ranks);
    let signed: Vec<(f64, f64)> =
        differences.iter().copied().zip(ranks).filter(|(value, _)| *value != 0.0).collect();
    let statistic = signed.iter().filter(|(value, _)| *value > 0.0).map(|(_, rank)| rank).sum();
    let kept: Vec<f64> = signed.iter().map(|(_, rank)| *rank).collect();
    let method = if kept.len() <= EXACT_MAX { Method::Exact } else { Method::Normal };
    let (p_less, p_greater) = match method {
        Method::Exact => tails(&sums_of_signs(&kept), 2.0 * statistic),
        Method::Normal => signed_normal(&kept, statistic),
    };
    let zeros = differences.len() - kept.len();
    Some(RankTest { statistic, p_less, p_greater, method, zeros, tied })
}

/// Mann and Whitney's U test: do values of one side tend to be greater than those of the other?
///
/// `statistic` is the number of pairs in which `first` is greater, ties counting half. Nothing if
/// a side is empty or a value is not finite. Cost: about 3 million steps at 50 values in all,
/// beyond that a sort.
pub fn rank_sum(first: &[f64], second: &[f64]) -> Option<RankTest> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let both = [first, second].concat();
    let ranks = ranks(&both)?;
    let sum: f64 = ranks.iter().take(first.len()).sum();
    let least = (first.len() * (first.len() + 1)) as f64 / 2.0;
    let method = if both.len() <= EXACT_MAX { Method::Exact } else { Method::Normal };
    let (p_less, p_greater) = match method {
        Method::Exact => tails(&sums_of_subsets(&ranks, first.len()), 2.0 * sum),
        Method::Normal => sum_normal(&ranks, first.len(), sum),
    };
    let statistic = sum - least;
    Some(RankTest { statistic, p_less, p_greater, method, zeros: 0, tied: tied(&ranks) })
}

/// The rank of each value from 1, equal values sharing the mean of theirs; nothing if one is not
/// finite. Twice a rank is a whole number.
pub fn ranks(values: &[f64]) -> Option<Vec<f64>> {
    if !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    // Adding zero turns -0.0, which sorts before 0.0, into its equal.
    let mut order: Vec<(usize, f64)> = values.iter().map(|value| value + 0.0).enumerate().collect();
    order.sort_by(|left, right| left.1.total_cmp(&right.1));
    let mut ranked: Vec<(usize, f64)> = Vec::with_capacity(values.len());
    for group in order.chunk_by(|left, right| left.1.total_cmp(&right.1).is_eq()) {
        let before = ranked.len();
        let rank = before as f64 + (group.len() + 1) as f64 / 2.0;
        ranked.extend(group.iter().map(|(index, _)| (*index, rank)));
    }
    ranked.sort_unstable_by_key(|(index, _)| *index);
    Some(ranked.into_iter().map(|(_, rank)| rank).collect())
}

/// How many of the ranks are shared.
fn tied(ranks: &[f64]) -> usize {
    let mut sorted = ranks.to_vec();
    sorted.sort_by(f64::total_cmp);
    let groups = sorted.chunk_by(|left, right| left.total_cmp(right).is_eq());
    groups.map(<[f64]>::len).filter(|length| *length > 1).sum()
}

/// Chances of each doubled sum of positive ranks when every sign is a fair coin.
pub(crate) fn sums_of_signs(ranks: &[f64]) -> Vec<f64> {
    let mut chances = vec![1.0];
    for rank in ranks {
        let doubled = (2.0 * rank) as usize;
        let mut next = vec![0.0; chances.len() + doubled];
        for (sum, chance) in chances.iter().enumerate() {
            next[sum] += chance / 2.0;
            next[sum + doubled] += chance / 2.0;
        }
        chances = next;
    }
    chances
}

/// Chances of each doubled sum of `size` ranks drawn without return.
fn sums_of_subsets(ranks: &[f64], size: usize) -> Vec<f64> {
    let total = ranks.iter().map(|rank| (2.0 * rank) as usize).sum::<usize>();
    // The smaller side is enumerated; the other one has the rest of the sum.
    let (few, is_mirrored) =
        if size * 2 <= ranks.len() { (size, false) } else { (ranks.len() - size, true) };
    let mut counts = vec![vec![0.0_f64; total + 1]; few + 1];
    counts[0][0] = 1.0;
    for rank in ranks {
        take_one(&mut counts, (2.0 * rank) as usize);
    }
    let mut last = counts.pop().unwrap_or_default();
    if is_mirrored {
        last.reverse();
    }
    let all: f64 = last.iter().sum();
    last.into_iter().map(|count| count / all).collect()
}

/// Lets every subset also take one more rank.
fn take_one(counts: &mut [Vec<f64>], doubled: usize) {
    for size in (1..counts.len()).rev() {
        let (smaller, greater) = counts.split_at_mut(size);
        let (from, to) = (&smaller[size - 1], &mut greater[0]);
        for (target, count) in to.iter_mut().skip(doubled).zip(from) {
            *target += count;
        }
    }
}

/// The chances of at most and of at least this doubled sum.
fn tails(chances: &[f64], doubled: f64) -> (f64, f64) {
    let at = doubled as usize;
    let less: f64 = chances.iter().take(at + 1).sum();
    let greater: f64 = chances.iter().skip(at).sum();
    (less.min(1.0), greater.min(1.0))
}

fn signed_normal(ranks: &[f64], statistic: f64) -> (f64, f64) {
    let mean = ranks.iter().sum::<f64>() / 2.0;
    let variance = ranks.iter().map(|rank| rank * rank).sum::<f64>() / 4.0;
    normal_tails(statistic - mean, variance)
}

fn sum_normal(ranks: &[f64], first: usize, sum: f64) -> (f64, f64) {
    let all = ranks.len() as f64;
    let (first, second) = (first as f64, all - first as f64);
    let mean = first * (all + 1.0) / 2.0;
    let variance = first * second / (all * (all - 1.0)) * spread::squares(ranks);
    normal_tails(sum - mean, variance)
}

/// Half a rank of continuity correction on either side.
fn normal_tails(distance: f64, variance: f64) -> (f64, f64) {
    if variance <= 0.0 {
        return (1.0, 1.0);
    }
    let deviation = variance.sqrt();
    (normal::cdf((distance + 0.5) / deviation), normal::cdf((0.5 - distance) / deviation))
}

#[cfg(test)]
mod tests;
