//! Rank tests against scipy 1.16.3, and properties.

use proptest::prelude::*;

use super::{Method, RankTest, rank_sum, ranks, signed_rank};

fn check(found: Option<RankTest>, method: Method, expected: (f64, f64, f64)) {
    let found = found.unwrap();
    let (statistic, p_less, p_greater) = expected;
    assert_eq!(found.method, method);
    assert!((found.statistic - statistic).abs() < 1e-9, "{found:?}");
    assert!((found.p_less - p_less).abs() < 1e-9, "{found:?}, not {p_less}");
    assert!((found.p_greater - p_greater).abs() < 1e-9, "{found:?}, not {p_greater}");
}

#[test]
fn equal_values_share_their_ranks() {
    assert_eq!(ranks(&[3.0, 1.0, 3.0, -0.0, 0.0]), Some(vec![4.5, 3.0, 4.5, 1.5, 1.5]));
    assert_eq!(ranks(&[1.0, f64::NAN]), None);
}

#[test]
fn the_depression_scale_of_hollander_and_wolfe_has_its_known_p_value() {
    let first = [1_830, 500, 1_620, 2_480, 1_680, 1_880, 1_550, 3_060, 1_300];
    let second = [878, 647, 598, 2_050, 1_060, 1_290, 1_060, 3_140, 1_290];
    let difference = |(a, b): (i32, i32)| f64::from(a - b) / 1_000.0;
    let differences: Vec<f64> = first.into_iter().zip(second).map(difference).collect();
    // The example of R's wilcox.test: V = 40, p = 0.01953 for "greater".
    check(signed_rank(&differences), Method::Exact, (40.0, 505.0 / 512.0, 10.0 / 512.0));
    let two_sided = signed_rank(&differences).unwrap().p_value();
    assert!((two_sided - 0.039_062_5).abs() < 1e-12);
}

#[test]
fn ties_and_zeros_keep_exact_chances() {
    // wilcoxon(d, zero_method="pratt", method=PermutationMethod(10**7)), all sign arrangements
    let both = [1.0, 1.0, 2.0, -2.0, 3.0, 0.0, 0.0, 4.0, -1.0, 5.0];
    check(signed_rank(&both), Method::Exact, (41.5, 0.953_125, 0.070_312_5));
    let ties = [0.5, -0.5, 0.5, 1.0, 1.0, -2.0, 3.0];
    check(signed_rank(&ties), Method::Exact, (20.0, 0.859_375, 0.164_062_5));
    let zeros = [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0];
    check(signed_rank(&zeros), Method::Exact, (22.0, 1.0, 0.062_5));
    let found = signed_rank(&both).unwrap();
    assert_eq!((found.zeros, found.tied), (2, 7));
}

#[test]
fn many_differences_get_the_normal_approximation() {
    let quarter = |i: i32| (f64::from(i * 37 % 61 - 24) / 4.0).round_ties_even();
    let differences: Vec<f64> = (1..=60).map(quarter).collect();
    // wilcoxon(d, zero_method="pratt", correction=True, method="asymptotic")
    let expected = (1_255.5, 0.994_929_377_878_243_4, 0.005_179_666_016_086_826);
    check(signed_rank(&differences), Method::Normal, expected);
}

#[test]
fn two_sides_get_exact_chances_with_and_without_ties() {
    // The example of R's wilcox.test (permeability of membranes); mannwhitneyu(method="exact")
    let first = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
    let second = [1.15, 0.88, 0.90, 0.74, 1.21];
    let expected = (35.0, 0.896_769_896_769_896_8, 0.127_206_127_206_127_2);
    check(rank_sum(&first, &second), Method::Exact, expected);
    // mannwhitneyu(method=PermutationMethod(10**6)), all subsets
    let (few, ties) = ([1.0, 2.0, 2.0, 3.0, 5.0], [2.0, 4.0, 4.0, 6.0]);
    let expected = (5.0, 0.134_920_634_920_634_9, 0.912_698_412_698_412_7);
    check(rank_sum(&few, &ties), Method::Exact, expected);
}

#[test]
fn two_large_sides_get_the_normal_approximation() {
    let first: Vec<f64> = (1..=40).map(|i| f64::from(i * 17 % 41 / 2)).collect();
    let second: Vec<f64> = (1..=35).map(|i| f64::from(i * 13 % 37 / 2 + 3)).collect();
    // mannwhitneyu(method="asymptotic", use_continuity=True)
    let expected = (569.0, 0.082_642_487_743_885_1, 0.918_965_483_764_912_4);
    check(rank_sum(&first, &second), Method::Normal, expected);
}

#[test]
fn nothing_is_said_of_no_values_and_nothing_found_in_zeros() {
    assert_eq!(signed_rank(&[]), None);
    assert_eq!(signed_rank(&[f64::INFINITY]), None);
    assert_eq!(rank_sum(&[], &[1.0]), None);
    assert!((signed_rank(&[0.0; 7]).unwrap().p_value() - 1.0).abs() < 1e-12);
    assert!((signed_rank(&[0.0; 70]).unwrap().p_value() - 1.0).abs() < 1e-12);
    assert!((rank_sum(&[1.0; 40], &[1.0; 40]).unwrap().p_value() - 1.0).abs() < 1e-12);
}

fn values(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-40..40_i32).prop_map(f64::from), length)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn turning_all_signs_swaps_the_tails(differences in values(1..70)) {
        let turned: Vec<f64> = differences.iter().map(|value| -value).collect();
        let (one, other) = (signed_rank(&differences).unwrap(), signed_rank(&turned).unwrap());
        prop_assert!((one.p_less - other.p_greater).abs() < 1e-9);
        prop_assert!((one.p_greater - other.p_less).abs() < 1e-9);
    }

    #[test]
    fn swapping_the_sides_swaps_the_tails(first in values(1..30), second in values(1..30)) {
        let one = rank_sum(&first, &second).unwrap();
        let other = rank_sum(&second, &first).unwrap();
        prop_assert!((one.p_less - other.p_greater).abs() < 1e-9);
        let pairs = (first.len() * second.len()) as f64;
        prop_assert!((one.statistic + other.statistic - pairs).abs() < 1e-9);
    }

    #[test]
    fn both_tails_cover_everything(differences in values(1..30)) {
        let found = signed_rank(&differences).unwrap();
        prop_assert!(found.p_less + found.p_greater >= 1.0 - 1e-9);
    }
}
