//! Keys: how often each comes, and that all of them can be listed.

use stdx::prng::Prng;

use crate::data::{Draw, Keys, Names, Zipf};

fn keys(count: u32, draw: Draw) -> Keys {
    Keys::new(Names::Numbered { prefix: "k".to_owned(), count }, draw)
}

/// How often each key comes in so many draws.
fn counts(keys: &Keys, draws: u64) -> Vec<u64> {
    let mut prng = Prng::new(5);
    let mut counts = vec![0; keys.count() as usize];
    for slot in 0..draws {
        counts[keys.draw(slot, &mut prng) as usize] += 1;
    }
    counts
}

/// The statistic of a chi-squared test against expected shares; rare keys are taken together.
fn chi_squared(counts: &[u64], shares: &[f64]) -> (f64, usize) {
    let draws = counts.iter().sum::<u64>() as f64;
    let (mut sum, mut cells) = (0.0, 0_usize);
    let (mut seen, mut expected) = (0.0, 0.0);
    for (count, share) in counts.iter().zip(shares) {
        seen += *count as f64;
        expected += share * draws;
        // Fewer than 20 in a cell are not near a normal distribution.
        if expected >= 20.0 {
            sum += (seen - expected).powi(2) / expected;
            cells += 1;
            (seen, expected) = (0.0, 0.0);
        }
    }
    (sum, cells - 1)
}

/// Whether draws look like those of these weights.
fn fits(keys: &Keys, weights: impl Iterator<Item = f64>) -> bool {
    let weights: Vec<f64> = weights.collect();
    let whole: f64 = weights.iter().sum();
    let shares: Vec<f64> = weights.iter().map(|weight| weight / whole).collect();
    let (statistic, degrees) = chi_squared(&counts(keys, 200_000), &shares);
    // The statistic has mean d and deviation sqrt(2 d): five of them are never seen.
    let most = degrees as f64 + 5.0 * (2.0 * degrees as f64).sqrt();
    statistic < most
}

fn zipf_weights(count: u32, exponent: f64) -> impl Iterator<Item = f64> {
    (1..=count).map(move |rank| f64::from(rank).powf(-exponent))
}

#[test]
fn zipf_draws_follow_zipfs_law() {
    for (count, exponent) in
        [(1_000, 1.0), (1_000, 0.99), (50, 0.3), (1_000, 1.01), (20, 3.0), (1, 1.0)]
    {
        let draw = Draw::Zipf(Zipf::new(count, exponent).unwrap());
        if count > 1 {
            assert!(fits(&keys(count, draw), zipf_weights(count, exponent)), "{count} {exponent}");
        } else {
            assert_eq!(counts(&keys(count, draw), 1_000), [1_000]);
        }
    }
}

#[test]
fn the_test_of_distributions_tells_exponents_apart() {
    let draw = Draw::Zipf(Zipf::new(1_000, 1.05).unwrap());
    assert!(!fits(&keys(1_000, draw), zipf_weights(1_000, 1.0)));
}

#[test]
fn zipf_reaches_the_last_of_very_many_keys_and_none_beyond() {
    let zipf = Zipf::new(u32::MAX, 0.1).unwrap();
    let mut prng = Prng::new(1);
    let greatest = (0..10_000).map(|_| zipf.draw(&mut prng)).max().unwrap();
    assert!(greatest > u32::MAX / 100 * 99, "{greatest}");
}

#[test]
fn an_exponent_that_is_no_skew_is_refused() {
    for exponent in [0.0, -1.0, 10.1, f64::NAN] {
        assert!(Zipf::new(10, exponent).is_err(), "{exponent}");
    }
}

#[test]
fn hot_keys_take_their_share_and_the_others_the_rest() {
    let draw = Draw::Hot { keys: 10, share: u32::MAX / 10 * 9 };
    let weights = (0..100).map(|key| if key < 10 { 0.9 / 10.0 } else { 0.1 / 90.0 });
    assert!(fits(&keys(100, draw), weights));
}

#[test]
fn even_keys_come_evenly_and_sequential_ones_in_turn() {
    assert!(fits(&keys(100, Draw::Uniform), std::iter::repeat_n(1.0, 100)));
    let sequential = keys(7, Draw::Sequential);
    let mut prng = Prng::new(1);
    let drawn: Vec<u32> = (5..10).map(|slot| sequential.draw(slot, &mut prng)).collect();
    assert_eq!(drawn, [5, 6, 0, 1, 2]);
}

#[test]
fn every_key_can_be_listed() {
    assert_eq!(keys(3, Draw::Uniform).all().collect::<Vec<_>>(), ["k0", "k1", "k2"]);
    let listed = Names::Listed(vec!["x".to_owned(), "y z".to_owned()]);
    let listed = Keys::new(listed, Draw::Uniform);
    assert_eq!(listed.all().collect::<Vec<_>>(), ["x", "y z"]);
    assert_eq!(listed.name(1), "y z");
}
