//! `--footer`: the machine on which a report was made, and its cost. The edge: the machine's facts are read here.

use std::path::PathBuf;

use cml_report::{Machine, gpu_use, with_footer};

use crate::actions::now;
use crate::context::env;
use crate::report::files;

/// Variable with the directory, in a job on a machine of ours.
const VARIABLE: &str = "CML_MACHINE_FACTS";
/// The directory on a cloud's machine: for a container into which it was mounted.
const USUAL: &str = "/run/cml-facts";

/// Returns the report with its footer, where one is requested.
pub(crate) fn footed(report: String, is_wanted: bool) -> String {
    // An empty report stays empty, and is reported as such.
    if !is_wanted || report.trim().is_empty() {
        return report;
    }
    let dir = env(VARIABLE).map_or_else(|| PathBuf::from(USUAL), PathBuf::from);
    let read =
        |name: &str| files::read(&dir.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let machine = read("machine").ok().map(|facts| Machine::read(&facts));
    let gpus = gpu_use(&read("gpu").unwrap_or_default());
    with_footer(&report, machine.as_ref(), &gpus, now())
}
