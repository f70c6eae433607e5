//! Entry points of untrusted text: one function for each surface. The fuzzer (`fuzz/`) and the everyday test that
//! replays its corpora call the same functions, so that the two cannot drift.
//!
//! A surface takes any bytes, passes them to the parsers as the program does, and panics where a property does not
//! hold. Properties that hold everywhere: no panic, no overflow, and messages and results of a bounded size.
//!
//! Forbidden here: a check that depends on anything but the bytes. Only tests depend on this crate.

mod aws;
mod github;
mod journal;
mod metrics;
mod report;
mod spec;
mod user_data;

/// A surface and its name: that of its fuzz target and of its corpus.
#[derive(Clone, Copy)]
pub struct Surface {
    /// `cml_yaml`.
    pub name: &'static str,
    /// Takes bytes; panics where a property does not hold.
    pub run: fn(&[u8]),
}

/// All surfaces.
pub const SURFACES: [Surface; 12] = [
    Surface { name: "webhook", run: github::webhook },
    Surface { name: "github", run: github::answer },
    Surface { name: "aws", run: aws::answer },
    Surface { name: "cml_yaml", run: spec::cml_yaml },
    Surface { name: "metrics_json", run: metrics::json },
    Surface { name: "metrics_yaml", run: metrics::yaml },
    Surface { name: "metrics_toml", run: metrics::toml },
    Surface { name: "metrics_csv", run: metrics::csv },
    Surface { name: "plot", run: metrics::plot },
    Surface { name: "report", run: report::report },
    Surface { name: "journal", run: journal::journal },
    Surface { name: "user_data", run: user_data::user_data },
];

/// Runs one surface; for fuzz targets.
///
/// # Panics
/// When there is no such surface, and where a property does not hold.
pub fn run(name: &str, bytes: &[u8]) {
    let surface = SURFACES.iter().find(|surface| surface.name == name);
    (surface.unwrap_or_else(|| panic!("no surface is called {name}")).run)(bytes);
}
