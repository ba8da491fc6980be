//! The few statistics the bench uses: medians, and spreads that one disturbed run cannot move.

/// Fewer runs than this have no interval worth stating.
pub const ENOUGH: usize = 3;

/// Share of cases in which the stated interval holds the true median.
const CONFIDENCE: f64 = 0.95;

/// Median and spread of repeated measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Summary {
    /// Middle value.
    pub median: f64,
    /// First quartile.
    pub low: f64,
    /// Third quartile.
    pub high: f64,
    /// Interval that holds the true median with 95 % (fewer runs: see `median_interval`), whatever the
    /// distribution. This is the spread that is stated.
    pub sure: (f64, f64),
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// How many.
    pub count: usize,
}

impl Summary {
    /// Summary of a set; zeros for an empty one.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Summary {
        let mut sorted: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            return Summary::default();
        };
        Summary {
            median: quantile(&sorted, 0.5),
            low: quantile(&sorted, 0.25),
            high: quantile(&sorted, 0.75),
            sure: median_interval(&sorted, CONFIDENCE),
            min,
            max,
            count: sorted.len(),
        }
    }

    /// The same in another unit.
    pub fn scaled(&self, by: f64) -> Summary {
        Summary {
            median: self.median * by,
            low: self.low * by,
            high: self.high * by,
            sure: (self.sure.0 * by, self.sure.1 * by),
            min: self.min * by,
            max: self.max * by,
            count: self.count,
        }
    }

    /// The stated intervals of both do not overlap, and both come from enough runs to have one.
    pub fn differs_from(&self, other: &Summary) -> bool {
        let apart = self.sure.0 > other.sure.1 || self.sure.1 < other.sure.0;
        apart && self.count.min(other.count) >= ENOUGH
    }

    /// Half the width of the stated interval, as a share of the median.
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 {
            0.0
        } else {
            (self.sure.1 - self.sure.0) / 2.0 / self.median
        }
    }
}

/// The k-th smallest and k-th largest of sorted values, with the largest k for which the true median lies between them
/// with at least the given probability; where no k gives it, smallest and largest (at 95 %: fewer than six values;
/// five give 94 %, three 75 %).
fn median_interval(sorted: &[f64], confidence: f64) -> (f64, f64) {
    let n = sorted.len();
    let most = (1.0 - confidence) / 2.0;
    // Probability that at most k of n values fall below the median: the binomial's lower tail.
    let mut probability = 0.5f64.powi(n as i32);
    let mut tail = probability;
    let mut k = 0;
    while k + 1 < n.div_ceil(2) && tail <= most {
        probability *= (n - k) as f64 / (k + 1) as f64;
        tail += probability;
        k += 1;
    }
    let k = k.saturating_sub(usize::from(tail > most));
    (sorted[k], sorted[n - 1 - k])
}

/// Linear between the two nearest of the sorted values.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

/// Geometric mean of positive values; none if there are none.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = values
        .into_iter()
        .filter(|v| *v > 0.0)
        .map(f64::ln)
        .collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

/// Median of round-by-round ratios of two interleaved series: what changed between rounds (another process, the
/// clock) hits both and cancels. The interval holds the true median with the given probability.
pub fn paired_ratio(of: &[f64], to: &[f64], confidence: f64) -> Summary {
    let mut ratios: Vec<f64> = of
        .iter()
        .zip(to)
        .filter(|(_, b)| **b > 0.0)
        .map(|(a, b)| a / b)
        .collect();
    ratios.sort_by(f64::total_cmp);
    let summary = Summary::of(ratios.iter().copied());
    match ratios.is_empty() {
        true => summary,
        false => Summary {
            sure: median_interval(&ratios, confidence),
            ..summary
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_ignores_one_outlier() {
        let summary = Summary::of([1.0, 1.1, 0.9, 50.0, 1.0]);
        assert_eq!(summary.median, 1.0);
        assert!((summary.high - summary.low) < 0.21, "{summary:?}");
        assert_eq!((summary.min, summary.max, summary.count), (0.9, 50.0, 5));
    }

    #[test]
    fn median_interval_by_order_statistics() {
        let values = |n: usize| (1..=n).map(|v| v as f64).collect::<Vec<_>>();
        let of = |n: usize| median_interval(&values(n), 0.95);
        // From tables of the sign test.
        assert_eq!(of(1), (1.0, 1.0));
        assert_eq!(of(5), (1.0, 5.0));
        assert_eq!(of(6), (1.0, 6.0));
        assert_eq!(of(9), (2.0, 8.0));
        assert_eq!(of(15), (4.0, 12.0));
        assert_eq!(of(20), (6.0, 15.0));
        assert_eq!(median_interval(&values(15), 0.99), (3.0, 13.0));
        assert_eq!(median_interval(&values(25), 0.99), (6.0, 20.0));
    }

    #[test]
    fn quartiles_interpolate() {
        let summary = Summary::of([1.0, 2.0, 3.0, 4.0]);
        assert_eq!(
            (summary.low, summary.median, summary.high),
            (1.75, 2.5, 3.25)
        );
    }

    #[test]
    fn only_enough_runs_differ() {
        let of = |values: &[f64]| Summary::of(values.iter().copied());
        assert!(!of(&[1.0]).differs_from(&of(&[2.0])));
        assert!(of(&[1.0, 1.1, 1.2]).differs_from(&of(&[1.3, 1.4, 1.5])));
        assert!(!of(&[1.0, 1.1, 1.4]).differs_from(&of(&[1.3, 1.4, 1.5])));
    }

    #[test]
    fn paired_ratio_cancels_a_slow_round() {
        // Round 2 ran three times slower for both.
        let ratio = paired_ratio(&[2.0, 6.0, 2.0], &[1.0, 3.0, 1.0], 0.95);
        assert_eq!((ratio.median, ratio.min, ratio.max), (2.0, 2.0, 2.0));
    }

    #[test]
    fn geometric_mean_of_reciprocals_is_one() {
        let mean = geometric_mean([0.5, 2.0]).unwrap_or(0.0);
        assert!((mean - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean([]), None);
    }
}
