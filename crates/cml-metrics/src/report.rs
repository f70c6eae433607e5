//! Verdicts, and their form in a check run or a step's summary.

use cml_text::table_cell;

use crate::render::table_line;

/// Limit on the rows of a table: the length of a check run's text is limited.
const ROWS_MAX: usize = 200;

/// Outcome of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The requirement is met.
    Passed,
    /// The requirement is not met.
    Failed,
    /// The requirement could not be judged.
    NotJudged,
}

/// One verdict.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The requirement as written, or `no worse than main`.
    pub rule: String,
    /// The file.
    pub path: String,
    /// The metric's dotted name.
    pub metric: String,
    /// Its outcome.
    pub outcome: Outcome,
    /// The reason as a sentence: `accuracy is 0.87, required >= 0.9 (main has 0.91)`.
    pub why: String,
}

/// All verdicts.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// Requirements in their order, then compared metrics, in the order of the files.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Returns whether nothing failed; a metric that could not be judged did not fail.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.count(Outcome::Failed) == 0
    }

    /// Returns how many have an outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }

    /// Renders for a check run or a step's summary: failures first.
    #[must_use]
    pub fn markdown(&self) -> String {
        let (failed, passed) = (self.count(Outcome::Failed), self.count(Outcome::Passed));
        let mut text = match (failed, passed) {
            (0, 0) => "⚠️ **Nothing could be judged.**\n".to_owned(),
            (0, passed) => format!("✅ **{} passed.**\n", checks(passed)),
            (failed, passed) => format!("❌ **{} failed**, {passed} passed.\n", checks(failed)),
        };
        let mut files: Vec<&str> = self.findings.iter().map(|finding| finding.path.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        let with_path = files.len() > 1;
        let judged = self.findings.iter().filter(|finding| finding.outcome != Outcome::NotJudged);
        let mut judged: Vec<&Finding> = judged.collect();
        judged.sort_by_key(|finding| finding.outcome != Outcome::Failed);
        if !judged.is_empty() {
            text.push('\n');
            text.push_str(&lines(&judged, with_path));
        }
        let open: Vec<&Finding> =
            self.findings.iter().filter(|finding| finding.outcome == Outcome::NotJudged).collect();
        if !open.is_empty() {
            let table = lines(&open, with_path);
            text.push_str(&format!(
                "\n<details><summary>Not judged: {}</summary>\n\n{table}\n</details>\n",
                open.len()
            ));
        }
        text
    }
}

fn checks(count: usize) -> String {
    if count == 1 { "1 check".to_owned() } else { format!("{count} checks") }
}

fn lines(findings: &[&Finding], with_path: bool) -> String {
    let mut columns = vec![("Result", ":--"), ("Rule", ":--"), ("Why", ":--")];
    if with_path {
        columns.insert(1, ("Path", ":--"));
    }
    let (titles, rules): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let mut text = format!("{}{}", table_line(&titles), table_line(&rules));
    for finding in findings.iter().take(ROWS_MAX) {
        let outcome = match finding.outcome {
            Outcome::Passed => "✅ passed",
            Outcome::Failed => "❌ failed",
            Outcome::NotJudged => "not judged",
        };
        let mut cells = vec![outcome.to_owned()];
        if with_path {
            cells.push(table_cell(&finding.path));
        }
        cells.extend([table_cell(&finding.rule), table_cell(&finding.why)]);
        text.push_str(&table_line(&cells));
    }
    if findings.len() > ROWS_MAX {
        text.push_str(&format!("\nNot shown: {} more.\n", findings.len() - ROWS_MAX));
    }
    text
}
