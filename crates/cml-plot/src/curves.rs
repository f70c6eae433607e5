//! ROC and precision-recall curves of a binary classifier.
//!
//! As scikit-learn counts them: examples with the same score are on the same side of every threshold, so they make one
//! point of the curve. Areas are sums of whole numbers until the last division.

use crate::{PlotError, Series};

/// A receiver operating characteristic, computed by [`roc`].
#[derive(Clone, Debug, PartialEq)]
pub struct RocCurve {
    pub(crate) series: Series,
    auc: f64,
}

impl RocCurve {
    /// Returns the name and the points (false positive rate, true positive rate), from (0, 0) to (1, 1).
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// Returns the area under the curve by the trapezoidal rule, 0 to 1.
    pub fn auc(&self) -> f64 {
        self.auc
    }
}

/// A precision-recall curve, computed by [`precision_recall`].
#[derive(Clone, Debug, PartialEq)]
pub struct PrecisionRecallCurve {
    pub(crate) series: Series,
    average_precision: f64,
}

impl PrecisionRecallCurve {
    /// Returns the name and the points (recall, precision), from (0, 1) to the share of positives at recall 1. Between
    /// two points the precision is that of the second one.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// Returns the mean of the precisions weighted by the gain in recall, without interpolation, 0 to 1.
    pub fn average_precision(&self) -> f64 {
        self.average_precision
    }
}

/// Computes the ROC curve of scores (higher: more likely positive).
///
/// # Errors
/// [`PlotError::Lengths`], [`PlotError::NoScores`], [`PlotError::Score`], [`PlotError::OneClass`].
pub fn roc(name: impl Into<String>, scores: &[f64], positives: &[bool]) -> Result<RocCurve, PlotError> {
    let steps = steps(scores, positives)?;
    let (all_true, all_false) = totals(positives);
    let mut points = vec![(0.0, 0.0)];
    let (mut last, mut doubled_area) = (Step::default(), 0_u128);
    for step in steps {
        let width = u128::from(step.false_positives - last.false_positives);
        doubled_area += width * u128::from(step.true_positives + last.true_positives);
        points.push((ratio(step.false_positives, all_false), ratio(step.true_positives, all_true)));
        last = step;
    }
    let whole = 2 * u128::from(all_true) * u128::from(all_false);
    Ok(RocCurve { series: Series::new(name, points), auc: doubled_area as f64 / whole as f64 })
}

/// Computes the precision-recall curve of scores (higher: more likely positive).
///
/// # Errors
/// [`PlotError::Lengths`], [`PlotError::NoScores`], [`PlotError::Score`], [`PlotError::OneClass`].
pub fn precision_recall(
    name: impl Into<String>,
    scores: &[f64],
    positives: &[bool],
) -> Result<PrecisionRecallCurve, PlotError> {
    let steps = steps(scores, positives)?;
    let (all_true, _) = totals(positives);
    let mut points = vec![(0.0, 1.0)];
    let (mut found, mut sum) = (0, 0.0);
    for step in steps {
        let precision = ratio(step.true_positives, step.true_positives + step.false_positives);
        points.push((ratio(step.true_positives, all_true), precision));
        sum += (step.true_positives - found) as f64 * precision;
        found = step.true_positives;
    }
    Ok(PrecisionRecallCurve { series: Series::new(name, points), average_precision: sum / all_true as f64 })
}

/// Numbers of true and false positives at a threshold.
#[derive(Clone, Copy, Default)]
struct Step {
    true_positives: u64,
    false_positives: u64,
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Counts positive and negative examples.
fn totals(positives: &[bool]) -> (u64, u64) {
    let all_true = positives.iter().filter(|&&positive| positive).count() as u64;
    (all_true, positives.len() as u64 - all_true)
}

/// Returns one step for each distinct score, from the highest down.
fn steps(scores: &[f64], positives: &[bool]) -> Result<Vec<Step>, PlotError> {
    if scores.len() != positives.len() {
        return Err(PlotError::Lengths { scores: scores.len(), labels: positives.len() });
    }
    if scores.is_empty() {
        return Err(PlotError::NoScores);
    }
    if let Some((index, &value)) = scores.iter().enumerate().find(|(_, score)| !score.is_finite()) {
        return Err(PlotError::Score { index, value });
    }
    match totals(positives) {
        (0, count) => return Err(PlotError::OneClass { present: "negative", count: count as usize }),
        (count, 0) => return Err(PlotError::OneClass { present: "positive", count: count as usize }),
        _ => {}
    }
    // Adding 0 makes -0 and 0 one score.
    let mut examples: Vec<(f64, bool)> =
        scores.iter().map(|score| score + 0.0).zip(positives.iter().copied()).collect();
    examples.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    let mut step = Step::default();
    Ok(examples
        .chunk_by(|(left, _), (right, _)| left == right)
        .map(|tied| {
            let right = tied.iter().filter(|(_, positive)| *positive).count();
            step.true_positives += right as u64;
            step.false_positives += (tied.len() - right) as u64;
            step
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of scikit-learn's pages on `roc_curve` and `precision_recall_curve`.
    const SCORES: [f64; 4] = [0.1, 0.4, 0.35, 0.8];
    const LABELS: [bool; 4] = [false, false, true, true];

    #[test]
    fn roc_agrees_with_scikit_learns_example() {
        let curve = roc("model", &SCORES, &LABELS).unwrap();
        let points = [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)];
        assert_eq!(curve.series().points, points);
        assert_eq!(curve.auc(), 0.75);
    }

    #[test]
    fn precision_recall_agrees_with_scikit_learns_example() {
        let curve = precision_recall("model", &SCORES, &LABELS).unwrap();
        let points = [(0.0, 1.0), (0.5, 1.0), (0.5, 0.5), (1.0, 2.0 / 3.0), (1.0, 0.5)];
        assert_eq!(curve.series().points, points);
        // 0.5 · 1 + 0.5 · 2/3; scikit-learn's page says 0.83.
        assert!((curve.average_precision() - 5.0 / 6.0).abs() < 1e-15);
    }

    #[test]
    fn tied_scores_make_one_point() {
        let scores = [0.9, 0.5, 0.5, 0.5, 0.1];
        let labels = [true, true, false, false, false];
        let curve = roc("ties", &scores, &labels).unwrap();
        assert_eq!(curve.series().points, [(0.0, 0.0), (0.0, 0.5), (2.0 / 3.0, 1.0), (1.0, 1.0)]);
        // Of 6 pairs of a positive and a negative 4 are in order and 2 are tied: (4 + 1) / 6.
        assert_eq!(curve.auc(), 5.0 / 6.0);
        let curve = precision_recall("ties", &scores, &labels).unwrap();
        assert_eq!(curve.series().points, [(0.0, 1.0), (0.5, 1.0), (1.0, 0.5), (1.0, 0.4)]);
        assert_eq!(curve.average_precision(), 0.75);
    }

    #[test]
    fn equal_scores_tell_nothing() {
        let curve = roc("constant", &[0.0, -0.0, 0.0, -0.0], &[true, true, false, false]).unwrap();
        assert_eq!(curve.series().points, [(0.0, 0.0), (1.0, 1.0)]);
        assert_eq!(curve.auc(), 0.5);
        let curve = precision_recall("constant", &[0.3; 4], &[true, false, false, false]).unwrap();
        assert_eq!(curve.average_precision(), 0.25);
    }

    #[test]
    fn perfect_and_reversed_scores_have_areas_of_1_and_0() {
        let labels = [true, true, false, false];
        assert_eq!(roc("right", &[4.0, 3.0, 2.0, 1.0], &labels).unwrap().auc(), 1.0);
        assert_eq!(roc("wrong", &[1.0, 2.0, 3.0, 4.0], &labels).unwrap().auc(), 0.0);
        assert_eq!(
            precision_recall("right", &[4.0, 3.0, 2.0, 1.0], &labels).unwrap().average_precision(),
            1.0
        );
    }

    #[test]
    fn what_defines_no_curve_is_refused() {
        assert_eq!(roc("", &[0.5], &[]), Err(PlotError::Lengths { scores: 1, labels: 0 }));
        assert_eq!(roc("", &[], &[]), Err(PlotError::NoScores));
        let one_class = PlotError::OneClass { present: "positive", count: 2 };
        assert_eq!(precision_recall("", &[0.5, 0.6], &[true, true]), Err(one_class));
        let one_class = PlotError::OneClass { present: "negative", count: 1 };
        assert_eq!(roc("", &[0.5], &[false]), Err(one_class));
        let error = roc("", &[0.5, f64::NAN], &[true, false]).unwrap_err();
        assert!(matches!(error, PlotError::Score { index: 1, value } if value.is_nan()));
    }
}
