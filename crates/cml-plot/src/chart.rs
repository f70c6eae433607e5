//! A plot as a value.

use crate::axis::Scale;
use crate::confusion::ConfusionMatrix;
use crate::curves::{PrecisionRecallCurve, RocCurve};
use crate::data::Series;
use crate::error::PlotError;
use crate::font::Font;
use crate::scene::Scene;
use crate::{matrix, png, svg, theme, xy};

/// Least width and height, CSS pixels: below them axes and labels leave no room for data.
const LEAST: (u32, u32) = (240, 200);
/// Most of either, CSS pixels.
const MOST: u32 = 2000;

/// Kind of a plot, with its data.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Lines along x: points are joined in the order of x, whatever their order in the series. A missing y is a gap at
    /// its x, a missing x one at its place in the series.
    Line(Vec<Series>),
    /// A marker for each point.
    Scatter(Vec<Series>),
    /// A square of cells, the darker the more examples.
    Confusion(ConfusionMatrix),
    /// ROC curves with their areas in the legend, and the diagonal of a classifier that guesses.
    Roc(Vec<RocCurve>),
    /// Precision-recall curves with their average precisions in the legend.
    PrecisionRecall(Vec<PrecisionRecallCurve>),
}

impl Kind {
    /// Returns its description.
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::Line(_) => "line plot",
            Self::Scatter(_) => "scatter plot",
            Self::Confusion(_) => "confusion matrix",
            Self::Roc(_) => "ROC curve",
            Self::PrecisionRecall(_) => "precision-recall curve",
        }
    }

    fn series(&self) -> usize {
        match self {
            Self::Line(series) | Self::Scatter(series) => series.len(),
            Self::Confusion(_) => 1,
            Self::Roc(curves) => curves.len(),
            Self::PrecisionRecall(curves) => curves.len(),
        }
    }
}

/// A plot. Make one with [`Chart::new`], change its fields, and draw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What is plotted.
    pub kind: Kind,
    /// Title above the plot; `None`: no title.
    pub title: Option<String>,
    /// Label below the x axis; `None`: the kind's default.
    pub x_label: Option<String>,
    /// Label next to the y axis; `None`: the kind's default, or the name of a single series.
    pub y_label: Option<String>,
    /// Scale of the x axis of a line or scatter plot.
    pub x_scale: Scale,
    /// Scale of the y axis of a line or scatter plot.
    pub y_scale: Scale,
    /// Width in CSS pixels, 240 to 2000. A PNG has twice as many.
    pub width: u32,
    /// Height in CSS pixels, 200 to 2000. A PNG has twice as many.
    pub height: u32,
}

impl Chart {
    /// Creates a plot with linear axes, no title, and a size that suits the kind.
    pub fn new(kind: Kind) -> Self {
        let (width, height) = match &kind {
            Kind::Line(_) | Kind::Scatter(_) => (720, 440),
            Kind::Roc(_) | Kind::PrecisionRecall(_) => (560, 520),
            Kind::Confusion(matrix) if matrix.classes.len() > 12 => (800, 760),
            Kind::Confusion(_) => (560, 520),
        };
        let scale = Scale::Linear;
        Self {
            kind,
            title: None,
            x_label: None,
            y_label: None,
            x_scale: scale,
            y_scale: scale,
            width,
            height,
        }
    }

    /// Renders a self-contained SVG document that follows the reader's dark or light theme, and describes its content
    /// in `<title>` and `<desc>`. The same chart always results in the same text.
    ///
    /// # Errors
    /// Every [`PlotError`] about the chart's data, scales or size.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        Ok(svg::write(&self.scene(&Font::embedded()?)?))
    }

    /// Renders a PNG on an opaque light card with two pixels for each CSS pixel. The same chart always results in the
    /// same bytes.
    ///
    /// # Errors
    /// As [`Chart::to_svg`].
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        let font = Font::embedded()?;
        png::write(&self.scene(&font)?, &font)
    }

    fn scene(&self, font: &Font) -> Result<Scene, PlotError> {
        let (width, height) = (self.width, self.height);
        if !(LEAST.0..=MOST).contains(&width) || !(LEAST.1..=MOST).contains(&height) {
            let (min_width, min_height) = LEAST;
            return Err(PlotError::Size { width, height, min_width, min_height, max: MOST });
        }
        let count = self.kind.series();
        if count > theme::MAX_SERIES {
            return Err(PlotError::TooManySeries { count, limit: theme::MAX_SERIES });
        }
        let given_axes = !matches!(self.kind, Kind::Line(_) | Kind::Scatter(_));
        if given_axes && (self.x_scale, self.y_scale) != (Scale::Linear, Scale::Linear) {
            return Err(PlotError::LogScale { kind: self.kind.words() });
        }
        match &self.kind {
            Kind::Confusion(confusion) => matrix::draw(self, confusion, font),
            _ => xy::draw(self, font),
        }
    }
}
