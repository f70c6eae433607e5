//! Errors of plotting.

/// Error: the plot could not be drawn.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlotError {
    /// No series has a point with two finite numbers.
    #[error(
        "there is nothing to draw: no point has a finite x and a finite y; check the columns' names and values"
    )]
    NothingToDraw,
    /// More series than a reader can distinguish.
    #[error(
        "{count} series are more than a reader can tell apart ({limit} are the limit): choose fewer columns, \
         or make several plots"
    )]
    TooManySeries {
        /// The number of series.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A logarithmic axis with a value that has no logarithm.
    #[error(
        "the {axis} axis is logarithmic, but series {series:?} has the value {value} there: \
         use a linear scale, or leave out what is not above 0"
    )]
    NotPositive {
        /// `x` or `y`.
        axis: &'static str,
        /// The series' name.
        series: String,
        /// The first such value.
        value: f64,
    },
    /// A logarithmic axis for a kind of plot with fixed axes.
    #[error("a {kind} has no logarithmic axes: leave the scales linear")]
    LogScale {
        /// Description of the kind.
        kind: &'static str,
    },
    /// The picture would be too small to read or too large to handle.
    #[error(
        "a plot of {width}×{height} pixels cannot be drawn: width must be {min_width} to {max}, height {min_height} to {max}"
    )]
    Size {
        /// Requested width, CSS pixels.
        width: u32,
        /// Requested height, CSS pixels.
        height: u32,
        /// Least width.
        min_width: u32,
        /// Least height.
        min_height: u32,
        /// Most of either.
        max: u32,
    },
    /// The numbers of scores and labels differ.
    #[error("there are {scores} scores but {labels} labels: give one label for each score")]
    Lengths {
        /// Number of scores.
        scores: usize,
        /// Number of labels.
        labels: usize,
    },
    /// No scores at all.
    #[error("there are no scores: a curve needs at least one positive and one negative example")]
    NoScores,
    /// A score that cannot be ordered or is not a number.
    #[error(
        "score {index} (counted from 0) is {value}: scores must be finite numbers; remove or repair that row"
    )]
    Score {
        /// Its index, from 0.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// Only one class is present: the curve is not defined.
    #[error(
        "all {count} examples are {present}: the curve needs both classes; check which label counts as positive"
    )]
    OneClass {
        /// `positive` or `negative`.
        present: &'static str,
        /// The number of examples.
        count: usize,
    },
    /// A confusion matrix without classes.
    #[error("the confusion matrix has no classes: give at least one pair of an actual and a predicted label")]
    NoClasses,
    /// A confusion matrix that is too large to read.
    #[error(
        "a confusion matrix of {count} classes cannot be read ({limit} are the limit): group the classes, \
         or check that the columns hold labels and no continuous values"
    )]
    TooManyClasses {
        /// The number of classes.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The counts do not form a square of the classes.
    #[error(
        "the confusion matrix has {classes} classes, but {what}: give one row for each actual class \
         and in it one count for each predicted class"
    )]
    MatrixShape {
        /// Number of classes.
        classes: usize,
        /// What does not match.
        what: String,
    },
    /// The font compiled in cannot be read: a bug of this program.
    #[error("the font of the plots cannot be read, which is a fault of this program; please report it: {0}")]
    Font(String),
    /// The picture cannot be encoded: a bug of this program.
    #[error("the PNG cannot be written, which is a fault of this program; please report it: {0}")]
    Png(String),
}
