//! The simulated GitHub as the controller calls it.

use std::collections::BTreeSet;

use cml_controller::{Forge, JobList};
use cml_github::{
    GitHubError, GitHubErrorKind, GitHubTime, JitRequest, JitRunner, Removal, Runner, RunnerDownload,
    TrackedJob,
};
use cml_planner::{Job, JobState};
use secrecy::SecretString;
use tokio::time::Instant;

use super::fault::Fault;
use super::fault_point::Life;
use super::github_model::{Phase, job_id, job_index};
use super::laws::secret;
use super::mutant::Mutant;
use super::world::{OWNER, World, at};

/// Points of a minute. <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
const POINTS_PER_MINUTE: u32 = 900;
/// Number of entries that a mutated reader sees.
const FIRST_PAGE: usize = 3;

/// GitHub, as seen by one life of a process.
pub(crate) struct SimForge {
    pub(crate) life: Life,
}

fn error(kind: GitHubErrorKind, cause: &str) -> GitHubError {
    GitHubError { kind, doing: "asking GitHub".to_owned(), cause: cause.to_owned(), hint: None }
}

impl SimForge {
    async fn call(&self, points: u32) -> Result<(), GitHubError> {
        self.life.travel().await;
        let mut world = self.life.shared.now();
        world.watch_calls(self.life.process);
        if world.now < world.github_down_until || world.fires(Fault::GitHubFails) {
            return Err(error(GitHubErrorKind::Transient, "503"));
        }
        let minute = world.now.div_euclid(60_000);
        if world.points.0 != minute {
            world.points = (minute, 0);
        }
        world.points.1 += points;
        if world.points.1 > POINTS_PER_MINUTE || world.fires(Fault::GitHubLimits) {
            return Err(error(GitHubErrorKind::RateLimited { retry_at: None }, "secondary rate limit"));
        }
        let time = GitHubTime { at: at(world.second()), received: Instant::now() };
        if let Some(process) = world.processes.get_mut(self.life.process) {
            process.github_time = Some(time);
        }
        Ok(())
    }
}

impl Forge for SimForge {
    fn scope(&self) -> String {
        OWNER.to_owned()
    }

    fn runner_url(&self) -> String {
        format!("https://github.invalid/{OWNER}")
    }

    fn time(&self) -> Option<GitHubTime> {
        let world = self.life.shared.now();
        if world.is(Mutant::TrustTheClock) {
            return Some(GitHubTime { at: world.wall(self.life.process), received: Instant::now() });
        }
        world.processes.get(self.life.process).and_then(|process| process.github_time)
    }

    async fn jit_runner(&self, request: &JitRequest) -> Result<JitRunner, GitHubError> {
        self.call(5).await?;
        let made = self.life.shared.now().register(request);
        self.life.travel().await;
        if made.is_ok() && self.life.shared.now().fires(Fault::GitHubAnswerLost) {
            return Err(error(GitHubErrorKind::Transient, "no answer"));
        }
        made
    }

    async fn registration_token(&self) -> Result<SecretString, GitHubError> {
        Err(error(GitHubErrorKind::Invalid, "this GitHub registers just in time only"))
    }

    async fn runners(&self, name: Option<&str>) -> Result<Vec<Runner>, GitHubError> {
        self.call(1).await?;
        let listed = match name {
            Some(name) => self.life.shared.now().one_runner(|_, known| known == name).into_iter().collect(),
            None => self.life.shared.now().listed(),
        };
        self.life.travel().await;
        Ok(listed)
    }

    async fn runner(&self, id: u64) -> Result<Option<Runner>, GitHubError> {
        self.call(1).await?;
        let found = self.life.shared.now().one_runner(|it, _| it == id);
        self.life.travel().await;
        Ok(found)
    }

    async fn remove_runner(&self, id: u64) -> Result<Removal, GitHubError> {
        self.call(5).await?;
        let removal = self.life.shared.now().remove(id);
        self.life.travel().await;
        Ok(removal)
    }

    async fn runner_packages(&self) -> Result<Vec<RunnerDownload>, GitHubError> {
        Ok(Vec::new())
    }

    async fn jobs(&self, followed: &[TrackedJob], _only: &BTreeSet<String>) -> Result<JobList, GitHubError> {
        self.call(2).await?;
        if self.life.shared.now().is(Mutant::TrustWebhooks) {
            // The first list ever made, for the rest of the history.
            return Ok(JobList::default());
        }
        let jobs = self.life.shared.now().list_jobs(followed);
        self.life.travel().await;
        Ok(JobList { jobs, ..JobList::default() })
    }

    async fn rerun(&self, _repository: &str, run_id: u64, only: Option<u64>) -> Result<(), GitHubError> {
        self.call(5).await?;
        let only = only.map(|job| job_index(cml_planner::JobId(job)));
        let begun = {
            let mut world = self.life.shared.now();
            world.is(Mutant::NeverRerun) || world.rerun(run_id, only)
        };
        self.life.travel().await;
        if begun {
            Ok(())
        } else {
            Err(error(GitHubErrorKind::Forbidden, "This workflow is already running"))
        }
    }
}

impl World {
    fn register(&mut self, request: &JitRequest) -> Result<JitRunner, GitHubError> {
        if self.runners.values().any(|runner| runner.name == request.name) {
            return Err(error(GitHubErrorKind::NameTaken, "Already exists"));
        }
        let mut labels = request.labels.clone();
        if self.is(Mutant::NoDefaultLabels) {
            labels.retain(|label| label != "self-hosted");
        }
        let id = self.add_runner(request.name.clone(), labels);
        self.note(|| format!("runner {id} is registered: {}", request.name));
        let encoded = SecretString::from(secret(&request.name));
        Ok(JitRunner { id, name: request.name.clone(), encoded })
    }

    /// Returns one runner, requested by its id or name: unlike lists, this answer is always true.
    fn one_runner(&self, is_it: impl Fn(u64, &str) -> bool) -> Option<Runner> {
        let (id, runner) = self.runners.iter().find(|(id, runner)| is_it(**id, &runner.name))?;
        if self.is(Mutant::TrustOneList) && !self.listed.contains(id) {
            return None;
        }
        let busy = runner.busy && !self.is(Mutant::UnknownIsIdle);
        let (name, labels) = (runner.name.clone(), runner.labels.clone());
        Some(Runner { id: *id, name, online: runner.online, busy, labels })
    }

    fn listed(&mut self) -> Vec<Runner> {
        let blind = self.is(Mutant::UnknownIsIdle);
        let ids: Vec<u64> = self.runners.keys().copied().collect();
        let mut all = Vec::new();
        for id in ids {
            // GitHub has shown busy runners as offline (actions/runner#4422).
            let lies = self.runners[&id].busy && self.fires(Fault::ShowsIdle);
            let runner = &self.runners[&id];
            all.push(Runner {
                id,
                name: runner.name.clone(),
                online: runner.online && !lies,
                busy: runner.busy && !lies && !blind,
                labels: runner.labels.clone(),
            });
        }
        // Another runner is removed between two pages, and this one moves from the second page to the first.
        if !all.is_empty() && self.fires(Fault::ListShort) {
            let gone = self.chance.below(i64::try_from(all.len()).unwrap_or(1));
            all.remove(usize::try_from(gone).unwrap_or(0));
        }
        self.listed = all.iter().map(|runner| runner.id).collect();
        if self.is(Mutant::SkipPagination) {
            all.truncate(FIRST_PAGE);
        }
        all
    }

    fn remove(&mut self, id: u64) -> Removal {
        let Some(runner) = self.runners.get(&id).cloned() else { return Removal::AlreadyGone };
        if self.is(Mutant::UnknownIsIdle) {
            return Removal::Removed;
        }
        // GitHub refuses while a job runs, even when the runner is unreachable.
        if runner.busy {
            self.faults.meet(Fault::BusyRefused);
            return Removal::Busy;
        }
        if self.by_hand.contains(&id) {
            self.violate("L3", &format!("the runner {id} is somebody else's"));
        }
        if self.is(Mutant::KeepOrphans) {
            return Removal::Removed;
        }
        self.note(|| format!("runner {id} is removed"));
        let machine = runner.machine;
        self.runners.remove(&id);
        // The program of an idle runner learns that its registration is gone.
        if let Some(machine) = machine
            && self.machines[machine].lives()
            && !self.machines[machine].hangs
        {
            self.after(5_000, super::world::SimEvent::PowersOff(machine));
        }
        Removal::Removed
    }

    fn list_jobs(&self, followed: &[TrackedJob]) -> Vec<Job> {
        let mut all = Vec::new();
        for index in 0..self.jobs.len() {
            let job = &self.jobs[index];
            let is_open = !matches!(job.phase, Phase::Hidden | Phase::Over | Phase::Failed);
            let is_followed = followed.iter().any(|lost| lost.job == job_id(index).0);
            let is_latest = self.runs.get(&job.run).is_some_and(|run| run.jobs.contains(&index));
            if is_open || (is_followed && job.phase == Phase::Failed && is_latest) {
                all.push(self.told(index));
            }
        }
        if self.is(Mutant::SkipPagination) {
            all.truncate(FIRST_PAGE);
        }
        debug_assert!(all.iter().all(|job| job.state != JobState::Over));
        all
    }
}
