//! Completion of webhooks from GitHub's API: whether a run's code comes from a fork, which event began it, who began
//! this attempt, and whether it is still in progress.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cml_controller::Mailbox;
use cml_daemon::WebhookJob;
use cml_github::{GitHub, GitHubError, Origin, RunRecord};
use cml_planner::{JobState, spec_for};
use cml_spec::Spec;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::{self, JoinSet};
use tokio::time::Instant;

use crate::actions::now;

/// Number of attempts of runs that are cached.
const RUNS_MAX: usize = 2000;
/// Lifetime of a cached answer, as the jobs of a matrix arrive one after the other: after that the run may be over.
const RUN_STAYS: Duration = Duration::from_secs(5);
/// Limit on the jobs that wait for GitHub's answer. If there are more, the oldest are left to the poll.
const WAITING_MAX: usize = 4096;
/// Limit on concurrent requests, of GitHub's 100 connections.
const AT_ONCE: usize = 8;
/// Delay before a retry: a run that has just begun may not be found yet.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Interval between requests for lost webhooks.
const LOST_EVERY: Duration = Duration::from_secs(300);

/// One attempt of a run: another attempt may be started by another login.
type Attempt = (String, u64, u32);
/// A job, and the time of its webhook.
type Waiting = (WebhookJob, Instant);

/// Requests redelivery of webhooks that we did not accept, as long as the process runs. The poll finds queued jobs
/// anyway; redelivery provides which runner ran which job, and for how long.
pub(crate) async fn find_lost(github: Arc<GitHub>) {
    loop {
        tokio::time::sleep(LOST_EVERY).await;
        match github.redeliver_failed(now()).await {
            Ok(0) => {}
            Ok(asked) => tracing::info!(asked, "GitHub was asked to deliver lost webhooks again"),
            Err(error) => tracing::warn!(%error, "GitHub cannot say which webhooks were lost"),
        }
    }
}

/// Jobs on their way from the inbox to the controller.
pub(crate) struct Hearing {
    news: Arc<Mailbox>,
    specs: watch::Receiver<Vec<Spec>>,
    waiting: Mutex<VecDeque<Waiting>>,
    runs: Mutex<Runs>,
    bell: Notify,
}

/// Converts the time of an event to an instant. An event kept over a restart is as old as it is, whatever this
/// process's age: a poll since then is more recent.
pub(crate) fn instant_of(at: Timestamp) -> Instant {
    let age = Duration::try_from(now().duration_since(at)).unwrap_or_default();
    Instant::now().checked_sub(age).unwrap_or_else(Instant::now)
}

impl Hearing {
    pub(crate) fn new(news: Arc<Mailbox>, specs: watch::Receiver<Vec<Spec>>) -> Self {
        Self { news, specs, waiting: Mutex::default(), runs: Mutex::default(), bell: Notify::new() }
    }

    /// Returns whether no pool has its labels, whatever the architecture of its machines is.
    fn is_nobodys(&self, heard: &WebhookJob) -> bool {
        spec_for(&self.specs.borrow(), &BTreeMap::new(), &heard.job).is_none()
    }

    /// Receives a webhook of a job. Only queued jobs for our machines are completed; events of started or ended jobs
    /// are passed on at once.
    pub(crate) fn hear(&self, heard: WebhookJob, at: Instant) {
        if matches!(heard.job.state, JobState::Over | JobState::Failed { .. }) {
            // Its run may be over with it: the next job of the run is queried anew.
            self.runs().known.remove(&attempt_of(&heard));
        }
        if heard.job.state != JobState::Queued || self.is_nobodys(&heard) {
            self.tell(heard, at);
            return;
        }
        let mut waiting = self.waiting();
        waiting.push_back((heard, at));
        if waiting.len() > WAITING_MAX
            && let Some((oldest, _)) = waiting.pop_front()
        {
            tracing::warn!(
                job = oldest.job.id.0,
                "more jobs are heard of than GitHub can be asked about: it waits for the poll"
            );
        }
        drop(waiting);
        self.bell.notify_one();
    }

    /// Returns the next job, the latest first: jobs kept over a restart do not delay new ones.
    fn next(&self) -> Option<Waiting> {
        self.waiting().pop_back()
    }

    fn tell(&self, heard: WebhookJob, at: Instant) {
        let job = heard.job;
        tracing::info!(job = job.id.0, repository = job.repository, state = ?job.state, "workflow_job event received");
        self.news.send_job(job, at);
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Completes jobs and passes them to the controller, several runs at a time. A job whose origin GitHub does not return
/// is not passed on: the poll finds it, with everything that is known.
pub(crate) async fn complete_all(github: Arc<GitHub>, hearing: Arc<Hearing>) {
    let ask = move |repository: String, run_id: u64| {
        let github = github.clone();
        async move { ask(&github, &repository, run_id).await }
    };
    complete_by(ask, hearing).await;
}

/// GitHub's answer about a run.
type Answer = Result<Option<RunRecord>, GitHubError>;

async fn complete_by<F>(ask: impl Fn(String, u64) -> F, hearing: Arc<Hearing>)
where
    F: Future<Output = Answer> + Send + 'static,
{
    let mut questions = Questions::default();
    loop {
        while questions.under_way.len() < AT_ONCE
            && let Some((heard, at)) = hearing.next()
        {
            let known = hearing.runs().get(&attempt_of(&heard)).cloned();
            match known {
                Some(run) => judge(&hearing, &run, heard, at),
                None => questions.ask(&ask, heard, at),
            }
        }
        tokio::select! {
            () = hearing.bell.notified() => {}
            Some((attempt, jobs, answer)) = questions.next_answer() => take(&hearing, attempt, jobs, answer),
        }
    }
}

/// Processes GitHub's answer about a run; `None` where the request's task has panicked.
fn take(hearing: &Hearing, attempt: Attempt, jobs: Vec<Waiting>, answer: Option<Answer>) {
    match answer {
        Some(Ok(Some(run))) => {
            for (heard, at) in jobs {
                judge(hearing, &run, heard, at);
            }
            hearing.runs().insert(attempt, run);
        }
        Some(Ok(None)) => tracing::info!(run = attempt.1, "GitHub has no such run: its jobs are nothing"),
        Some(Err(error)) => {
            tracing::warn!(%error, run = attempt.1, "jobs that were heard of wait for the next poll");
        }
        None => tracing::error!(run = attempt.1, "a question to GitHub has died; its jobs wait for the poll"),
    }
}

/// Requests in progress, and the jobs that wait for each: a run is requested once, however many of its jobs have
/// webhooks.
#[derive(Default)]
struct Questions {
    asked: BTreeMap<Attempt, Vec<Waiting>>,
    under_way: JoinSet<Answer>,
    /// The attempt of each request: a task that panics returns only its id.
    about: HashMap<task::Id, Attempt>,
}

impl Questions {
    fn ask<F>(&mut self, ask: impl Fn(String, u64) -> F, heard: WebhookJob, at: Instant)
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let attempt = attempt_of(&heard);
        if let Some(same) = self.asked.get_mut(&attempt) {
            if same.len() < WAITING_MAX {
                same.push((heard, at));
            }
            return;
        }
        let question = ask(heard.job.repository.clone(), heard.job.run_id);
        self.about.insert(self.under_way.spawn(question).id(), attempt.clone());
        self.asked.insert(attempt, vec![(heard, at)]);
    }

    /// Returns the next answer, and the jobs that have waited for it; `None` while there are no requests.
    async fn next_answer(&mut self) -> Option<(Attempt, Vec<Waiting>, Option<Answer>)> {
        let (id, answer) = match self.under_way.join_next_with_id().await? {
            Ok((id, answer)) => (id, Some(answer)),
            Err(error) => (error.id(), None),
        };
        let attempt = self.about.remove(&id)?;
        let jobs = self.asked.remove(&attempt).unwrap_or_default();
        Some((attempt, jobs, answer))
    }
}

fn attempt_of(heard: &WebhookJob) -> Attempt {
    let job = &heard.job;
    (job.repository.to_lowercase(), job.run_id, job.attempt)
}

async fn ask(github: &GitHub, repository: &str, run_id: u64) -> Answer {
    match github.run(repository, run_id).await? {
        Some(run) => Ok(Some(run)),
        None => {
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
            github.run(repository, run_id).await
        }
    }
}

fn judge(hearing: &Hearing, run: &RunRecord, mut heard: WebhookJob, at: Instant) {
    match complete(run, &mut heard) {
        Ok(()) => hearing.tell(heard, at),
        Err(why) => tracing::info!(job = heard.job.id.0, why, "a job that was heard of is not told"),
    }
}

/// Adds GitHub's facts about the run, or returns why the webhook is not trusted.
fn complete(run: &RunRecord, heard: &mut WebhookJob) -> Result<(), &'static str> {
    let job = &mut heard.job;
    if run.attempt > job.attempt {
        return Err("its run has been started again since");
    }
    if run.attempt < job.attempt {
        return Err("GitHub does not know of this attempt yet; it waits for the poll");
    }
    if run.status == "completed" {
        return Err("its run is over");
    }
    job.from_fork = run.origin() == Origin::Foreign;
    job.event.clone_from(&run.event);
    job.actor.clone_from(&run.actor);
    Ok(())
}

/// GitHub's recent answers.
#[derive(Default)]
struct Runs {
    known: BTreeMap<Attempt, (RunRecord, Instant)>,
}

impl Runs {
    fn get(&self, attempt: &Attempt) -> Option<&RunRecord> {
        self.known.get(attempt).filter(|(_, at)| at.elapsed() < RUN_STAYS).map(|(run, _)| run)
    }

    fn insert(&mut self, attempt: Attempt, run: RunRecord) {
        if self.known.len() >= RUNS_MAX {
            self.known.retain(|_, (_, at)| at.elapsed() < RUN_STAYS);
        }
        if self.known.len() < RUNS_MAX {
            self.known.insert(attempt, (run, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cml_planner::{Job, JobId};

    fn heard(attempt: u32) -> WebhookJob {
        WebhookJob {
            job: Job {
                id: JobId(1),
                run_id: 80,
                attempt,
                name: "train".to_owned(),
                repository: "acme/vision".to_owned(),
                labels: vec!["gpu".to_owned()],
                group: None,
                event: String::new(),
                from_fork: true,
                actor: "the delivery's sender".to_owned(),
                workflow: String::new(),
                branch: String::new(),
                queued_at: Timestamp::UNIX_EPOCH,
                state: JobState::Queued,
                runner: None,
                interruptions: 0,
            },
        }
    }

    fn run(attempt: u32, actor: &str) -> RunRecord {
        RunRecord {
            id: 80,
            repository: "acme/vision".to_owned(),
            head_repository: Some("acme/vision".to_owned()),
            event: "push".to_owned(),
            actor: actor.to_owned(),
            status: "queued".to_owned(),
            attempt,
        }
    }

    #[test]
    fn an_attempt_is_whose_it_is_and_no_other_attempts() {
        let mut first = heard(1);
        complete(&run(1, "mona"), &mut first).expect("is hers");
        assert_eq!((first.job.actor.as_str(), first.job.from_fork), ("mona", false));
        let mut second = heard(2);
        assert!(complete(&run(1, "mona"), &mut second).is_err(), "what is known is of the first");
        assert!(second.job.from_fork, "and stays a stranger's");
        complete(&run(2, "mallory"), &mut second).expect("is told");
        assert_eq!(second.job.actor, "mallory");
        assert!(complete(&run(2, "mallory"), &mut heard(1)).is_err(), "the first is over");
    }

    #[test]
    fn a_queued_job_of_a_run_that_is_over_is_nothing() {
        let over = RunRecord { status: "completed".to_owned(), ..run(1, "mona") };
        assert_eq!(complete(&over, &mut heard(1)), Err("its run is over"));
    }

    #[test]
    fn a_deleted_fork_stays_foreign() {
        let mut job = heard(1);
        complete(&RunRecord { head_repository: None, ..run(1, "mallory") }, &mut job).expect("is told");
        assert!(job.job.from_fork);
    }

    fn hearing() -> Arc<Hearing> {
        let spec = cml_spec::read(
            "cml.yaml",
            "runners:\n  it:\n    labels: [gpu]\n    cloud: local\n    max: 2\n",
            &|_| Ok(Vec::new()),
        )
        .expect("is right");
        let specs = spec.runners.into_iter().map(|it| it.spec).collect();
        // A configuration that never changes.
        Arc::new(Hearing::new(Arc::new(Mailbox::default()), watch::channel(specs).1))
    }

    fn queued(job: u64, run: u64) -> WebhookJob {
        let mut one = heard(1);
        (one.job.id, one.job.run_id) = (JobId(job), run);
        one
    }

    fn hear(hearing: &Hearing, job: u64, run: u64) {
        hearing.hear(queued(job, run), Instant::now());
    }

    #[tokio::test]
    async fn what_waits_for_github_is_bounded_and_the_latest_comes_first() {
        let hearing = hearing();
        for number in 0..=WAITING_MAX as u64 {
            hear(&hearing, number, 80);
        }
        let mut running = heard(1);
        running.job.state = JobState::Running;
        hearing.hear(running, Instant::now());
        assert_eq!(hearing.waiting().len(), WAITING_MAX, "and what runs does not wait");
        assert_eq!(hearing.next().map(|(one, _)| one.job.id.0), Some(WAITING_MAX as u64));
        assert_eq!(hearing.waiting().front().map(|(one, _)| one.job.id.0), Some(1));
    }

    /// A run of the fake GitHub whose request panics, as a bug of ours would.
    const DEADLY: u64 = 666;

    /// A GitHub that counts its requests, and answers when it is allowed to.
    #[derive(Default)]
    struct Slow {
        asked: Mutex<BTreeMap<u64, u32>>,
        answered: Mutex<u32>,
        may_answer: Notify,
    }

    impl Slow {
        async fn answer(self: Arc<Self>, run_id: u64) -> Answer {
            *self.asked.lock().expect("never poisoned").entry(run_id).or_default() += 1;
            assert_ne!(run_id, DEADLY, "this question is to die");
            self.may_answer.notified().await;
            *self.answered.lock().expect("never poisoned") += 1;
            Ok(Some(RunRecord { id: run_id, ..run(1, "mona") }))
        }

        fn under_way(&self) -> u32 {
            let asked: u32 = self.asked.lock().expect("never poisoned").values().sum();
            asked - *self.answered.lock().expect("never poisoned")
        }
    }

    fn completing(hearing: &Arc<Hearing>) -> (Arc<Slow>, task::JoinHandle<()>) {
        let github = Arc::new(Slow::default());
        let asked = github.clone();
        let ask = move |_: String, run_id: u64| asked.clone().answer(run_id);
        (github, tokio::spawn(complete_by(ask, hearing.clone())))
    }

    /// Runs all other tasks until none can continue: no clock is involved.
    async fn settle() {
        for _ in 0..1000 {
            task::yield_now().await;
        }
    }

    fn told(hearing: &Hearing) -> Vec<u64> {
        let mut told: Vec<u64> = hearing.news.take_jobs().iter().map(|(job, _)| job.id.0).collect();
        told.sort_unstable();
        told
    }

    #[tokio::test]
    async fn several_runs_are_asked_about_at_once_and_each_of_them_once() {
        let hearing = hearing();
        let (github, completing) = completing(&hearing);
        let (runs, jobs_of_each) = (3 * AT_ONCE as u64, 3);
        for job in 0..runs * jobs_of_each {
            hear(&hearing, job, job / jobs_of_each);
        }
        settle().await;
        assert_eq!(github.under_way(), 8, "no more than these, and no fewer");
        while github.under_way() > 0 {
            github.may_answer.notify_one();
            settle().await;
        }
        assert_eq!(told(&hearing), (0..runs * jobs_of_each).collect::<Vec<u64>>());
        let asked = github.asked.lock().expect("never poisoned").clone();
        assert_eq!(asked, (0..runs).map(|run| (run, 1)).collect::<BTreeMap<u64, u32>>());
        completing.abort();
    }

    #[tokio::test]
    async fn a_question_that_dies_takes_no_other_runs_jobs_with_it() {
        let hearing = hearing();
        let (github, completing) = completing(&hearing);
        hear(&hearing, 1, 80);
        settle().await;
        hear(&hearing, 2, DEADLY);
        settle().await;
        hear(&hearing, 3, 80);
        settle().await;
        github.may_answer.notify_waiters();
        settle().await;
        assert_eq!(told(&hearing), [1, 3]);
        assert_eq!(github.asked.lock().expect("never poisoned")[&80], 1);
        completing.abort();
    }
}
