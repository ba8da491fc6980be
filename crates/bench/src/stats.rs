//! The few statistics the bench uses: medians, and spreads that one disturbed run cannot move.

/// Median and spread of repeated measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Summary {
    /// Middle value.
    pub median: f64,
    /// First quartile.
    pub low: f64,
    /// Third quartile.
    pub high: f64,
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
            min,
            max,
            count: sorted.len(),
        }
    }

    /// Half the distance of the quartiles, as a share of the median: the spread that is stated.
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 {
            0.0
        } else {
            (self.high - self.low) / 2.0 / self.median
        }
    }
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

/// Median of round-by-round ratios of two interleaved series, with its quartiles: what changed between
/// rounds (another process, the clock) hits both and cancels.
pub fn paired_ratio(of: &[f64], to: &[f64]) -> Summary {
    Summary::of(
        of.iter()
            .zip(to)
            .filter(|(_, b)| **b > 0.0)
            .map(|(a, b)| a / b),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_ignores_one_outlier() {
        let summary = Summary::of([1.0, 1.1, 0.9, 50.0, 1.0]);
        assert_eq!(summary.median, 1.0);
        assert!(summary.spread() < 0.06, "{summary:?}");
        assert_eq!((summary.min, summary.max, summary.count), (0.9, 50.0, 5));
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
    fn paired_ratio_cancels_a_slow_round() {
        // Round 2 ran three times slower for both.
        let ratio = paired_ratio(&[2.0, 6.0, 2.0], &[1.0, 3.0, 1.0]);
        assert_eq!((ratio.median, ratio.min, ratio.max), (2.0, 2.0, 2.0));
    }

    #[test]
    fn geometric_mean_of_reciprocals_is_one() {
        let mean = geometric_mean([0.5, 2.0]).unwrap_or(0.0);
        assert!((mean - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean([]), None);
    }
}
