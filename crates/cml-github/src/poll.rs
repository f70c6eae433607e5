//! Every job that is not over: of a repository, or of all repositories of an organization.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use octocrab::Octocrab;
use serde::Deserialize;

use crate::auth::ApiClient;
use crate::error::{GitHubError, GitHubErrorKind};
use crate::etag_cache::{EtagCache, RateBudget};
use crate::jobs::{JobPage, JobRecord, RunPage, RunRecord, TrackedJob};
use crate::lists::{Change, PER_PAGE, Page, Reader, Reading};
use crate::location::Scope;
use crate::names::repository_path;
use crate::runners::GitHub;
use crate::transport::RequestContext;

/// States of runs with jobs that are not over. A run moves from one to a later one of these, so that a query in this
/// order misses none except one that moves back.
const OPEN: [&str; 5] = ["requested", "waiting", "pending", "queued", "in_progress"];
/// Maximum number of runs that one of these lists returns, by GitHub's own limit.
const RUNS_MAX: usize = 1000;
/// Concurrent calls, of the 100 that GitHub allows.
const AT_ONCE: usize = 8;

/// Result of a poll.
#[derive(Clone, Debug, Default)]
pub struct Polled {
    /// Every job that is not over, and of the tracked jobs those whose attempt is still the latest of its run.
    pub jobs: Vec<JobRecord>,
    /// Repositories (`owner/name`) that could not be read, or whose lists changed while they were read: the absence of
    /// their jobs from `jobs` is no evidence.
    pub unseen: BTreeSet<String>,
    /// Minimum wait before the next poll: GitHub's limits are shared by all callers.
    pub rest: Duration,
}

/// GitHub's answers to earlier polls.
#[derive(Debug, Default)]
pub(crate) struct PollCache {
    repositories: EtagCache<RepositoryPage>,
    runs: EtagCache<RunPage>,
    pub(crate) jobs: EtagCache<JobPage>,
}

/// A page of an organization's list, or of an installation's.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RepositoryPage {
    Organization(Vec<Repository>),
    Installation {
        #[serde(default)]
        total_count: Option<u64>,
        repositories: Vec<Repository>,
    },
}

impl Page for RepositoryPage {
    type Item = Repository;
    type Key = String;

    fn total(&self) -> Option<u64> {
        match self {
            Self::Organization(_) => None,
            Self::Installation { total_count, .. } => *total_count,
        }
    }

    fn items(&self) -> &[Repository] {
        let (Self::Organization(repositories) | Self::Installation { repositories, .. }) = self;
        repositories
    }

    fn key(repository: &Repository) -> String {
        repository.full_name.clone()
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Repository {
    full_name: String,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    disabled: bool,
}

impl GitHub {
    /// Returns every job that is not over: of the repository, or of the organization's repositories (of those in
    /// `only`, unless that is empty). Costs five calls for each repository and one for each open run; unchanged answers
    /// are free of the rate limit.
    ///
    /// # Errors
    /// [`GitHubErrorKind::Invalid`] for an enterprise: GitHub lists neither its jobs nor its repositories. The others
    /// as GitHub answers; a partial list is never returned as a complete one, except for [`Polled::unseen`].
    pub async fn jobs(
        &self,
        followed: &[TrackedJob],
        only: &BTreeSet<String>,
    ) -> Result<Polled, GitHubError> {
        let cost = RateBudget::default();
        let client = self.client().await?;
        let repositories = self.repositories(client, only, &cost).await?;
        let cost = &cost;
        let look = |repository: String| async move {
            let found = self.open_runs(client, &repository, cost).await;
            (repository, found)
        };
        let mut looks = stream::iter(repositories.into_iter().map(look)).buffer_unordered(AT_ONCE);
        let mut runs: BTreeMap<u64, RunRecord> = BTreeMap::new();
        let mut unseen = BTreeSet::new();
        while let Some((repository, found)) = looks.next().await {
            match found {
                Ok(found) => {
                    runs.extend(found.items.into_iter().map(|run| (run.id, run)));
                    if !found.is_whole {
                        unseen.insert(repository);
                    }
                }
                Err(error) if self.may_be_left_out(&error) => {
                    tracing::warn!(%error, repository, "this repository's jobs are known by webhooks only");
                    unseen.insert(repository);
                }
                Err(error) => return Err(error),
            }
        }
        drop(looks);
        for lost in followed {
            if !runs.contains_key(&lost.run_id)
                && let Some(run) = self.run(&lost.repository, lost.run_id).await?
            {
                runs.insert(run.id, run);
            }
        }
        let jobs_of = |run: RunRecord| async move {
            self.jobs_of(&run, cost).await.map(|reading| (run.repository, reading))
        };
        let looks = stream::iter(runs.into_values().map(jobs_of)).buffer_unordered(AT_ONCE);
        let looks: Vec<(String, Reading<JobRecord>)> = looks.try_collect().await?;
        let mut jobs = Vec::new();
        for (repository, reading) in looks {
            jobs.extend(reading.items);
            if !reading.is_whole {
                unseen.insert(repository);
            }
        }
        self.memory.repositories.forget_unused();
        self.memory.runs.forget_unused();
        self.memory.jobs.forget_unused();
        let wanted =
            |job: &JobRecord| job.status != "completed" || followed.iter().any(|lost| lost.job == job.id);
        let jobs = jobs.into_iter().filter(wanted).collect();
        Ok(Polled { jobs, unseen, rest: cost.rest() })
    }

    /// Returns whether a repository may be skipped: one that was deleted, or has its Actions disabled, must not hide
    /// the others.
    fn may_be_left_out(&self, error: &GitHubError) -> bool {
        matches!(self.location().scope, Scope::Organization(_))
            && matches!(error.kind, GitHubErrorKind::NotFound | GitHubErrorKind::Forbidden)
    }

    async fn repositories(
        &self,
        client: &Octocrab,
        only: &BTreeSet<String>,
        cost: &RateBudget,
    ) -> Result<BTreeSet<String>, GitHubError> {
        let organization = match &self.location().scope {
            Scope::Repository { owner, name } => return Ok(BTreeSet::from([format!("{owner}/{name}")])),
            Scope::Organization(name) => name,
            scope @ Scope::Enterprise(_) => {
                return Err(GitHubError {
                    kind: GitHubErrorKind::Invalid,
                    doing: format!("looking for jobs of {scope}"),
                    cause: "GitHub lists an enterprise's jobs nowhere".to_owned(),
                    hint: Some("name an organization or a repository".to_owned()),
                });
            }
        };
        if !only.is_empty() {
            return Ok(only.iter().filter(|name| self.location().scope.holds(name)).cloned().collect());
        }
        let base = match self.speaker() {
            ApiClient::Token { .. } => format!("/orgs/{organization}/repos?type=all&"),
            ApiClient::App(_) => "/installation/repositories?".to_owned(),
        };
        let call = &self.call("listing the repositories of");
        let page = |number: usize| {
            let path = format!("{base}per_page={PER_PAGE}&page={number}");
            async move { self.memory.repositories.get(client, &path, call, cost).await }
        };
        let repositories: Vec<Repository> = Reader::ANY.whole(call, page).await?;
        let lives =
            |one: &Repository| !one.archived && !one.disabled && self.location().scope.holds(&one.full_name);
        Ok(repositories.into_iter().filter(lives).map(|one| one.full_name).collect())
    }

    async fn open_runs(
        &self,
        client: &Octocrab,
        repository: &str,
        cost: &RateBudget,
    ) -> Result<Reading<RunRecord>, GitHubError> {
        let doing = format!("listing the runs of {repository}");
        let call = &RequestContext::new(doing, self.location(), self.stop()).telling_time(self.latest_time());
        let mut all = Reading { items: Vec::new(), is_whole: true };
        for status in OPEN {
            let base = format!(
                "{}/actions/runs?status={status}&per_page={PER_PAGE}",
                repository_path(repository, &call.doing)?
            );
            let page = |number: usize| {
                let path = format!("{base}&page={number}");
                async move { self.memory.runs.get(client, &path, call, cost).await }
            };
            let reader = Reader { change: Change::Any, most: RUNS_MAX };
            let reading = reader.read(page).await?;
            // Entries beyond GitHub's limit are on no page.
            all.is_whole &= reading.is_whole && reading.items.len() < RUNS_MAX;
            all.items.extend(reading.items.into_iter().map(|run| RunRecord::of(run, repository)));
        }
        Ok(all)
    }
}
