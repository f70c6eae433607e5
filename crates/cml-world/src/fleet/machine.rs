//! A machine's own life: boot, runner, timers, end. It ends itself without help, unless it hangs.

use cml_cloud::{Instance, InstanceId, InstanceState, LaunchId, Offer};

use rust_decimal::Decimal;

use super::fault::Fault;
use super::github_model::Phase;
use super::market::second_of;
use super::world::{OWNER, SimEvent, World, at};

/// Time after which EC2 forgets a terminated instance.
pub(crate) const FORGOTTEN_AFTER: i64 = 3600;
/// Time for which a dead machine may be listed as running, milliseconds.
const SHOWS_DEAD_FOR: i64 = 45_000;

/// One machine and its history.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) launch: LaunchId,
    pub(crate) id: InstanceId,
    pub(crate) spec: String,
    /// The controller in its tag.
    pub(crate) controller: Option<String>,
    pub(crate) runner_name: String,
    pub(crate) offer: Offer,
    /// The highest price that its buyer asked for, US dollars per hour: a budget can reserve no more than what was
    /// known.
    pub(crate) promised: Decimal,
    /// Second of its purchase.
    pub(crate) started: i64,
    /// Second after which it must not exist, according to its tag.
    pub(crate) deadline: i64,
    /// The longest lifetime by its pool.
    pub(crate) lifetime: i64,
    pub(crate) boot_timeout: i64,
    pub(crate) idle_timeout: Option<i64>,
    pub(crate) is_tagged: bool,
    pub(crate) by_hand: bool,
    /// Millisecond from which it is listed.
    pub(crate) shows_at: i64,
    pub(crate) online: bool,
    /// Millisecond since which it has had no job.
    pub(crate) idle_since: Option<i64>,
    pub(crate) job: Option<usize>,
    pub(crate) hangs: bool,
    /// Millisecond at which the cloud takes it back, once that is decided.
    pub(crate) taken_at: Option<i64>,
    pub(crate) ended: Option<End>,
    pub(crate) gone: bool,
    /// Millisecond at which the cloud has finished its termination.
    pub(crate) gone_at: i64,
}

/// End of a machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// Second at which the bill stops.
    pub(crate) second: i64,
    pub(crate) taken_back: bool,
    pub(crate) shows_running_until: i64,
}

impl Machine {
    /// Returns whether it runs, and costs.
    pub(crate) fn lives(&self) -> bool {
        self.ended.is_none()
    }

    /// Returns whether it has ended but the cloud has not finished its termination: it counts against quotas.
    pub(crate) fn is_going(&self) -> bool {
        self.ended.is_some() && !self.gone
    }

    /// Returns the instance as the cloud lists it now, with or without tags; `None` before and after it is listed.
    pub(crate) fn shown(&self, now: i64) -> Option<Instance> {
        if now < self.shows_at || (self.gone && now - self.gone_at > FORGOTTEN_AFTER * 1000) {
            return None;
        }
        let state = match self.ended {
            None if self.online || now - self.started * 1000 > 10_000 => InstanceState::Running,
            None => InstanceState::Pending,
            Some(end) if now < end.shows_running_until => InstanceState::Running,
            Some(_) if self.gone => InstanceState::Terminated,
            Some(_) => InstanceState::Stopping,
        };
        let ended = self.ended.filter(|end| now >= end.shows_running_until);
        let because = ended.map(|end| {
            if end.taken_back { "Server.SpotInstanceTermination" } else { "Client.InstanceInitiatedShutdown" }
        });
        Some(Instance {
            controller: self.controller.clone().filter(|_| self.is_tagged),
            id: self.id.clone(),
            launch: self.is_tagged.then_some(self.launch),
            spec: self.is_tagged.then(|| self.spec.clone()),
            state,
            region: self.offer.region.clone(),
            zone: self.offer.zone.clone(),
            instance_type: self.offer.instance_type.clone(),
            market: self.offer.market,
            started_at: at(self.started),
            ended_at: ended.map(|end| at(end.second)),
            deadline: self.is_tagged.then(|| cml_cloud::Deadline(at(self.deadline))),
            owner: self.is_tagged.then(|| OWNER.to_owned()),
            runner_name: self.is_tagged.then(|| self.runner_name.clone()),
            ended_because: because.map(str::to_owned),
            is_interrupted: ended.is_some_and(|end| end.taken_back),
        })
    }
}

impl World {
    /// Starts the life of a machine that was bought.
    pub(crate) fn begin_life(&mut self, mut machine: Machine) -> usize {
        let index = self.machines.len();
        machine.shows_at = self.now;
        if self.fires(Fault::ShowsLate) {
            machine.shows_at += self.chance.between(5_000, 120_000);
        }
        let (boot_limit, deadline) = (machine.boot_timeout * 1000, machine.deadline * 1000 - self.now);
        self.machines.push(machine);
        let mut boot = self.chance.between(20_000, 90_000);
        if self.fires(Fault::BootsSlowly) {
            boot = self.chance.between(120_000, 560_000);
        }
        if !self.fires(Fault::NeverBoots) && !self.fires(Fault::NoNetwork) {
            self.after(boot, SimEvent::Boots(index));
        }
        if self.fires(Fault::RegistrationGone) {
            let name = self.machines[index].runner_name.clone();
            self.runners.retain(|_, runner| runner.name != name);
        }
        self.after(boot_limit, SimEvent::BootLimit(index));
        self.after(deadline, SimEvent::Deadline(index));
        index
    }

    fn runner_of(&self, machine: usize) -> Option<u64> {
        let name = &self.machines[machine].runner_name;
        self.runners.iter().find(|(_, runner)| runner.name == *name).map(|(id, _)| *id)
    }

    pub(crate) fn boots(&mut self, machine: usize) {
        let it = &self.machines[machine];
        if !it.lives() || it.hangs || it.online {
            return;
        }
        let Some(runner) = self.runner_of(machine) else {
            self.powers_off(machine, "its registration is gone");
            return;
        };
        self.note(|| format!("machine {machine}: runner {runner} online"));
        self.machines[machine].online = true;
        if let Some(known) = self.runners.get_mut(&runner) {
            (known.online, known.machine) = (true, Some(machine));
        }
        self.is_idle(machine);
        if self.fires(Fault::RunnerLeaves) {
            // It was offered a job that was withdrawn (actions/runner#4540).
            let (after, since) = (self.chance.between(1_000, 20_000), self.now);
            self.after(after, SimEvent::Vanishes { machine, since });
        }
    }

    fn is_idle(&mut self, machine: usize) {
        let since = self.now;
        self.machines[machine].idle_since = Some(since);
        if let Some(timeout) = self.machines[machine].idle_timeout {
            self.after(timeout * 1000, SimEvent::IdleLimit { machine, since });
        }
        if self.fires(Fault::RunnerVanishes) {
            let after = self.chance.between(60_000, 360_000);
            self.after(after, SimEvent::Vanishes { machine, since });
        }
    }

    pub(crate) fn boot_limit(&mut self, machine: usize) {
        let it = &self.machines[machine];
        if it.lives() && !it.online && !it.hangs {
            self.powers_off(machine, "it never came online");
        }
    }

    pub(crate) fn idle_limit(&mut self, machine: usize, since: i64) {
        let it = &self.machines[machine];
        if it.lives() && !it.hangs && it.idle_since == Some(since) {
            self.powers_off(machine, "it was idle");
        }
    }

    /// Removes a runner that has waited for some minutes, as GitHub does (actions/runner#4726); its program ends.
    pub(crate) fn vanishes(&mut self, machine: usize, since: i64) {
        let it = &self.machines[machine];
        if it.lives() && it.idle_since == Some(since) {
            let runner = self.runner_of(machine);
            runner.and_then(|runner| self.runners.remove(&runner));
            if !self.machines[machine].hangs {
                self.powers_off(machine, "GitHub has forgotten its runner");
            }
        }
    }

    pub(crate) fn deadline(&mut self, machine: usize) {
        let it = &self.machines[machine];
        if it.lives() && !it.hangs && !it.by_hand {
            self.powers_off(machine, "its deadline");
        }
    }

    /// Powers a machine off by itself: its runner has time to notify GitHub, but not to remove its registration.
    pub(crate) fn powers_off(&mut self, machine: usize, why: &str) {
        if self.machines[machine].lives() {
            self.ends(machine, false, true, why);
        }
    }

    pub(crate) fn dies(&mut self, machine: usize) {
        if self.machines[machine].lives() {
            self.ends(machine, false, false, "it dies");
        }
    }

    /// Hangs a machine: nothing on it runs any more, including its timers; the cloud lists it as running.
    pub(crate) fn hangs(&mut self, machine: usize) {
        if !self.machines[machine].lives() {
            return;
        }
        self.note(|| format!("machine {machine}: hangs"));
        self.machines[machine].hangs = true;
        if let Some(runner) = self.runner_of(machine)
            && let Some(known) = self.runners.get_mut(&runner)
        {
            known.online = false;
        }
        if let Some(job) = self.machines[machine].job {
            self.after(600_000, SimEvent::JobFails(job));
        }
    }

    /// Interrupts a machine: two minutes' notice, or none.
    pub(crate) fn take_back(&mut self, machine: usize) {
        let notice = if self.fires(Fault::NoNotice) { 0 } else { 120_000 };
        self.machines[machine].taken_at = Some(self.now + notice);
        self.note(|| format!("machine {machine}: will be taken back in {} s", notice / 1000));
        self.after(notice, SimEvent::Taken(machine));
    }

    pub(crate) fn taken(&mut self, machine: usize) {
        let it = &self.machines[machine];
        if !it.lives() {
            return;
        }
        if self.second() - it.started < 3600 {
            self.faults.meet(Fault::FirstHourFree);
        }
        let had_notice = self.chance.per_mille(700);
        self.ends(machine, true, had_notice, "the cloud takes it back");
    }

    /// Ends a machine. With `gently` its runner still notifies GitHub; else GitHub finds out after ten minutes.
    pub(crate) fn ends(&mut self, machine: usize, taken_back: bool, gently: bool, why: &str) {
        let why = why.to_owned();
        self.note(|| format!("machine {machine} ends: {why}"));
        let (now, second) = (self.now, self.second());
        let lag = if self.fires(Fault::ShowsDead) { SHOWS_DEAD_FOR } else { 0 };
        let hung = self.machines[machine].hangs;
        let it = &mut self.machines[machine];
        it.ended = Some(End { second, taken_back, shows_running_until: now + lag });
        it.idle_since = None;
        let gone_in = if self.fires(Fault::DeleteStuck) {
            self.chance.between(600_000, 7_200_000)
        } else {
            self.chance.between(20_000, 90_000)
        };
        self.after(gone_in.max(lag), SimEvent::Gone(machine));
        if let Some(runner) = self.runner_of(machine)
            && let Some(known) = self.runners.get_mut(&runner)
        {
            known.online = false;
        }
        if let Some(job) = self.machines[machine].job.take() {
            self.jobs[job].lost_by = Some(taken_back);
            if !hung {
                let after = if gently { self.chance.between(2_000, 20_000) } else { 600_000 };
                self.after(after, SimEvent::JobFails(job));
            }
        }
    }

    pub(crate) fn gone(&mut self, machine: usize) {
        if !self.machines[machine].gone {
            self.machines[machine].gone = true;
            self.machines[machine].gone_at = self.now;
            self.note(|| format!("machine {machine} is gone"));
        }
    }

    /// Completes a job: a single-use runner is removed from GitHub, its machine powers off.
    pub(crate) fn job_ends(&mut self, job: usize, machine: usize) {
        let it = &self.machines[machine];
        if !it.lives() || it.hangs || it.job != Some(job) || self.jobs[job].phase != Phase::Running {
            return;
        }
        self.jobs[job].phase = Phase::Over;
        self.jobs[job].succeeded = true;
        self.machines[machine].job = None;
        self.note(|| format!("job {job} is done on machine {machine}"));
        self.publish(job);
        let runner = self.runner_of(machine);
        if self.machines[machine].by_hand {
            self.is_idle(machine);
            if let Some(known) = runner.and_then(|runner| self.runners.get_mut(&runner)) {
                known.busy = false;
            }
            return;
        }
        runner.and_then(|runner| self.runners.remove(&runner));
        let after = self.chance.between(2_000, 20_000);
        self.after(after, SimEvent::PowersOff(machine));
    }

    /// Adds a machine and a runner that a person made by hand, with the same labels: it takes jobs, and is not ours to
    /// manage.
    pub(crate) fn make_by_hand(&mut self) {
        let Some(spec) = self.specs.first().cloned() else { return };
        self.ids += 1;
        let launch = LaunchId::new(ulid::Ulid::from_parts(0, self.ids));
        let name = format!("by-hand-{}", self.machines.len());
        self.make_for_others(&spec, launch, name, None);
    }

    /// Adds a machine of another controller: a step of a workflow launches one in the same scope, or a daemon with
    /// another configuration does, whose pools may have the same names. It has our tags, takes jobs that ask for its
    /// labels, and ends itself.
    pub(crate) fn make_by_another(&mut self) {
        let Some(mut spec) = self.specs.first().cloned() else { return };
        let launch = self.new_id(0);
        let controller = if self.chance.per_mille(500) {
            spec.name = "launch".to_owned();
            spec.labels = vec![format!("run-{launch}")];
            "launch"
        } else {
            "another-daemon"
        };
        self.make_for_others(&spec, launch, launch.runner_name(), Some(controller.to_owned()));
    }

    fn make_for_others(
        &mut self,
        spec: &cml_spec::Spec,
        launch: LaunchId,
        name: String,
        controller: Option<String>,
    ) {
        let second = self.second();
        let offers = self.market.offers(&super::specs::query(spec, &[]), second);
        let Some(offer) = offers.last().cloned() else { return };
        let index = self.machines.len();
        self.machines.push(Machine {
            launch,
            id: InstanceId(format!("i-{index:017x}")),
            spec: spec.name.clone(),
            is_tagged: controller.is_some(),
            controller,
            runner_name: name.clone(),
            offer,
            promised: Decimal::ZERO,
            started: second,
            deadline: second + 36_000,
            lifetime: 36_000,
            boot_timeout: 600,
            idle_timeout: Some(1800),
            by_hand: true,
            shows_at: self.now,
            online: true,
            idle_since: Some(self.now),
            job: None,
            hangs: false,
            taken_at: None,
            ended: None,
            gone: false,
            gone_at: 0,
        });
        let labels = cml_planner::labels::registered(&spec.labels, true, Some(cml_cloud::Arch::X64));
        let id = self.add_runner(name, labels);
        self.by_hand.insert(id);
        if let Some(runner) = self.runners.get_mut(&id) {
            (runner.online, runner.machine) = (true, Some(index));
        }
        self.is_idle(index);
    }

    /// Draws what happens to a machine when a job begins.
    pub(crate) fn fate_of(&mut self, machine: usize, length: i64) {
        let within = self.chance.between(1, length.max(2)) * 1000;
        if self.fires(Fault::Dies) {
            self.after(within, SimEvent::Dies(machine));
        } else if self.fires(Fault::Hangs) {
            self.after(within, SimEvent::Hangs(machine));
        }
    }
}

/// Returns the deadline of a request as a second of the world.
pub(crate) fn deadline_second(deadline: cml_cloud::Deadline) -> i64 {
    second_of(deadline.0)
}
