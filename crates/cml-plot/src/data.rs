//! Named series of points.

/// One line, or one cloud of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// (x, y). A number that is not finite is a missing one: a line has a gap there, a scatter plot omits it.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// Creates a series of these points.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points }
    }
}

/// Returns whether both coordinates are finite.
pub(crate) fn is_finite(&(x, y): &(f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}
