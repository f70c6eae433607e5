//! Points under a name.

/// One line, or one cloud of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// (x, y). A number that is not finite is a missing one: a line has a gap there, a scatter plot leaves it out.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// A series of these points.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points }
    }
}

/// Whether the point has a place.
pub(crate) fn is_finite(&(x, y): &(f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}
