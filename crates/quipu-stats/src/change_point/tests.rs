//! Change points against apache-otava 0.8.0 (`compute_change_points` of a list), and properties.

use proptest::prelude::*;

use super::{ChangePoint, Detection, change_points};

/// Nearly normal noise that a line of any language repeats: sums of twelve draws of Park and
/// Miller's generator, less six.
fn noise(points: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut draw = || {
        state = state * 48_271 % 2_147_483_647;
        state as f64 / 2_147_483_647.0
    };
    (0..points).map(|_| (0..12).map(|_| draw()).sum::<f64>() - 6.0).collect()
}

/// 200 values around 100, changed by a function of their index.
fn series(seed: u64, change: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let noise = noise(200, seed).into_iter().enumerate();
    noise.map(|(index, value)| change(index, 100.0 + 2.0 * value)).collect()
}

fn check(series: &[f64], detection: &Detection, expected: &[usize]) -> Vec<ChangePoint> {
    let found = change_points(series, detection).unwrap();
    let indices: Vec<usize> = found.iter().map(|point| point.index).collect();
    assert_eq!(indices, expected);
    found
}

#[test]
fn the_noise_is_that_of_the_reference() {
    let expected = [-0.694_995_19, 2.335_618_8, 1.446_090_48];
    for (found, expected) in noise(3, 1).iter().zip(expected) {
        assert!((found - expected).abs() < 1e-7);
    }
}

#[test]
fn changes_are_found_where_otava_finds_them() {
    let otava: [(u64, [usize; 2], usize); 3] =
        [(1, [61, 130], 171), (2, [61, 130], 167), (3, [60, 130], 170)];
    let any = Detection::default();
    for (seed, steps, late) in otava {
        check(&series(seed, |_, value| value), &any, &[]);
        let stepping = |index, value| match index {
            0..60 => value,
            60..130 => value + 5.0,
            _ => value - 3.0,
        };
        check(&series(seed, stepping), &any, &steps);
        check(
            &series(seed, |index, value| if index < 170 { value } else { value + 3.0 }),
            &any,
            &[late],
        );
        check(
            &series(seed, |index, value| if index == 100 { value + 40.0 } else { value }),
            &any,
            &[],
        );
    }
}

#[test]
fn small_changes_are_left_out_where_only_great_ones_are_asked_for() {
    let rising = |index, value| match index {
        0..80 => value,
        80..140 => 1.02 * value,
        _ => 1.02 * 1.10 * value,
    };
    let great = Detection { magnitude_min_ratio: 0.05, ..Detection::default() };
    for seed in 1..=3 {
        // Otava with min_magnitude 0.05.
        let [point] = check(&series(seed, rising), &great, &[140])[..] else { panic!("one") };
        assert!((0.08..0.14).contains(&point.magnitude_ratio()), "{point:?}");
    }
}

#[test]
fn p_values_are_those_of_student() {
    let stepping = |index, value| if index < 170 { value } else { value + 3.0 };
    let found = check(&series(1, stepping), &Detection::default(), &[171]);
    // scipy 1.16.3: ttest_ind(series[:171], series[171:])
    assert!((found[0].p_value / 4.649_033_899_420_07e-16 - 1.0).abs() < 1e-6, "{found:?}");
}

#[test]
fn a_change_without_noise_is_certain() {
    let exact = [vec![1.0; 10], vec![2.0; 10]].concat();
    let found = check(&exact, &Detection::default(), &[10]);
    assert_eq!((found[0].p_value, found[0].change_ratio()), (0.0, 1.0));
    check(&[5.0; 60], &Detection::default(), &[]);
}

#[test]
fn degenerate_series_have_no_changes_and_no_panic() {
    for length in 0..4 {
        check(&vec![1.0; length], &Detection::default(), &[]);
    }
    assert_eq!(change_points(&[1.0, f64::NAN], &Detection::default()), None);
    let tiny = Detection { window_points: 0, ..Detection::default() };
    check(&[1.0, 2.0, 3.0, 4.0], &tiny, &[]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn units_do_not_matter(seed in 1..1_000_u64, unit in 0.001..1_000.0_f64) {
        let plain = series(seed, |index, value| if index < 90 { value } else { value + 6.0 });
        let scaled: Vec<f64> = plain.iter().map(|value| value * unit).collect();
        let indices = |series: &[f64]| {
            let found = change_points(series, &Detection::default()).unwrap();
            found.iter().map(|point| point.index).collect::<Vec<usize>>()
        };
        prop_assert_eq!(indices(&plain), indices(&scaled));
    }
}
