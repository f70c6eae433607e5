//! The plan: read it from top to bottom.

use std::collections::{BTreeMap, VecDeque};

use cml_cloud::{Deadline, InstanceId, Offer, Usd};
use cml_spec::Spec;
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::budget::{Balance, BudgetLedger, cost};
use crate::demand::{self, JobDemand, is_refused};
use crate::input::{Job, JobId, JobState, LaunchRecord, PlanningInput};
use crate::labels::{self, spec_for};
use crate::placement::Placement;
use crate::supply::{self, Machine, Phase};
use crate::termination::{self, TerminationReason};
use crate::wait_reason::WaitReason;
use crate::wakeup;
use crate::warm;

/// One action to take now.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Launches a machine.
    Launch {
        /// Its spec.
        spec: String,
        /// The job that it is for; none for a warm machine.
        job: Option<JobId>,
        /// Any of these offers: one region, one market, best first.
        offers: Vec<Offer>,
        /// Its deadline.
        deadline: Deadline,
    },
    /// Terminates a machine. An idle one's registration is removed first: GitHub refuses that when a job has come meanwhile.
    Terminate {
        /// Region.
        region: String,
        /// The machine.
        instance: InstanceId,
        /// Its runner's id at GitHub, if GitHub's list has it.
        runner: Option<u64>,
        /// Its runner's name, by which GitHub is asked once more before the machine is terminated.
        name: Option<String>,
        /// Why.
        cause: TerminationReason,
    },
    /// Removes a registration.
    RemoveRunner {
        /// GitHub's id.
        runner: u64,
        /// Its name.
        name: String,
        /// Why.
        cause: TerminationReason,
    },
    /// Re-runs interrupted jobs: all of one run at once, since GitHub refuses a second re-run while the first one is under
    /// way.
    Rerun {
        /// `owner/name`.
        repository: String,
        /// The run.
        run_id: u64,
        /// Its interrupted jobs.
        jobs: Vec<JobId>,
        /// Their attempt, which the re-run follows.
        attempt: u32,
        /// Who started that attempt.
        actor: String,
        /// Which re-run it is for the job that has lost most machines, from 1.
        number: u32,
    },
}

/// A queued job that gets no machine now, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The job.
    pub job: JobId,
    /// Why.
    pub why: WaitReason,
}

/// Actions, and a reason for every job that waits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Actions, in this order.
    pub actions: Vec<Action>,
    /// Jobs that get no machine now. Every queued job is either here, or served by a machine that is free or on its way,
    /// or has a launch among the actions.
    pub waiting: Vec<Waiting>,
    /// Accounts that are near their limits, these launches included.
    pub near_limit: Vec<Balance>,
    /// When time alone makes another plan worthwhile; none when nothing is due.
    pub next_look_at: Option<Timestamp>,
}

/// Makes the plan.
#[must_use]
pub fn plan(observed: &PlanningInput, now: Timestamp) -> Plan {
    let machines = supply::machines(observed, now);
    let specs: BTreeMap<&str, &Spec> = observed.specs.iter().map(|spec| (spec.name.as_str(), spec)).collect();
    let mut plan = Plan::default();
    // Terminations first: they may make room.
    for machine in &machines {
        let spec = machine.spec().and_then(|spec| specs.get(spec).copied());
        if let Some(cause) = termination::must_terminate(machine, spec, observed.runners.is_some(), now) {
            plan.actions.extend(terminate(machine, cause));
        }
    }
    for runner in termination::orphans(observed, &machines, now) {
        let (runner, name) = (runner.id, runner.name.clone());
        plan.actions.push(Action::RemoveRunner { runner, name, cause: TerminationReason::NoMachine });
    }
    let mut round = PlanBuilder::begin(observed, &specs, &machines, now);
    // Jobs before warm machines, the oldest job first. A job that cannot be served delays no other.
    for wanted in demand::job_demands(observed) {
        round.serve(&wanted, &mut plan);
    }
    for spec in &observed.specs {
        round.keep_ready(spec, &mut plan);
    }
    // Without the jobs it is not known which machine is of no use.
    if observed.jobs.is_some() {
        round.retire_idle(observed, &specs, &mut plan);
    }
    plan.actions.extend(reruns(observed));
    plan.near_limit = round.budgets.warnings();
    plan.next_look_at = wakeup::next_look_at(observed, &machines, &plan.waiting, now);
    plan
}

/// Returns a plan's waiting jobs when nothing may be done, for this reason.
#[must_use]
pub fn all_waiting(observed: &PlanningInput, why: &WaitReason) -> Vec<Waiting> {
    let reason = |wanted: &JobDemand<'_>| wanted.refused.clone().unwrap_or_else(|| why.clone());
    let wanted = demand::job_demands(observed).into_iter();
    wanted.map(|wanted| Waiting { job: wanted.job.id, why: reason(&wanted) }).collect()
}

/// What is left to assign while one plan is made.
struct PlanBuilder<'a> {
    now: Timestamp,
    specs: &'a BTreeMap<&'a str, &'a Spec>,
    github_answered: bool,
    placement: Placement<'a>,
    budgets: BudgetLedger<'a>,
    /// Number of machines of each spec, with those that start and those that terminate.
    count: BTreeMap<String, u32>,
    /// Machines that a job may get, those online first.
    free: BTreeMap<RunnerClass<'a>, VecDeque<&'a Machine<'a>>>,
}

/// What a runner may take: its labels, as a key, its group, and the spec whose policy applies.
type RunnerClass<'a> = (Vec<String>, Option<&'a str>, &'a str);

impl<'a> PlanBuilder<'a> {
    fn begin(
        observed: &'a PlanningInput,
        specs: &'a BTreeMap<&'a str, &'a Spec>,
        machines: &'a [Machine<'a>],
        now: Timestamp,
    ) -> Self {
        let mut count: BTreeMap<String, u32> = BTreeMap::new();
        let mut free: BTreeMap<RunnerClass<'_>, VecDeque<&Machine<'_>>> = BTreeMap::new();
        for machine in machines {
            let Some(record) = machine.record else { continue };
            *count.entry(record.spec.clone()).or_default() += 1;
            // A machine that must end any moment is no help.
            if machine.is_free_or_just_taken(now) && !record.deadline.passed(now) {
                let group = specs.get(record.spec.as_str()).and_then(|spec| spec.group.as_deref());
                let taker = (labels::key(machine.labels(record)), group, record.spec.as_str());
                let queue = free.entry(taker).or_default();
                match machine.phase {
                    Phase::Idle(_) => queue.push_front(machine),
                    _ => queue.push_back(machine),
                }
            }
        }
        let shop = Placement::open(observed, now);
        let books = BudgetLedger::open(observed, now);
        Self {
            now,
            specs,
            github_answered: observed.runners.is_some(),
            placement: shop,
            budgets: books,
            count,
            free,
        }
    }

    /// Serves a job: assigns a machine that is free or on its way, else launches one, else records a wait reason. A job that no spec
    /// serves, or that its own repository's or actor's budget refuses, reserves no machine (L8): if GitHub gives it one, that machine
    /// is busy and counts then.
    fn serve(&mut self, wanted: &JobDemand<'_>, plan: &mut Plan) {
        if let Some(why) = &wanted.refused {
            plan.waiting.push(Waiting { job: wanted.job.id, why: why.clone() });
            return;
        }
        let over_limit = self.over_own_budget(wanted);
        if self.assign_free(wanted, over_limit.is_some()) {
            return;
        }
        if let Some(why) = over_limit {
            plan.waiting.push(Waiting { job: wanted.job.id, why });
            return;
        }
        let mut first_reason = None;
        for spec in &wanted.specs {
            match self.launch(spec, Some(wanted.job), is_last_resort(spec, wanted.job)) {
                Ok(action) => {
                    plan.actions.push(action);
                    return;
                }
                // Another spec may serve the job: a broken one blocks no job.
                Err(why) => first_reason = first_reason.or(Some(why)),
            }
        }
        plan.waiting.extend(first_reason.map(|why| Waiting { job: wanted.job.id, why }));
    }

    /// Returns why the budget of the job's own repository or actor does not allow any machine that could be launched for it.
    fn over_own_budget(&self, wanted: &JobDemand<'_>) -> Option<WaitReason> {
        if !self.budgets.limits_who_asks(wanted.job) {
            return None;
        }
        let mut first_reason = None;
        for spec in &wanted.specs {
            let offers =
                self.placement.select_offers(spec, Some(wanted.job), is_last_resort(spec, wanted.job)).ok();
            // Without an offer there is no price.
            let asked = offers.as_ref().map_or(Some(Usd::default()), |offers| commitment(spec, offers));
            let is_too_little =
                |left: Decimal| left <= Decimal::ZERO || asked.is_none_or(|asked| asked.0 > left);
            let balance = self.budgets.refuses_who_asks(wanted.job, is_too_little)?;
            let asked = asked.filter(|_| offers.is_some());
            first_reason.get_or_insert(WaitReason::Budget { balance: Box::new(balance), asked });
        }
        first_reason
    }

    /// Assigns the job a machine whose runner may take it under a policy that allows it: the one with the fewest labels that are
    /// not asked for, one that is online before one that is on its way. `own_only`: only one that is reserved on the budget of the
    /// job's own repository and actor already.
    fn assign_free(&mut self, wanted: &JobDemand<'_>, own_only: bool) -> bool {
        let specs = self.specs;
        let allows = |spec: &str| {
            specs.get(spec).is_none_or(|spec| demand::violated_rule(&spec.allow, wanted.job).is_none())
        };
        let is_paid_by = |record: &LaunchRecord| {
            record.repository.as_ref() == Some(&wanted.job.repository)
                && record.actor.as_ref() == Some(&wanted.job.actor)
        };
        let may_take = |machine: &&Machine<'_>| !own_only || machine.record.is_some_and(is_paid_by);
        let is_on_its_way = |machine: Option<&&Machine<'_>>| {
            !machine.is_some_and(|machine| matches!(machine.phase, Phase::Idle(_)))
        };
        let fitting = self
            .free
            .iter_mut()
            .filter(|((labels, group, spec), _)| wanted.demand.takes(labels, *group) && allows(spec))
            .filter_map(|((labels, ..), queue)| Some((labels, queue.iter().position(may_take)?, queue)))
            .min_by_key(|(labels, place, queue)| (labels.len(), is_on_its_way(queue.get(*place))));
        fitting.is_some_and(|(_, place, queue)| queue.remove(place).is_some())
    }

    fn launch(&mut self, spec: &Spec, job: Option<&Job>, on_demand_only: bool) -> Result<Action, WaitReason> {
        let name = &spec.name;
        // A machine is of no use without a registration.
        if !self.github_answered {
            return Err(WaitReason::GitHubSilent);
        }
        if self.count.get(name).copied().unwrap_or(0) >= spec.max {
            return Err(WaitReason::Full { spec: name.clone(), max: spec.max });
        }
        let offers = self.placement.select_offers(spec, job, on_demand_only)?;
        let promised = commitment(spec, &offers);
        let refused = |balance| WaitReason::Budget { balance: Box::new(balance), asked: promised };
        self.budgets.pay(spec, job, promised).map_err(refused)?;
        if let Some(offer) = offers.first() {
            self.placement.reserve(offer);
        }
        *self.count.entry(name.clone()).or_default() += 1;
        let deadline = Deadline(self.now.checked_add(spec.max_lifetime).unwrap_or(Timestamp::MAX));
        let offers = offers.into_iter().cloned().collect();
        Ok(Action::Launch { spec: name.clone(), job: job.map(|job| job.id), offers, deadline })
    }

    /// Launches the warm machines and the minimum that a spec keeps. What is refused is tried again in the next plan.
    fn keep_ready(&mut self, spec: &Spec, plan: &mut Plan) {
        let free = |round: &Self| {
            let of_spec = |machine: &&&Machine<'_>| machine.spec() == Some(spec.name.as_str());
            round.free.values().flatten().filter(of_spec).count()
        };
        let ready = u32::try_from(free(self)).unwrap_or(u32::MAX);
        let for_warmth = warm::warm_count(spec, self.now).saturating_sub(ready);
        let for_minimum = spec.min.saturating_sub(self.count.get(&spec.name).copied().unwrap_or(0));
        for _ in 0..for_warmth.max(for_minimum) {
            match self.launch(spec, None, false) {
                Ok(action) => plan.actions.push(action),
                Err(_) => break,
            }
        }
    }

    /// Terminates idle machines that no job needs, the longest idle first, down to the number that is kept.
    fn retire_idle(&self, observed: &PlanningInput, specs: &BTreeMap<&str, &Spec>, plan: &mut Plan) {
        let mut idle: BTreeMap<&str, Vec<(Timestamp, &Machine<'_>)>> = BTreeMap::new();
        for machine in self.free.values().flatten() {
            if let (Phase::Idle(since), Some(spec)) = (machine.phase, machine.spec()) {
                idle.entry(spec).or_default().push((since, machine));
            }
        }
        for (name, mut machines) in idle {
            let spec = specs.get(name).copied();
            // A spec that was removed from the configuration keeps nothing.
            let (timeout, kept) = match spec {
                Some(spec) => {
                    let others = self.count.get(name).copied().unwrap_or(0);
                    let idle_count = u32::try_from(machines.len()).unwrap_or(u32::MAX);
                    let by_minimum = spec.min.saturating_sub(others.saturating_sub(idle_count));
                    let Some(timeout) = termination::idle_timeout(observed, spec) else { continue };
                    (timeout, warm::warm_count(spec, self.now).max(by_minimum))
                }
                None => (jiff::SignedDuration::ZERO, 0),
            };
            machines.sort_by_key(|(since, machine)| (*since, machine.launch));
            let over = machines.len().saturating_sub(usize::try_from(kept).unwrap_or(usize::MAX));
            for (since, machine) in machines.into_iter().take(over) {
                if self.now.duration_since(since) >= timeout {
                    plan.actions.extend(terminate(machine, TerminationReason::Idle));
                }
            }
        }
    }
}

/// Returns true for a job that was interrupted so often that it gets an on-demand machine.
fn is_last_resort(spec: &Spec, job: &Job) -> bool {
    spec.reruns.last_on_demand && job.interruptions >= spec.reruns.max.max(1)
}

/// Returns the reservation: the cost of the dearest offer until the deadline.
fn commitment(spec: &Spec, offers: &[&Offer]) -> Option<Usd> {
    let dearest = offers.iter().filter_map(|offer| offer.hourly_at_most()).max();
    dearest.map(|price| cost(price, None, spec.max_lifetime))
}

fn terminate(machine: &Machine<'_>, cause: TerminationReason) -> Option<Action> {
    let instance = machine.instance.filter(|instance| instance.is_alive())?;
    Some(Action::Terminate {
        region: instance.region.clone(),
        instance: instance.id.clone(),
        runner: machine.runner.map(|runner| runner.id),
        name: machine
            .runner
            .map(|runner| runner.name.clone())
            .or_else(|| instance.runner_name.clone())
            .or_else(|| machine.launch.map(|launch| launch.runner_name())),
        cause,
    })
}

/// Returns whether an interrupted job may be re-run. GitHub may have given a machine to a stranger's job: what a policy refuses is
/// not re-run, either.
#[must_use]
pub fn has_reruns(observed: &PlanningInput, job: &Job) -> bool {
    let spec = spec_for(&observed.specs, &observed.offers, job);
    spec.is_some_and(|spec| job.interruptions <= spec.reruns.max)
        && !is_refused(&observed.specs, &observed.offers, job)
}

/// Returns re-runs: only of interrupted jobs, only once GitHub accepts them, only up to the limit.
fn reruns(observed: &PlanningInput) -> Vec<Action> {
    let mut runs: BTreeMap<u64, Vec<&Job>> = BTreeMap::new();
    for job in observed.jobs.iter().flatten() {
        if job.state == (JobState::Interrupted { may_rerun: true }) && has_reruns(observed, job) {
            runs.entry(job.run_id).or_default().push(job);
        }
    }
    let action = |(run_id, jobs): (u64, Vec<&Job>)| {
        let first = jobs.first()?;
        let number = jobs.iter().map(|job| job.interruptions).max().unwrap_or(1);
        let jobs_of_run = jobs.iter().map(|job| job.id).collect();
        Some(Action::Rerun {
            repository: first.repository.clone(),
            run_id,
            jobs: jobs_of_run,
            attempt: first.attempt,
            actor: first.actor.clone(),
            number,
        })
    };
    runs.into_iter().filter_map(action).collect()
}
