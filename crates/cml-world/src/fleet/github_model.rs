//! GitHub's side of a simulated world: runs, jobs, runners, assignment, and webhooks.

use cml_planner::{Job, JobId, JobState, labels};

use tokio::time::Instant;

use super::fault::Fault;
use super::mutant::Mutant;
use super::stranger::{self, Stranger};
use super::world::{SimEvent, World, at};

/// Time after which GitHub cancels a job that is still queued. <https://docs.github.com/en/actions/reference/limits>
const QUEUE_LIMIT: i64 = 24 * 3600 * 1000;
/// The first id of a job.
const JOB_IDS: u64 = 1000;

/// Phase of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not created yet.
    Hidden,
    /// Waits for an approval.
    Waiting,
    /// Announced as queued, but cannot run yet.
    Held,
    /// Waits for a runner.
    Queued,
    Running,
    Failed,
    Over,
}

/// One job of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct SimJob {
    pub(crate) run: u64,
    pub(crate) attempt: u32,
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    /// The rule by which every pool refuses it.
    pub(crate) stranger: Option<Stranger>,
    pub(crate) phase: Phase,
    pub(crate) queued: i64,
    /// Its duration, seconds.
    pub(crate) length: i64,
    pub(crate) runner: Option<String>,
    pub(crate) started: Option<i64>,
    pub(crate) succeeded: bool,
    pub(crate) cancelled: bool,
    /// Whether it lost its machine: true when the cloud took it back.
    pub(crate) lost_by: Option<bool>,
}

/// A workflow run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) attempt: u32,
    /// Jobs of the latest attempt.
    pub(crate) jobs: Vec<usize>,
}

/// A registration.
#[derive(Clone, Debug)]
pub(crate) struct SimRunner {
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) online: bool,
    pub(crate) busy: bool,
    pub(crate) machine: Option<usize>,
}

pub(crate) fn job_id(index: usize) -> JobId {
    JobId(JOB_IDS + u64::try_from(index).unwrap_or(0))
}

pub(crate) fn job_index(id: JobId) -> usize {
    usize::try_from(id.0.saturating_sub(JOB_IDS)).unwrap_or(usize::MAX)
}

impl World {
    /// Adds a job that will be queued later.
    pub(crate) fn plan_job(&mut self, job: SimJob) -> usize {
        let index = self.jobs.len();
        let run = self.runs.entry(job.run).or_default();
        run.attempt = run.attempt.max(job.attempt);
        run.jobs.push(index);
        let after = job.queued * 1000 - self.now;
        self.jobs.push(job);
        self.after(after, SimEvent::JobComes(index));
        index
    }

    pub(crate) fn job_comes(&mut self, job: usize) {
        self.jobs[job].queued = self.second();
        let wait = self.chance.between(30_000, 900_000);
        self.jobs[job].phase = if self.fires(Fault::ApprovalTwice) {
            self.after(wait, SimEvent::JobMayRun(job));
            Phase::Waiting
        } else if self.fires(Fault::Held) {
            self.after(wait, SimEvent::JobMayRun(job));
            Phase::Held
        } else {
            Phase::Queued
        };
        self.note(|| format!("job {job} comes"));
        self.publish(job);
        if self.fires(Fault::Cancelled) {
            let after = self.chance.between(1_000, 600_000);
            self.after(after, SimEvent::JobCancelled(job));
        }
        // In some histories GitHub's limit is shorter, so that it is reached at all.
        let limit = if self.faults.is_armed(Fault::QueueLimit) { QUEUE_LIMIT / 24 } else { QUEUE_LIMIT };
        self.after(limit, SimEvent::JobTimesOut(job));
    }

    pub(crate) fn job_may_run(&mut self, job: usize) {
        if matches!(self.jobs[job].phase, Phase::Waiting | Phase::Held) {
            self.jobs[job].phase = Phase::Queued;
            // The approval announces the job once more, and then again.
            self.publish(job);
            self.publish(job);
        }
    }

    pub(crate) fn job_cancelled(&mut self, job: usize) {
        let before = matches!(self.jobs[job].phase, Phase::Waiting | Phase::Held | Phase::Queued);
        if before {
            self.note(|| format!("job {job} is cancelled"));
            (self.jobs[job].phase, self.jobs[job].cancelled) = (Phase::Over, true);
            self.publish(job);
        }
    }

    pub(crate) fn job_times_out(&mut self, job: usize) {
        if matches!(self.jobs[job].phase, Phase::Waiting | Phase::Held | Phase::Queued) {
            self.faults.meet(Fault::QueueLimit);
            self.job_cancelled(job);
        }
    }

    /// Fails a job: GitHub has been notified that its runner is gone, or has waited for it for ten minutes.
    pub(crate) fn job_fails(&mut self, job: usize) {
        if self.jobs[job].phase != Phase::Running {
            return;
        }
        self.note(|| format!("job {job} fails: its runner is lost"));
        self.jobs[job].phase = Phase::Failed;
        for runner in self.runners.values_mut() {
            if Some(&runner.name) == self.jobs[job].runner.as_ref() {
                runner.busy = false;
            }
        }
        for machine in &mut self.machines {
            if machine.job == Some(job) {
                // Only a machine that hangs still holds it.
                machine.job = None;
                self.jobs[job].lost_by = Some(false);
            }
        }
        self.publish(job);
    }

    pub(crate) fn run_is_over(&self, run: u64) -> bool {
        let over = |job: &usize| matches!(self.jobs[*job].phase, Phase::Over | Phase::Failed);
        self.runs.get(&run).is_some_and(|run| run.jobs.iter().all(over))
    }

    /// Re-runs failed jobs in a new attempt; false while the run is in progress.
    pub(crate) fn rerun(&mut self, run: u64, only: Option<usize>) -> bool {
        if !self.run_is_over(run) {
            self.faults.meet(Fault::RerunRefused);
            return false;
        }
        let Some(known) = self.runs.get(&run).cloned() else { return false };
        let again: Vec<usize> = known
            .jobs
            .iter()
            .copied()
            .filter(|job| self.jobs[*job].phase == Phase::Failed && only.is_none_or(|only| only == *job))
            .collect();
        if again.is_empty() {
            return false;
        }
        self.faults.meet(Fault::Rerun);
        let attempt = known.attempt + 1;
        self.runs.insert(run, Run { attempt, jobs: Vec::new() });
        // The others are carried over unchanged.
        let others: Vec<usize> = known.jobs.into_iter().filter(|job| !again.contains(job)).collect();
        for job in again {
            let before = self.jobs[job].clone();
            self.plan_job(SimJob {
                attempt,
                phase: Phase::Hidden,
                queued: self.second() + 1,
                runner: None,
                started: None,
                lost_by: None,
                ..before
            });
        }
        if let Some(run) = self.runs.get_mut(&run) {
            run.jobs.extend(others);
        }
        true
    }

    pub(crate) fn add_runner(&mut self, name: String, labels: Vec<String>) -> u64 {
        let id = self.next_runner;
        self.next_runner += 1;
        self.runners.insert(id, SimRunner { name, labels, online: false, busy: false, machine: None });
        id
    }

    /// Assigns the oldest job to any runner that may take it: not to the one that was launched for it.
    pub(crate) fn assign(&mut self) {
        if self.now < self.unassigned_until {
            return;
        }
        let mut queued: Vec<usize> =
            (0..self.jobs.len()).filter(|job| self.jobs[*job].phase == Phase::Queued).collect();
        queued.sort_by_key(|job| (self.jobs[*job].queued, *job));
        for job in queued {
            let free: Vec<u64> = self
                .runners
                .iter()
                .filter(|(_, runner)| {
                    runner.online && !runner.busy && labels::serves(&runner.labels, &self.jobs[job].labels)
                })
                .map(|(id, _)| *id)
                .collect();
            if free.is_empty() {
                continue;
            }
            let runner = *self.chance.pick(&free);
            self.begin_job(job, runner);
        }
    }

    fn begin_job(&mut self, job: usize, runner: u64) {
        let second = self.second();
        let Some(known) = self.runners.get_mut(&runner) else { return };
        known.busy = true;
        let (name, machine) = (known.name.clone(), known.machine);
        let Some(machine) = machine else { return };
        self.note(|| format!("job {job} begins on machine {machine} (runner {runner})"));
        let launch = self.machines[machine].launch;
        if self.meant.get(&launch).is_some_and(|meant| meant.is_some_and(|meant| meant != job_id(job))) {
            self.faults.meet(Fault::Stolen);
        }
        let it = &mut self.jobs[job];
        it.phase = Phase::Running;
        it.runner = Some(name);
        it.started = Some(second);
        let length = it.length;
        (self.machines[machine].job, self.machines[machine].idle_since) = (Some(job), None);
        self.after(length * 1000, SimEvent::JobEnds { job, machine });
        if !self.machines[machine].by_hand {
            self.fate_of(machine, length);
        }
        self.publish(job);
    }

    /// Returns a job as GitHub's API reports it.
    pub(crate) fn told(&self, index: usize) -> Job {
        let job = &self.jobs[index];
        let state = match job.phase {
            Phase::Hidden | Phase::Waiting => JobState::Waiting,
            Phase::Held | Phase::Queued => JobState::Queued,
            Phase::Running => JobState::Running,
            Phase::Failed => JobState::Failed { run_over: self.run_is_over(job.run) },
            Phase::Over => JobState::Over,
        };
        let told = Job {
            id: job_id(index),
            run_id: job.run,
            attempt: job.attempt,
            name: job.name.clone(),
            repository: String::new(),
            labels: match job.labels.as_slice() {
                [] if self.is(Mutant::GuessLabels) => vec!["self-hosted".to_owned(), "gpu".to_owned()],
                labels => labels.to_vec(),
            },
            group: None,
            event: String::new(),
            from_fork: false,
            actor: String::new(),
            workflow: "train".to_owned(),
            branch: "main".to_owned(),
            queued_at: at(job.queued),
            state,
            runner: job.runner.clone(),
            interruptions: 0,
        };
        stranger::sign(told, job.stranger)
    }

    /// Sends webhooks to every process: lost, twice, late, in any order.
    pub(crate) fn publish(&mut self, job: usize) {
        for process in 0..self.processes.len() {
            if self.fires(Fault::WebhookLost) {
                continue;
            }
            let times = if self.fires(Fault::WebhookTwice) { 2 } else { 1 };
            for _ in 0..times {
                let mut delay = self.chance.between(100, 3_000);
                if self.fires(Fault::WebhookLate) {
                    delay += self.chance.between(10_000, 1_200_000);
                }
                let told = self.told(job);
                // A job that has failed is completed, as far as the webhook shows.
                let state =
                    if matches!(told.state, JobState::Failed { .. }) { JobState::Over } else { told.state };
                let job = Box::new(Job { state, ..told });
                self.after(delay, SimEvent::Webhook { process, job });
            }
        }
    }

    /// Delivers a webhook. A process that is down misses it.
    pub(crate) fn deliver(&mut self, process: usize, job: Job) {
        if let Some(news) = self.processes.get(process).and_then(|process| process.news.clone()) {
            news.send_job(job, Instant::now());
        }
    }
}
