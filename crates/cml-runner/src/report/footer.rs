//! `--footer`: on what a report was made, and what that has cost. The edge: the machine's facts are read here.

use std::path::PathBuf;

use cml_report::{Machine, gpu_use, with_footer};

use crate::actions::now;
use crate::context::env;
use crate::report::files;

/// Names the directory, in a job on a machine of ours.
const VARIABLE: &str = "CML_MACHINE_FACTS";
/// Where a cloud's machine has it: for a container that the directory was mounted into.
const USUAL: &str = "/run/cml-facts";

/// The report with its footer, where one is wanted.
pub(crate) fn footed(report: String, is_wanted: bool) -> String {
    // An empty report stays empty, and is said to be.
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
