//! Plots as SVG text or PNG bytes, suitable for a pull request and for a paper.
//!
//! ```
//! use cml_plot::{Chart, Kind, Series};
//!
//! let loss = Series::new("loss", vec![(1.0, 0.9), (2.0, 0.5), (3.0, f64::NAN), (4.0, 0.3)]);
//! let mut chart = Chart::new(Kind::Line(vec![loss]));
//! chart.x_label = Some("epoch".to_owned());
//! assert!(chart.to_svg()?.starts_with("<svg"));
//! # Ok::<(), cml_plot::PlotError>(())
//! ```
//!
//! A [`Chart`] is laid out once, as a scene of few shapes whose colours are roles, and the scene is written as either
//! format: both show the same. The layout is measured with the font in `data/`, with which PNGs are drawn.
//!
//! Forbidden here: files, the network, a clock, the environment, randomness. The same chart results in the same bytes.
//! No number and no text may cause a panic or a broken picture.

mod axis;
mod chart;
mod confusion;
mod curves;
mod data;
mod decimal;
mod error;
mod font;
mod frame;
mod legend;
mod matrix;
mod png;
mod scene;
mod svg;
mod theme;
mod thin;
mod ticks;
mod xy;

pub use axis::Scale;
pub use chart::{Chart, Kind};
pub use confusion::{ConfusionMatrix, MAX_CLASSES};
pub use curves::{PrecisionRecallCurve, RocCurve, precision_recall, roc};
pub use data::Series;
pub use error::PlotError;
