//! Least squares with few parameters: linear by elimination, others by Levenberg and Marquardt.

/// Steps of the search; the fits of this crate end after 5 to 30.
const STEPS_MAX: u32 = 200;

/// How strongly a step is damped at first, and how it changes (Marquardt, 1963).
const DAMPING: f64 = 1e-3;
const DAMPING_FACTOR: f64 = 10.0;

/// Damping at which no step helps any more.
const DAMPING_MAX: f64 = 1e12;

/// Relative gain below which the search ends.
const GAIN_MIN: f64 = 1e-14;

/// A pivot (of a matrix with ones on the diagonal) below which parameters say the same: 1e-10 is a
/// difference of one part in 100,000 between their columns.
const PIVOT_MIN: f64 = 1e-10;

/// Minimises the squares of `rows[i] . x - values[i]`; nothing if the rows do not determine x.
pub(crate) fn linear<const P: usize>(rows: &[[f64; P]], values: &[f64]) -> Option<[f64; P]> {
    let (squares, products) = normal_equations(rows, values);
    solve(&squares, &products)
}

/// Solves normal equations by elimination; nothing if parameters cannot be told apart.
fn solve<const P: usize>(squares: &[[f64; P]; P], products: &[f64; P]) -> Option<[f64; P]> {
    let length: [f64; P] = std::array::from_fn(|i| squares[i][i].sqrt());
    // Columns of length one, so that what says the same is told from what is merely small.
    let scaled = |i: usize, j: usize| squares[i][j] / (length[i] * length[j]);
    let mut a: [[f64; P]; P] = std::array::from_fn(|i| std::array::from_fn(|j| scaled(i, j)));
    let mut b: [f64; P] = std::array::from_fn(|i| products[i] / length[i]);
    for column in 0..P {
        let (top, value) = (a[column], b[column]);
        // NaN, from a column of zeros, fails this comparison as well.
        let is_usable = top[column] > PIVOT_MIN;
        if !is_usable {
            return None;
        }
        for row in (0..P).filter(|row| *row != column) {
            let factor = a[row][column] / top[column];
            a[row].iter_mut().zip(top).for_each(|(cell, above)| *cell -= factor * above);
            b[row] -= factor * value;
        }
    }
    Some(std::array::from_fn(|i| b[i] / (a[i][i] * length[i])))
}

/// Moves `start` to where the squares of the residuals are least.
///
/// The derivatives are central differences. Cost: about ten times 2 P + 1 calls.
pub(crate) fn fit<const P: usize>(
    start: [f64; P],
    residuals: impl Fn(&[f64; P]) -> Vec<f64>,
) -> [f64; P] {
    let (mut best, mut damping) = (start, DAMPING);
    let mut current = residuals(&best);
    for _ in 0..STEPS_MAX {
        let (squares, products) = normal_equations(&slopes(&best, &residuals), &current);
        let next = damped_step(&best, squares, &products, damping);
        let found = next.map(|next| (next, residuals(&next)));
        let before = sum_of_squares(&current);
        let is_better = |residuals: &[f64]| sum_of_squares(residuals) < before;
        let Some((next, found)) = found.filter(|(_, found)| is_better(found)) else {
            damping *= DAMPING_FACTOR;
            if damping > DAMPING_MAX {
                break;
            }
            continue;
        };
        (best, current) = (next, found);
        damping /= DAMPING_FACTOR;
        if before - sum_of_squares(&current) <= GAIN_MIN * before {
            break;
        }
    }
    best
}

/// How much of each point its own fit takes up, from 0 to 1: the diagonal of J (J'J)^-1 J' at the
/// parameters found. Nothing where they cannot be told apart.
pub(crate) fn leverages<const P: usize>(
    at: &[f64; P],
    residuals: impl Fn(&[f64; P]) -> Vec<f64>,
) -> Option<Vec<f64>> {
    let rows = slopes(at, &residuals);
    let (squares, _) = normal_equations(&rows, &[]);
    let leverage = |row: &[f64; P]| {
        let solved = solve(&squares, row)?;
        Some(row.iter().zip(solved).map(|(cell, other)| cell * other).sum())
    };
    rows.iter().map(leverage).collect()
}

/// The sum of squares.
pub(crate) fn sum_of_squares(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum()
}

fn damped_step<const P: usize>(
    from: &[f64; P],
    mut squares: [[f64; P]; P],
    products: &[f64; P],
    damping: f64,
) -> Option<[f64; P]> {
    for (index, row) in squares.iter_mut().enumerate() {
        row[index] *= 1.0 + damping;
    }
    let step = solve(&squares, products)?;
    Some(std::array::from_fn(|index| from[index] - step[index]))
}

/// The derivatives of every residual by every parameter.
fn slopes<const P: usize>(
    at: &[f64; P],
    residuals: &impl Fn(&[f64; P]) -> Vec<f64>,
) -> Vec<[f64; P]> {
    let by_parameter: [Vec<f64>; P] = std::array::from_fn(|index| {
        // The third root of the precision balances rounding against curvature.
        let step = 6e-6 * at[index].abs() + 1e-12;
        let moved = |by: f64| {
            let mut moved = *at;
            moved[index] += by;
            residuals(&moved)
        };
        let (above, below) = (moved(step), moved(-step));
        above.iter().zip(below).map(|(high, low)| (high - low) / (2.0 * step)).collect()
    });
    let rows = by_parameter.iter().map(Vec::len).min().unwrap_or(0);
    (0..rows).map(|row| std::array::from_fn(|index| by_parameter[index][row])).collect()
}

fn normal_equations<const P: usize>(
    rows: &[[f64; P]],
    values: &[f64],
) -> ([[f64; P]; P], [f64; P]) {
    let product = |i: usize, j: usize| rows.iter().map(|row| row[i] * row[j]).sum::<f64>();
    let with_value = |i: usize| rows.iter().zip(values).map(|(row, value)| row[i] * value).sum();
    (
        std::array::from_fn(|i| std::array::from_fn(|j| product(i, j))),
        std::array::from_fn(with_value),
    )
}

#[cfg(test)]
mod tests {
    use super::{fit, leverages, linear, solve};

    #[test]
    fn equations_are_solved_or_refused() {
        let [x, y] = solve(&[[4.0, 2.0], [2.0, 3.0]], &[10.0, 9.0]).unwrap();
        assert!((x - 1.5).abs() < 1e-12 && (y - 2.0).abs() < 1e-12);
        assert_eq!(solve(&[[1.0, 2.0], [2.0, 4.0]], &[1.0, 2.0]), None);
        assert_eq!(solve(&[[0.0]], &[1.0]), None);
        assert_eq!(linear(&[[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], &[1.0, 2.0, 3.0]), None);
    }

    #[test]
    fn a_line_goes_through_its_points() {
        let [offset, slope] =
            linear(&[[1.0, 0.0], [1.0, 1.0], [1.0, 4.0]], &[3.0, 5.0, 11.0]).unwrap();
        assert!((offset - 3.0).abs() < 1e-12 && (slope - 2.0).abs() < 1e-12);
    }

    #[test]
    fn leverages_add_up_to_the_number_of_parameters() {
        let line = |p: &[f64; 2]| [0.0, 1.0, 2.0, 10.0].map(|x| p[0] + p[1] * x).to_vec();
        let found = leverages(&[1.0, 1.0], line).unwrap();
        assert!((found.iter().sum::<f64>() - 2.0).abs() < 1e-6, "{found:?}");
        assert!(found[3] > 0.9, "{found:?}");
    }

    #[test]
    fn the_certified_fit_of_misra1a_is_found() {
        // NIST Statistical Reference Datasets, Misra1a, from its second start.
        let x = [
            77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1,
            689.1, 760.0,
        ];
        let y = [
            10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40,
            75.47, 81.78,
        ];
        let residuals = |p: &[f64; 2]| {
            let model = |x: f64| p[0] * -(-p[1] * x).exp_m1();
            x.iter().zip(y).map(|(x, y)| model(*x) - y).collect()
        };
        let [first, second] = fit([250.0, 5e-4], residuals);
        assert!((first / 238.942_129_18 - 1.0).abs() < 1e-7, "{first}");
        assert!((second / 5.501_564_318_1e-4 - 1.0).abs() < 1e-7, "{second}");
    }
}
