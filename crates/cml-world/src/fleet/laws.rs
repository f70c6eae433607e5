//! The laws (docs/architecture.md), checked against the truth: never against what a controller believes.

use std::io::Read;

use cml_cloud::{Arch, LaunchRequest, Market, Usd};
use cml_journal::{Record, State};
use cml_planner::{Job, JobId, JobState, Plan, PlanningInput, is_refused, labels};
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::github_model::{Phase, job_id};
use super::machine::{FORGOTTEN_AFTER, Machine};
use super::stranger;
use super::world::{BEGIN, World, at};

/// The longest delay of a machine's own timers, seconds.
const OWN_SLACK: i64 = 60;
/// The largest error of the clock of the process that decided, seconds.
const CLOCK_SLACK: i64 = 300;
/// Time within which the controller ends a machine that hangs: its grace, a wrong clock, an outage, and some
/// observations.
const HELP_SLACK: i64 = 20 * 60;
/// Prices are waited for for half an hour, and observations take their time.
const SILENT_FOR: i64 = 20 * 60;
/// Most calls of one process in a minute: more is a storm.
const CALLS_PER_MINUTE: u32 = 400;

impl World {
    /// Checks the laws that must hold after every event.
    pub(crate) fn watch_laws(&mut self) {
        let second = self.second();
        let mut broken: Vec<(&str, String)> = Vec::new();
        for (number, machine) in self.machines.iter().enumerate() {
            if !machine.lives() || machine.by_hand {
                continue;
            }
            let limit = machine.started + machine.lifetime + CLOCK_SLACK;
            let in_calm = self.calm_since.is_some_and(|since| second > since / 1000 + HELP_SLACK);
            let late = match machine.hangs {
                false => second > limit + OWN_SLACK,
                // Not while the cloud takes no calls, and only machines that are known to be ours.
                true => in_calm && machine.is_tagged && second > limit + HELP_SLACK,
            };
            if late {
                broken.push(("L1", format!("machine {number} of {} outlives its deadline", machine.spec)));
            }
        }
        for (law, what) in broken {
            self.violate(law, &what);
        }
    }

    /// Checks a purchase.
    pub(crate) fn watch_purchase(&mut self, index: usize, request: &LaunchRequest) {
        let (launch, spec_name) = (self.machines[index].launch, self.machines[index].spec.clone());
        if self.machines.iter().filter(|machine| machine.launch == launch && !machine.by_hand).count() > 1 {
            self.violate("L4", &format!("two machines of launch {launch}"));
        }
        let Some(spec) = self.specs.iter().find(|spec| spec.name == spec_name).cloned() else { return };
        // Machines that a person has made invisible cannot be counted.
        let counted = |machine: &&Machine| {
            machine.spec == spec_name && !machine.by_hand && machine.is_tagged && !machine.gone
        };
        let count = self.machines.iter().filter(counted).count();
        if count > usize::try_from(spec.max).unwrap_or(usize::MAX) {
            self.violate("L4", &format!("{count} machines of {spec_name}, which may have {}", spec.max));
        }
        if let Some(budget) = spec.budget {
            let committed = self.committed(&spec_name);
            if budget.day.is_some_and(|most| committed.0 > most.0) {
                self.violate("budget", &format!("{committed} are spent or promised, of {budget:?}"));
            }
        }
        self.watch_secrets(index, request);
        self.watch_policy(launch);
    }

    /// L5: checks that the machine gets its own registration and no other, and that no other field carries it.
    fn watch_secrets(&mut self, index: usize, request: &LaunchRequest) {
        let name = self.machines[index].runner_name.clone();
        let script = String::from_utf8_lossy(&unpacked(request.user_data.expose())).into_owned();
        let own = secret(&name);
        if !script.contains(&own) {
            self.violate("L5", &format!("machine {index} does not get its registration"));
        }
        if script.matches(SECRET).count() != script.matches(&own).count() {
            self.violate("L5", &format!("machine {index} gets a registration that is not its own"));
        }
        if request.all_tags().values().any(|value| value.contains(SECRET)) {
            self.violate("L5", &format!("a tag of machine {index} tells its registration"));
        }
        if !script.contains(&request.deadline.epoch_seconds().to_string()) {
            self.violate("L1", &format!("machine {index} does not know its deadline"));
        }
    }

    fn watch_policy(&mut self, launch: cml_cloud::LaunchId) {
        let Some(Some(meant)) = self.meant.get(&launch).copied() else { return };
        if self.jobs.get(super::github_model::job_index(meant)).is_some_and(|job| job.labels.is_empty()) {
            self.violate("L8", &format!("a machine is bought for job {meant}, which asks for no label"));
        }
        if let Some(rule) = self.jobs.get(super::github_model::job_index(meant)).and_then(|job| job.stranger)
        {
            self.violate("policy", &format!("a machine is bought for job {meant}, which {rule:?} refuses"));
        }
    }

    /// L8, at every decision: checks that the same would be done without the jobs that a policy or a spent budget
    /// refuses, and that each of these jobs has a reason.
    pub(crate) fn watch_strangers(&mut self, observed: &PlanningInput, plan: &Plan, now: Timestamp) {
        let is_refused = |job: &Job| {
            stranger::is_poor(job, observed) || is_refused(&observed.specs, &observed.offers, job)
        };
        let is_stranger = |job: &Job| job.state == JobState::Queued && is_refused(job);
        let strangers: Vec<JobId> =
            observed.jobs.iter().flatten().filter(|job| is_stranger(job)).map(|job| job.id).collect();
        if strangers.is_empty() {
            return;
        }
        let mut without = observed.clone();
        without.jobs.get_or_insert_default().retain(|job| !strangers.contains(&job.id));
        let alone = cml_planner::plan(&without, now);
        if alone.actions != plan.actions {
            let (ours, theirs) = (alone.actions.len(), plan.actions.len());
            let count = strangers.len();
            self.violate("L8", &format!("{count} refused jobs make {theirs} actions of {ours}:\n{plan}"));
        }
        let told = |job: &JobId| plan.waiting.iter().any(|waiting| waiting.job == *job);
        if let Some(job) = strangers.iter().find(|job| !told(job)) {
            self.violate("L8", &format!("job {job} is refused without a word"));
        }
    }

    /// Checks the end of a machine by a controller.
    pub(crate) fn watch_end(&mut self, index: usize) {
        let machine = &self.machines[index];
        let at_work = machine.job.is_some() && machine.lives();
        let due = self.second() >= machine.deadline;
        let (by_hand, hangs) = (machine.by_hand, machine.hangs);
        if by_hand {
            self.violate("L3", &format!("machine {index} is somebody else's"));
        }
        if at_work && !due && !hangs {
            self.violate("L3", &format!("machine {index} is ended at work"));
        }
    }

    /// Counts a call of a process.
    pub(crate) fn watch_calls(&mut self, process: usize) {
        let minute = self.now.div_euclid(60_000);
        let Some(known) = self.processes.get_mut(process) else { return };
        if known.calls_this_minute.0 != minute {
            known.calls_this_minute = (minute, 0);
        }
        known.calls_this_minute.1 += 1;
        if known.calls_this_minute.1 == CALLS_PER_MINUTE {
            self.violate("quiet", &format!("process {process} makes {CALLS_PER_MINUTE} calls in a minute"));
        }
    }

    /// Returns what a pool has spent today and has reserved, at the prices of the purchases.
    fn committed(&self, spec: &str) -> Usd {
        let today = |second: i64| (super::world::BEGIN + second).div_euclid(86_400);
        let now = self.second();
        let mut sum = Decimal::ZERO;
        for machine in self
            .machines
            .iter()
            .filter(|machine| machine.spec == spec && !machine.by_hand && machine.is_tagged)
        {
            sum += match machine.ended {
                None => {
                    // With a wrong clock the deadline may be some minutes off too.
                    let lease = (machine.deadline - machine.started).min(machine.lifetime);
                    let paid = machine.offer.price.map_or(machine.promised, |price| price.0);
                    let disk = machine.offer.disk.map_or(Decimal::ZERO, |disk| disk.hourly_at_most().0);
                    (machine.promised.min(paid) + disk) * Decimal::from(lease) / Decimal::from(3600)
                }
                Some(end) if today(end.second) == today(now) => self.bill(machine),
                Some(_) => Decimal::ZERO,
            };
        }
        Usd(sum)
    }

    /// Returns the cloud's own bill for a machine that has ended, second by second.
    pub(crate) fn bill(&self, machine: &Machine) -> Decimal {
        machine.ended.map_or(Decimal::ZERO, |end| self.bill_until(machine, end.second))
    }

    /// Returns its bill if it ended in this second, or at its end when that was earlier.
    pub(crate) fn bill_until(&self, machine: &Machine, second: i64) -> Decimal {
        self.machine_until(machine, second) + self.disk_until(machine, second)
    }

    fn machine_until(&self, machine: &Machine, second: i64) -> Decimal {
        let lived = second - machine.started;
        let is_spot = machine.offer.market == Market::Spot;
        if is_spot && machine.ended.is_some_and(|end| end.taken_back) && lived < 3600 {
            return Decimal::ZERO;
        }
        let until = machine.started + lived.max(60);
        if !is_spot {
            let price = self.market.on_demand_price(&machine.offer.instance_type);
            return price.0 * Decimal::from(until - machine.started) / Decimal::from(3600);
        }
        let (kind, zone) = (&machine.offer.instance_type, machine.offer.zone.clone().unwrap_or_default());
        let mut changes = self.market.changes(&zone, machine.started, (second - 1).max(machine.started));
        changes.push(until);
        let mut sum = Decimal::ZERO;
        for pair in changes.windows(2) {
            let price = self.market.spot_price(kind, &zone, pair[0]);
            sum += price.0 * Decimal::from(pair[1] - pair[0]);
        }
        sum / Decimal::from(3600)
    }

    /// Returns everything that is not at rest; empty once everything is.
    pub(crate) fn unrest(&self, lines: &[Record]) -> Vec<String> {
        let mut unrest = Vec::new();
        let state = State::of(lines);
        for (index, job) in self.jobs.iter().enumerate() {
            let has_reason = self.reasons.contains_key(&job_id(index));
            match job.phase {
                Phase::Over => {}
                // A job that was queued and failed between two polls, its webhooks lost, cannot be re-run.
                Phase::Failed if !state.knows(job_id(index)) => {}
                Phase::Failed => unrest.extend(self.why_failed(index)),
                _ if has_reason && self.is_refused_for_good(index) => {}
                _ => unrest.push(format!(
                    "L2: job {index} is {:?}; told reason: {:?}",
                    job.phase,
                    self.reasons.get(&job_id(index))
                )),
            }
        }
        for spec in &self.specs {
            let kept =
                usize::try_from(spec.min.max(spec.warm.iter().map(|warm| warm.count).max().unwrap_or(0)))
                    .unwrap_or(usize::MAX);
            let alive =
                self.machines.iter().filter(|it| it.spec == spec.name && !it.by_hand && !it.gone).count();
            let invisible = self.machines.iter().filter(|it| it.lives() && !it.is_tagged).count();
            if alive > kept + invisible {
                unrest.push(format!("L1: {alive} machines of {} where {kept} are kept", spec.name));
            }
            if alive < kept {
                unrest.push(format!("L2: {alive} machines of {} where {kept} are to be kept", spec.name));
            }
        }
        let of_others: Vec<&String> =
            self.machines.iter().filter(|it| it.by_hand).map(|it| &it.runner_name).collect();
        let orphans = self.runners.values().filter(|runner| {
            runner.name.starts_with("cml-")
                && !of_others.contains(&&runner.name)
                && !self.machines.iter().any(|machine| machine.runner_name == runner.name && !machine.gone)
        });
        unrest.extend(orphans.map(|runner| format!("L1: the registration {} has no machine", runner.name)));
        unrest.extend(self.wrong_in_the_journal(&state));
        unrest
    }

    /// Returns why a job may stay failed: its machine died by itself, by its deadline or by hand, or its re-runs are
    /// used up.
    fn why_failed(&self, index: usize) -> Option<String> {
        let job = &self.jobs[index];
        let superseded = self
            .runs
            .get(&job.run)
            .is_some_and(|run| run.attempt > job.attempt && run.jobs.iter().all(|known| *known != index));
        // While another job of the run waits, for money or permanently, GitHub allows no re-run. If GitHub assigned a
        // machine to a stranger's job, that job is not re-run.
        if superseded || job.stranger.is_some() || job.lost_by != Some(true) || !self.run_is_over(job.run) {
            return None;
        }
        let of_same_name =
            |other: &&super::github_model::SimJob| other.run == job.run && other.name == job.name;
        let lost = self.jobs.iter().filter(of_same_name).filter(|other| other.lost_by == Some(true)).count();
        let max = self.specs.iter().map(|spec| spec.reruns.max).max().unwrap_or(0);
        let is_by_hand = |name: &String| self.machines.iter().any(|it| it.by_hand && it.runner_name == *name);
        let by_hand = job.runner.as_ref().is_some_and(is_by_hand);
        // A machine whose tags were removed before its purchase was known is known to no process.
        let on_unknown = self
            .machines
            .iter()
            .any(|machine| Some(&machine.runner_name) == job.runner.as_ref() && !machine.is_tagged);
        let used_up = lost > usize::try_from(max).unwrap_or(0);
        (!used_up && !by_hand && !on_unknown)
            .then(|| format!("L2: job {index} lost its machine and has not run again"))
    }

    /// Returns whether a job is refused permanently: only policy does that. A budget refuses until the day is over.
    fn is_refused_for_good(&self, index: usize) -> bool {
        let job = &self.jobs[index];
        let has_budget = self.specs.iter().any(|spec| spec.budget.is_some());
        job.stranger.is_some()
            || job.labels.is_empty()
            || (has_budget && job.labels.iter().any(|label| label == "gpu"))
    }

    /// L6: checks that every machine is in the ledger once, with the cloud's own bill, and that every open launch has a
    /// machine.
    fn wrong_in_the_journal(&self, state: &State) -> Vec<String> {
        let mut wrong = Vec::new();
        for record in state.launches() {
            let machine = self.machines.iter().find(|machine| machine.launch == record.id);
            if machine.is_none_or(|machine| machine.gone) {
                wrong.push(format!("L7: launch {} is open without a machine", record.id));
            }
        }
        for machine in self.machines.iter().filter(|machine| machine.by_hand) {
            if state.ledger().iter().any(|entry| entry.launch == machine.launch) {
                wrong.push(format!("L6: the ledger has {}, which is another controller's", machine.launch));
            }
        }
        let mut sum = Decimal::ZERO;
        for machine in self.machines.iter().filter(|machine| !machine.by_hand && machine.gone) {
            let entries: Vec<_> =
                state.ledger().iter().filter(|entry| entry.launch == machine.launch).collect();
            let bill = self.bill(machine);
            sum += bill;
            match entries.as_slice() {
                [entry] if (entry.cost.0 - bill).abs() < Decimal::new(1, 4) => {
                    let shares: Decimal = entry.segments.iter().map(|part| part.cost().0).sum();
                    if shares != entry.cost.0 {
                        wrong.push(format!(
                            "L6: the shares of {} are {shares} of {}",
                            entry.launch, entry.cost.0
                        ));
                    }
                }
                // The daemon marks this entry as unknown.
                [entry]
                    if entry.estimated
                        && (self.was_silent_after(machine) || self.was_silent_at(machine, entry.to)) => {}
                // A machine whose answer was lost and whose tags were removed is known to no process.
                [] if !machine.is_tagged => {}
                [] => wrong.push(format!("L6: launch {} is in no ledger, and cost {bill}", machine.launch)),
                [entry] => wrong.push(format!(
                    "L6: launch {} cost {bill}, its ledger says {} ({}{} to {})",
                    machine.launch,
                    entry.cost.0,
                    if entry.estimated { "estimated, " } else { "" },
                    entry.from,
                    entry.to
                )),
                _ => wrong.push(format!(
                    "L6: launch {} is in the ledger {} times",
                    machine.launch,
                    entries.len()
                )),
            }
        }
        wrong
    }

    /// Returns whether its region did not answer when it was declared gone, an hour after its deadline.
    fn was_silent_at(&self, machine: &Machine, at: Timestamp) -> bool {
        let now = (at.as_second() - BEGIN) * 1000;
        let of_region = self.silences.iter().filter(|(region, _)| *region == machine.offer.region);
        of_region.map(|(_, silence)| silence).any(|silence| silence.contains(&now))
    }

    /// Returns whether its region did not answer for so long after its end that its end or its prices may have been
    /// recorded too late.
    fn was_silent_after(&self, machine: &Machine) -> bool {
        let Some(end) = machine.ended else { return false };
        let (from, until) = (end.second * 1000, (end.second + FORGOTTEN_AFTER) * 1000);
        let of_region = self.silences.iter().filter(|(region, _)| *region == machine.offer.region);
        let mut silent: Vec<_> = of_region.map(|(_, it)| (it.start.max(from), it.end.min(until))).collect();
        silent.sort_unstable();
        let (mut sum, mut at) = (0, from);
        for (begin, end) in silent {
            sum += (end - begin.max(at)).max(0);
            at = at.max(end);
        }
        sum >= SILENT_FOR * 1000
    }

    /// Checks the laws that must hold once everything is at rest.
    pub(crate) fn last_laws(&mut self, lines: &[Record]) {
        if lines.iter().any(|line| serde_json::to_string(&line.event).is_ok_and(|text| text.contains(SECRET)))
        {
            self.violate("L5", "the journal tells a registration");
        }
        let max = self.specs.iter().map(|spec| spec.reruns.max).max().unwrap_or(0);
        let most = self.jobs.iter().map(|job| job.attempt).max().unwrap_or(0);
        // A run of three jobs may need as many attempts as its jobs have re-runs together.
        if most > 3 * max + 1 {
            self.violate("cap", &format!("a run has {most} attempts"));
        }
        let per_name = |job: &super::github_model::SimJob| {
            self.jobs
                .iter()
                .filter(|other| {
                    (other.run, &other.name) == (job.run, &job.name) && other.lost_by == Some(true)
                })
                .count()
        };
        let over = self.jobs.iter().any(|job| per_name(job) > usize::try_from(max + 1).unwrap_or(0));
        if over {
            self.violate("cap", "a job lost its machine more often than it may run again");
        }
        // Without any fault one job is one machine, and no job waits in a pool that has room.
        if self.had_no_faults {
            let specs: Vec<_> =
                self.specs.iter().filter(|spec| spec.min == 0 && spec.warm.is_empty()).cloned().collect();
            for spec in &specs {
                let machines = self.machines.iter().filter(|machine| machine.spec == spec.name).count();
                let has = labels::registered(&spec.labels, spec.default_labels, Some(Arch::X64));
                let asks = |job: &&super::github_model::SimJob| labels::serves(&has, &job.labels);
                let jobs = self.jobs.iter().filter(asks).count();
                if machines > jobs {
                    self.violate(
                        "L4",
                        &format!("{machines} machines of {} for {jobs} jobs", spec.name.clone()),
                    );
                }
            }
        }
    }
}

impl World {
    /// Returns its disks' part of the bill: the price of a month is divided by the days of the month of each minute.
    /// The disks are those of the image, whatever the offers listed.
    fn disk_until(&self, machine: &Machine, second: i64) -> Decimal {
        let Some(disk) = machine.offer.disk else { return Decimal::ZERO };
        let gib = disk.gib - self.market.told_gib + self.market.image_gib;
        let until = machine.started + (second - machine.started).max(60);
        let mut sum = Decimal::ZERO;
        let mut from = machine.started;
        while from < until {
            let to = (from - from.rem_euclid(60) + 60).min(until);
            let date = at(from).to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
            sum += Decimal::from(to - from) / Decimal::from(i64::from(date.days_in_month()) * 86_400);
            from = to;
        }
        Decimal::from(gib) * disk.price.0 * sum
    }
}

/// Prefix of every secret of this world.
pub(crate) const SECRET: &str = "jit-secret-of-";

/// Returns the registration secret of a runner.
pub(crate) fn secret(runner_name: &str) -> String {
    format!("{SECRET}{runner_name}-end")
}

/// Returns user data as cloud-init sees it.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(_) => bytes.to_vec(),
    }
}
