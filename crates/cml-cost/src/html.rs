//! A report as a page: one self-contained file that makes no request, with its plots inside.
//!
//! Not allowed here: a figure that the report does not have.

mod days;
mod histogram;
mod scale;
mod tables;

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

use crate::report::Report;
use days::Days;
use histogram::Histogram;

/// Origin of the report.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Scope of the machines: an organization or a repository; may be empty.
    pub scope: &'a str,
    /// The forge's address, `https://github.com`.
    pub forge: &'a str,
}

/// Renders the page.
///
/// # Errors
/// When the template does not fit the data, which is a bug.
pub fn html(report: &Report, site: Site<'_>) -> Result<String, minijinja::Error> {
    let mut pages = Environment::new();
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    pages.set_undefined_behavior(UndefinedBehavior::Strict);
    pages.add_template("cost", include_str!("../../../templates/cost.html"))?;
    pages.get_template("cost")?.render(context! {
        scope => site.scope,
        made => tables::minute(report.now),
        head => Value::from(Serde(tables::Head::of(report))),
        days => Value::from(Serde(Days::of(report))),
        histogram => Histogram::of(&report.job_costs).map(|it| Value::from(Serde(it))),
        waste => Value::from(Serde(tables::waste(report))),
        elsewhere => Value::from(Serde(tables::Elsewhere::of(report))),
        table => Value::from(Serde(tables::Table::of(report, site.forge))),
        running => Value::from(Serde(tables::running(report))),
        sources => Value::from(Serde(tables::sources(report))),
    })
}
