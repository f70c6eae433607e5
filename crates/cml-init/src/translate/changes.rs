//! The report of a translation.

use super::Change;

#[derive(Default)]
pub(crate) struct Changes(Vec<Change>);

impl Changes {
    /// Records that a line (counted from 0) was changed.
    pub(crate) fn done(&mut self, line: usize, what: impl Into<String>, why: impl Into<String>) {
        self.0.push(Change { line: Some(line + 1), done: true, what: what.into(), why: why.into() });
    }

    /// Records that a line was kept, with a remark.
    pub(crate) fn left(&mut self, line: usize, what: impl Into<String>, why: impl Into<String>) {
        self.0.push(Change { line: Some(line + 1), done: false, what: what.into(), why: why.into() });
    }

    pub(crate) fn sorted(mut self) -> Vec<Change> {
        self.0.sort_by_key(|change| change.line);
        self.0.dedup();
        self.0
    }
}
