//! Results of checks: what was found, and how to fix it; in a line each, or as JSON.

use cml_text::{line, lines};
use serde::Serialize;
use serde_json::json;

/// Status of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// No problem.
    Ok,
    /// It works, but with a limit in time or quality.
    Warn,
    /// A launch would fail, or cost more than necessary.
    Fail,
    /// It could not be checked.
    Skip,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Subject: `aws credentials`, `quota us-east-1`.
    pub(crate) name: String,
    pub(crate) status: Status,
    /// The finding.
    pub(crate) found: String,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

/// Checks in the order in which they ran.
#[derive(Debug, Default)]
pub(crate) struct Checks(pub(crate) Vec<Check>);

impl Checks {
    fn add(&mut self, name: &str, status: Status, found: impl Into<String>, fix: Option<String>) {
        self.0.push(Check { name: name.to_owned(), status, found: found.into(), fix });
    }

    pub(crate) fn ok(&mut self, name: &str, found: impl Into<String>) {
        self.add(name, Status::Ok, found, None);
    }

    pub(crate) fn warn(&mut self, name: &str, found: impl Into<String>, fix: impl Into<String>) {
        self.add(name, Status::Warn, found, Some(fix.into()));
    }

    pub(crate) fn fail(&mut self, name: &str, found: impl Into<String>, fix: impl Into<String>) {
        self.add(name, Status::Fail, found, Some(fix.into()));
    }

    pub(crate) fn skip(&mut self, name: &str, found: impl Into<String>, fix: Option<String>) {
        self.add(name, Status::Skip, found, fix);
    }

    pub(crate) fn count(&self, status: Status) -> usize {
        self.0.iter().filter(|check| check.status == status).count()
    }

    /// Returns `{"ok": …, "checks": […]}`.
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({"ok": self.count(Status::Fail) == 0, "checks": self.0})
    }

    /// Returns a line for each, and below it how to fix it.
    pub(crate) fn text(&self, colour: bool) -> String {
        let width = self.0.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for check in &self.0 {
            let (word, code) = match check.status {
                Status::Ok => ("ok  ", "32"),
                Status::Warn => ("warn", "33"),
                Status::Fail => ("FAIL", "31;1"),
                Status::Skip => ("skip", "2"),
            };
            let word = if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
            text.push_str(&format!("{word}  {:width$}  {}\n", line(&check.name), line(&check.found)));
            if let Some(fix) = &check.fix {
                for (at, line) in lines(fix).lines().enumerate() {
                    let mark = if at == 0 { "fix: " } else { "     " };
                    text.push_str(&format!("      {mark}{line}\n"));
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Checks {
        let mut checks = Checks::default();
        checks.ok("clock", "0 s from GitHub's");
        checks.fail("quota", "0 vCPUs", "ask for more:\n  aws service-quotas …");
        checks.skip("webhook", "may not be looked at", None);
        checks
    }

    #[test]
    fn each_check_is_a_line_and_its_fix_stands_below_it() {
        let expected = "\
ok    clock    0 s from GitHub's
FAIL  quota    0 vCPUs
      fix: ask for more:
             aws service-quotas …
skip  webhook  may not be looked at
";
        assert_eq!(checks().text(false), expected);
        assert!(checks().text(true).starts_with("\x1b[32mok  \x1b[0m  clock"));
    }

    #[test]
    fn what_aws_and_github_say_is_one_line_and_begins_none() {
        let mut checks = Checks::default();
        checks.fail(
            "quota",
            "x\u{1b}]0;t\u{7}\u{202e}\r\n::error::forged ##[group]",
            "::error::forged\u{1b}[2J",
        );
        let text = checks.text(false);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n') && !text.contains("##["), "{text:?}");
    }

    #[test]
    fn one_failure_is_enough_not_to_be_ok() {
        let json = checks().json();
        assert_eq!(json["ok"], false);
        assert_eq!(json["checks"][1]["status"], "fail");
        assert_eq!(json["checks"][0].get("fix"), None);
    }
}
