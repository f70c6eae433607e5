//! Runs, jobs and runners in the form that tests and the demo read.

use jiff::Timestamp;

/// A workflow run's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

impl std::fmt::Display for RunId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

/// A workflow run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// The workflow's name.
    pub name: String,
    /// The number of its latest attempt, from 1.
    pub attempt: u64,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// `success`, `failure`, `cancelled`; none until it is completed.
    pub conclusion: Option<String>,
}

/// A job of a run's attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its id.
    pub id: u64,
    /// The run it belongs to.
    pub run_id: RunId,
    /// The attempt of that run, from 1.
    pub attempt: u64,
    /// Its name.
    pub name: String,
    /// The labels of `runs-on`.
    pub labels: Vec<String>,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// `success`, `failure`, `cancelled`, `skipped`; none until it is completed.
    pub conclusion: Option<String>,
    /// The runner that took it.
    pub runner_id: Option<u64>,
    /// The name of that runner.
    pub runner_name: Option<String>,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When its runner accepted it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Its steps, in order.
    pub steps: Vec<StepView>,
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepView {
    /// Its name.
    pub name: String,
    /// `success`, `failure`, `skipped` or `cancelled`; none until it ended.
    pub conclusion: Option<String>,
}

/// Target of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommentOn {
    /// A commit, by its hash.
    Commit(String),
    /// An issue or a pull request, by its number.
    Issue(u64),
}

/// A comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentView {
    /// Its id.
    pub id: u64,
    /// Its author: the owner for the token of the settings, the login of a grant, `cml-runner[bot]` for the App.
    pub author: String,
    /// Its target.
    pub on: CommentOn,
    /// Its text.
    pub body: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Address of its page.
    pub url: String,
}

/// A check run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRunView {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The commit that it is on.
    pub head_sha: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// `success`, `failure`, `neutral` and the like; none until it is completed.
    pub conclusion: Option<String>,
    /// Address that its creator set for details.
    pub details_url: Option<String>,
    /// The title of its output.
    pub title: Option<String>,
    /// The summary of its output.
    pub summary: Option<String>,
    /// The details of its output.
    pub text: Option<String>,
    /// How many annotations it has.
    pub annotations: usize,
}

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullView {
    /// Its number.
    pub number: u64,
    /// Its id for GraphQL.
    pub node_id: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: Option<String>,
    /// The branch with the changes.
    pub head: String,
    /// The newest commit of that branch.
    pub head_sha: String,
    /// The branch that the changes go to.
    pub base: String,
    /// Whether it is a draft.
    pub draft: bool,
    /// `open` or `closed`.
    pub state: String,
    /// The commit that its merge made; none unless it was merged.
    pub merge_commit: Option<String>,
    /// `merge`, `squash` or `rebase` when auto-merge is enabled.
    pub auto_merge: Option<String>,
}

/// A registered runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerView {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Whether it is connected.
    pub online: bool,
    /// Whether it has a job.
    pub busy: bool,
    /// Its labels.
    pub labels: Vec<String>,
    /// Whether it is removed after one job.
    pub ephemeral: bool,
    /// `acme/vision`, `acme` or `enterprises/acme-inc`.
    pub scope: String,
}
