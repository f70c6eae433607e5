//! The job table. Webhooks come at once, out of order, twice or not at all; polls come late, and are complete.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cml_cloud::LaunchId;
use cml_github::{JobRecord, Origin};
use cml_planner::{Job, JobId, JobState};
use jiff::Timestamp;
use tokio::time::Instant;

/// How long a job that is over is remembered: late webhooks must not reopen it.
const REMEMBER: Duration = Duration::from_secs(2 * 3600);

/// Every known job that is not long over. Times are this process's own: a wall clock may be set.
#[derive(Debug, Default)]
pub struct JobTable {
    jobs: BTreeMap<JobId, KnownJob>,
    /// Jobs that ended on foreign machines, and when that became known: an organization has thousands of them.
    strangers: BTreeMap<JobId, Instant>,
}

#[derive(Debug)]
struct KnownJob {
    job: Job,
    at: Instant,
    /// It counts as over because a list lacked it: another list may have it again.
    is_missing: bool,
}

impl JobTable {
    /// Applies a webhook; returns whether a decision may follow from it. A job never goes back: an older state than the known one
    /// changes nothing.
    pub fn apply_webhook(&mut self, job: Job, at: Instant) -> bool {
        if self.strangers.contains_key(&job.id) {
            return false;
        }
        let known = self.jobs.get(&job.id);
        if known.is_some_and(|known| rank(job.state) < rank(known.job.state)) {
            return false;
        }
        let job = match known {
            Some(known) => with_run(with_runner(job, &known.job), &known.job),
            None => job,
        };
        if is_relevant(&job) {
            self.jobs.insert(job.id, KnownJob { job, at, is_missing: false });
            return true;
        }
        self.strangers.insert(job.id, at);
        // It may have waited for one of our machines until now.
        self.jobs.remove(&job.id).is_some()
    }

    /// Applies a complete list that was asked for at `asked_at`, except for repositories in `unseen`. It is right about every job
    /// without a later webhook.
    pub fn apply_poll(&mut self, jobs: Vec<Job>, unseen: &BTreeSet<String>, asked_at: Instant) {
        let listed: BTreeMap<JobId, Job> = jobs.into_iter().map(|job| (job.id, job)).collect();
        for (id, heard) in &mut self.jobs {
            if !listed.contains_key(id)
                && heard.at <= asked_at
                && heard.job.state != JobState::Over
                && !unseen.contains(&heard.job.repository)
            {
                heard.job.state = JobState::Over;
                heard.at = asked_at;
                heard.is_missing = true;
            }
        }
        for (id, job) in listed {
            if self.strangers.contains_key(&id) {
                continue;
            }
            let known = self.jobs.get(&id);
            // A list may be slightly older than a webhook.
            let is_older = known.is_some_and(|known| {
                let was_told_over = known.job.state == JobState::Over && !known.is_missing;
                known.at > asked_at || (was_told_over && rank(job.state) < rank(JobState::Over))
            });
            if !is_older {
                let job = known.map_or(job.clone(), |known| with_runner(job, &known.job));
                self.jobs.insert(id, KnownJob { job, at: asked_at, is_missing: false });
            }
        }
        self.strangers.retain(|_, at| asked_at.saturating_duration_since(*at) < REMEMBER);
        self.jobs.retain(|_, heard| {
            heard.job.state != JobState::Over || asked_at.saturating_duration_since(heard.at) < REMEMBER
        });
    }

    /// Records that a re-run of a run's failed jobs was requested. Whatever its outcome, what was known of the run is outdated: only
    /// a list that was asked for later can show it as over again.
    pub fn rerun_asked(&mut self, run_id: u64, at: Instant) {
        for heard in self.jobs.values_mut().filter(|heard| heard.job.run_id == run_id) {
            if matches!(heard.job.state, JobState::Failed { .. }) {
                *heard = KnownJob {
                    job: Job { state: JobState::Failed { run_over: false }, ..heard.job.clone() },
                    at,
                    is_missing: false,
                };
            }
        }
    }

    /// Returns all jobs from which a decision may follow.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        self.jobs.values().map(|heard| &heard.job).filter(|job| is_relevant(job)).cloned().collect()
    }
}

/// Returns false for a job that is over and ran on a foreign machine: most of an organization's webhooks are about those.
fn is_relevant(job: &Job) -> bool {
    job.state != JobState::Over
        || job.runner.as_deref().is_some_and(|runner| LaunchId::from_runner_name(runner).is_some())
}

/// Keeps what was known of its runner.
fn with_runner(mut job: Job, known: &Job) -> Job {
    if job.runner.is_none() {
        job.runner.clone_from(&known.runner);
    }
    job
}

/// Keeps what was known of its run: a webhook contains neither the run's event nor the origin of its code.
fn with_run(job: Job, known: &Job) -> Job {
    if !job.event.is_empty() || known.event.is_empty() || job.attempt != known.attempt {
        return job;
    }
    Job { event: known.event.clone(), from_fork: known.from_fork, actor: known.actor.clone(), ..job }
}

/// Orders states by how far a job is.
fn rank(state: JobState) -> u8 {
    match state {
        JobState::Waiting => 0,
        JobState::Queued => 1,
        JobState::Running => 2,
        JobState::Over | JobState::Failed { .. } | JobState::Interrupted { .. } => 3,
    }
}

/// Converts GitHub's record to the planner's job.
#[must_use]
pub fn from_github(record: JobRecord) -> Job {
    let state = match (record.status.as_str(), record.run.attempt > record.attempt) {
        ("queued", _) => JobState::Queued,
        ("in_progress", _) => JobState::Running,
        ("completed", false) if record.conclusion.as_deref() != Some("success") => {
            JobState::Failed { run_over: record.run.status == "completed" }
        }
        ("completed", _) => JobState::Over,
        // `waiting`, `pending`, `requested`: it needs no runner yet.
        _ => JobState::Waiting,
    };
    let from_fork = record.run.origin() == Origin::Foreign;
    let run = record.run;
    Job {
        id: JobId(record.id),
        run_id: record.run_id,
        attempt: record.attempt,
        name: record.name,
        from_fork,
        repository: run.repository,
        labels: record.labels,
        group: None,
        event: run.event,
        actor: run.actor,
        workflow: record.workflow,
        branch: record.branch,
        queued_at: record.created_at.unwrap_or(Timestamp::UNIX_EPOCH),
        state,
        runner: record.runner_name,
        interruptions: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    fn at(second: u64) -> Instant {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        *BEGIN + Duration::from_secs(second)
    }

    fn job(id: u64, state: JobState) -> Job {
        Job {
            id: JobId(id),
            run_id: id,
            attempt: 1,
            name: "train".to_owned(),
            repository: "acme/vision".to_owned(),
            labels: vec!["gpu".to_owned()],
            group: None,
            event: "push".to_owned(),
            from_fork: false,
            actor: "mona".to_owned(),
            workflow: "train".to_owned(),
            branch: "main".to_owned(),
            queued_at: Timestamp::UNIX_EPOCH,
            state,
            runner: None,
            interruptions: 0,
        }
    }

    fn states(table: &JobTable) -> Vec<(u64, JobState)> {
        let ended = table.strangers.keys().map(|id| (id.0, JobState::Over));
        table.jobs.values().map(|heard| (heard.job.id.0, heard.job.state)).chain(ended).collect()
    }

    #[test]
    fn what_ended_on_somebody_elses_machine_concerns_nobody_and_is_not_woken() {
        let mut table = JobTable::default();
        assert!(!table.apply_webhook(
            Job { runner: Some("GitHub Actions 7".to_owned()), ..job(1, JobState::Over) },
            at(1)
        ));
        assert!(!table.apply_webhook(job(1, JobState::Queued), at(2)), "late");
        assert!(table.jobs().is_empty());
        let ours = Some("cml-01k9z3v6p4q8r2s5t7w0x1y2z3".to_owned());
        assert!(table.apply_webhook(Job { runner: ours, ..job(2, JobState::Over) }, at(3)));
        assert_eq!(table.jobs().len(), 1);
    }

    fn record(event: &str, head: Option<&str>) -> JobRecord {
        JobRecord {
            id: 1,
            run_id: 1,
            attempt: 1,
            name: "train".to_owned(),
            labels: vec!["gpu".to_owned()],
            status: "queued".to_owned(),
            conclusion: None,
            runner_id: None,
            runner_name: None,
            workflow: String::new(),
            branch: String::new(),
            created_at: None,
            started_at: None,
            completed_at: None,
            run: cml_github::RunRecord {
                id: 1,
                repository: "acme/vision".to_owned(),
                head_repository: head.map(str::to_owned),
                event: event.to_owned(),
                actor: "mona".to_owned(),
                status: "queued".to_owned(),
                attempt: 1,
            },
        }
    }

    #[test]
    fn code_of_a_deleted_fork_is_a_strangers_and_so_is_what_nobody_was_asked_about() {
        assert!(from_github(record("pull_request", Some("mallory/vision"))).from_fork);
        assert!(
            from_github(record("pull_request", None)).from_fork,
            "GitHub says null once the fork is deleted"
        );
        assert!(from_github(record("", None)).from_fork, "a webhook alone");
        assert!(!from_github(record("push", Some("Acme/Vision"))).from_fork);
    }

    #[test]
    fn a_webhook_that_a_job_has_begun_takes_nothing_back_that_github_was_asked() {
        let mut table = JobTable::default();
        table.apply_webhook(job(1, JobState::Queued), at(1));
        let begun = Job {
            event: String::new(),
            from_fork: true,
            actor: "github-actions[bot]".to_owned(),
            ..job(1, JobState::Running)
        };
        table.apply_webhook(begun, at(2));
        let known = table.jobs().pop().expect("is known");
        assert_eq!((known.state, known.event.as_str(), known.from_fork), (JobState::Running, "push", false));
        assert_eq!(known.actor, "mona");
    }

    #[test]
    fn late_and_repeated_webhooks_take_no_job_back() {
        let mut table = JobTable::default();
        for state in
            [JobState::Running, JobState::Queued, JobState::Over, JobState::Running, JobState::Queued]
        {
            table.apply_webhook(job(1, state), at(1));
        }
        assert_eq!(states(&table), [(1, JobState::Over)]);
    }

    #[test]
    fn a_poll_finds_what_was_never_heard_and_ends_what_is_gone() {
        let mut table = JobTable::default();
        table.apply_webhook(job(1, JobState::Queued), at(1));
        table.apply_poll(vec![job(2, JobState::Queued)], &BTreeSet::new(), at(5));
        assert_eq!(states(&table), [(1, JobState::Over), (2, JobState::Queued)]);
    }

    #[test]
    fn what_one_list_missed_and_another_one_has_is_not_over() {
        let mut table = JobTable::default();
        table.apply_webhook(job(1, JobState::Queued), at(1));
        table.apply_poll(Vec::new(), &BTreeSet::new(), at(5));
        table.apply_webhook(job(1, JobState::Queued), at(6));
        assert_eq!(states(&table), [(1, JobState::Over)], "a late webhook is no proof");
        table.apply_poll(vec![job(1, JobState::Queued)], &BTreeSet::new(), at(9));
        assert_eq!(states(&table), [(1, JobState::Queued)]);
    }

    #[test]
    fn a_list_ends_no_job_of_a_repository_that_it_could_not_look_into() {
        let mut table = JobTable::default();
        table.apply_webhook(job(1, JobState::Queued), at(1));
        table.apply_poll(Vec::new(), &BTreeSet::from(["acme/vision".to_owned()]), at(5));
        assert_eq!(states(&table), [(1, JobState::Queued)]);
    }

    #[test]
    fn a_poll_knows_nothing_of_what_was_heard_after_it_was_asked() {
        let mut table = JobTable::default();
        table.apply_webhook(job(1, JobState::Queued), at(9));
        table.apply_webhook(job(2, JobState::Running), at(9));
        table.apply_poll(vec![job(2, JobState::Queued)], &BTreeSet::new(), at(5));
        assert_eq!(states(&table), [(1, JobState::Queued), (2, JobState::Running)]);
    }

    #[test]
    fn a_run_that_was_asked_to_run_again_is_asked_once() {
        let mut table = JobTable::default();
        table.apply_poll(vec![job(1, JobState::Failed { run_over: true })], &BTreeSet::new(), at(5));
        table.rerun_asked(1, at(7));
        assert_eq!(states(&table), [(1, JobState::Failed { run_over: false })]);
        table.apply_poll(vec![job(1, JobState::Failed { run_over: true })], &BTreeSet::new(), at(6));
        assert_eq!(states(&table), [(1, JobState::Failed { run_over: false })], "an older list");
        table.apply_poll(vec![job(1, JobState::Failed { run_over: true })], &BTreeSet::new(), at(8));
        assert_eq!(states(&table), [(1, JobState::Failed { run_over: true })], "the re-run was refused");
    }

    #[test]
    fn what_is_long_over_is_forgotten() {
        let mut table = JobTable::default();
        table.apply_webhook(job(1, JobState::Over), at(1));
        table.apply_poll(Vec::new(), &BTreeSet::new(), at(3 * 3600));
        assert!(states(&table).is_empty());
    }
}
