//! Confusion matrices.

use std::collections::BTreeMap;

use crate::PlotError;

/// The most classes that are drawn.
pub const MAX_CLASSES: usize = 100;

/// A confusion matrix: a row for each actual class, a column for each predicted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// The classes' names, in the order of rows and columns.
    pub classes: Vec<String>,
    /// `counts[actual][predicted]`.
    pub counts: Vec<Vec<u64>>,
    /// Whether the plot shows each count as a share of its row (of all examples of that class) instead of the count.
    pub normalised: bool,
}

impl ConfusionMatrix {
    /// Counts (actual, predicted) pairs. The classes are all labels that occur, by number where all are numbers, else
    /// by name.
    ///
    /// # Errors
    /// [`PlotError::NoClasses`] without pairs, [`PlotError::TooManyClasses`] with more than [`MAX_CLASSES`] labels.
    pub fn from_pairs<A: AsRef<str>, P: AsRef<str>>(
        pairs: impl IntoIterator<Item = (A, P)>,
    ) -> Result<Self, PlotError> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut place = |label: &str| {
            if let Some(&index) = seen.get(label) {
                return index;
            }
            let index = seen.len();
            seen.insert(label.to_owned(), index);
            index
        };
        let mut found: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for (actual, predicted) in pairs {
            let pair = (place(actual.as_ref()), place(predicted.as_ref()));
            *found.entry(pair).or_default() += 1;
        }
        if seen.len() > MAX_CLASSES {
            return Err(PlotError::TooManyClasses { count: seen.len(), limit: MAX_CLASSES });
        }
        let order = ordered(seen);
        let count = |actual, predicted| found.get(&(actual, predicted)).copied().unwrap_or(0);
        let row = |actual| order.iter().map(|&(_, predicted)| count(actual, predicted)).collect();
        let counts = order.iter().map(|&(_, actual)| row(actual)).collect();
        let matrix =
            Self { counts, classes: order.into_iter().map(|(name, _)| name).collect(), normalised: false };
        matrix.check()?;
        Ok(matrix)
    }

    /// Returns the same matrix, shown as shares of the rows.
    #[must_use]
    pub fn normalised(mut self) -> Self {
        self.normalised = true;
        self
    }

    pub(crate) fn check(&self) -> Result<(), PlotError> {
        let classes = self.classes.len();
        if classes == 0 {
            return Err(PlotError::NoClasses);
        }
        if classes > MAX_CLASSES {
            return Err(PlotError::TooManyClasses { count: classes, limit: MAX_CLASSES });
        }
        if self.counts.len() != classes {
            let what = format!("{} rows of counts", self.counts.len());
            return Err(PlotError::MatrixShape { classes, what });
        }
        match self.counts.iter().enumerate().find(|(_, row)| row.len() != classes) {
            Some((index, row)) => {
                let what = format!("row {index} (counted from 0) has {} counts", row.len());
                Err(PlotError::MatrixShape { classes, what })
            }
            None => Ok(()),
        }
    }

    /// Returns the largest number that a cell shows, at least 1: the dark end of the colours.
    pub(crate) fn top(&self) -> f64 {
        if self.normalised {
            return 1.0;
        }
        self.counts.iter().flatten().copied().max().unwrap_or(0).max(1) as f64
    }

    /// Returns the values of the cells; a class without examples has shares of 0.
    pub(crate) fn values(&self) -> Vec<Vec<f64>> {
        let share = |row: &Vec<u64>| {
            // Added as floats: counts near the largest u64 must not overflow.
            let sum: f64 = row.iter().map(|&count| count as f64).sum();
            let whole = if self.normalised && sum > 0.0 { sum } else { 1.0 };
            row.iter().map(|&count| count as f64 / whole).collect()
        };
        self.counts.iter().map(share).collect()
    }
}

fn ordered(seen: BTreeMap<String, usize>) -> Vec<(String, usize)> {
    let mut order: Vec<_> = seen.into_iter().collect();
    let numbers: Option<Vec<f64>> = order
        .iter()
        .map(|(name, _)| name.trim().parse().ok().filter(|number: &f64| number.is_finite()))
        .collect();
    if let Some(numbers) = numbers {
        let mut numbered: Vec<_> = numbers.into_iter().zip(order).collect();
        numbered.sort_by(|(left, _), (right, _)| left.total_cmp(right));
        order = numbered.into_iter().map(|(_, class)| class).collect();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_actual_and_columns_predicted_classes() {
        // scikit-learn's example of confusion_matrix(y_true, y_pred).
        let actual = ["cat", "ant", "cat", "cat", "ant", "bird"];
        let predicted = ["ant", "ant", "cat", "cat", "ant", "cat"];
        let matrix = ConfusionMatrix::from_pairs(actual.iter().zip(predicted)).unwrap();
        assert_eq!(matrix.classes, ["ant", "bird", "cat"]);
        assert_eq!(matrix.counts, [[2, 0, 0], [0, 0, 1], [1, 0, 2]]);
    }

    #[test]
    fn classes_that_are_numbers_stand_in_their_order() {
        let matrix = ConfusionMatrix::from_pairs([("10", "9"), ("2", "10")]).unwrap();
        assert_eq!(matrix.classes, ["2", "9", "10"]);
        assert_eq!(matrix.counts, [[0, 0, 1], [0, 0, 0], [0, 1, 0]]);
    }

    #[test]
    fn shares_are_of_the_row_and_of_an_empty_row_0() {
        let matrix = ConfusionMatrix::from_pairs([("a", "a"), ("a", "b"), ("a", "b"), ("a", "a")]).unwrap();
        assert_eq!(matrix.normalised().values(), [[0.5, 0.5], [0.0, 0.0]]);
    }

    #[test]
    fn no_pairs_continuous_labels_and_crooked_counts_are_refused() {
        assert_eq!(ConfusionMatrix::from_pairs::<&str, &str>([]), Err(PlotError::NoClasses));
        let many = (0..101).map(|number| (number.to_string(), "0"));
        let refused = ConfusionMatrix::from_pairs(many).unwrap_err();
        assert_eq!(refused, PlotError::TooManyClasses { count: 101, limit: 100 });
        let crooked = ConfusionMatrix {
            classes: vec!["a".to_owned(), "b".to_owned()],
            counts: vec![vec![1, 2], vec![3]],
            normalised: false,
        };
        assert!(crooked.check().unwrap_err().to_string().contains("row 1 (counted from 0) has 1 counts"));
    }
}
