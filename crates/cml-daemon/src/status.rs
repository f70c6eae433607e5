//! The controller's state, for people and programs.

use std::collections::BTreeMap;

use cml_cloud::{Instance, InstanceState, LaunchId, Market, Usd, UsdPerHour};
use cml_controller::ReconcileReport;
use cml_journal::{CostCategory, LaunchView};
use cml_planner::{Balance, Job, JobId, JobState, RunnerStatus, day_of, spec_for};
use cml_spec::{Period, Spec};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;

/// Snapshot of everything that is shown.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StatusSnapshot {
    /// Time of the observation; `None` before the first.
    pub at: Option<Timestamp>,
    /// Whether the cloud answered in the last observation.
    pub cloud_answers: bool,
    /// Whether GitHub answered in it.
    pub github_answers: bool,
    /// The pools.
    pub pools: Vec<Pool>,
    /// Machines with their runners, the oldest first.
    pub runners: Vec<RunnerRow>,
    /// Jobs that wait or run, the oldest first.
    pub jobs: Vec<JobRow>,
    /// Budgets that are nearly used up.
    pub near_limit: Vec<LimitRow>,
}

/// A budget that is nearly used up.
#[derive(Clone, Debug, Serialize)]
pub struct LimitRow {
    /// The account of the budget.
    pub account: String,
    /// `day`, `week` or `month`, UTC.
    pub period: Period,
    /// The limit, US dollars.
    pub most_usd: Usd,
    /// Amount spent on machines that have ended.
    pub spent_usd: Usd,
    /// Amount reserved for existing machines, until their deadlines.
    pub promised_usd: Usd,
    /// Time at which the next period begins.
    pub renews_at: Timestamp,
}

impl LimitRow {
    fn of(balance: &Balance) -> Self {
        Self {
            account: balance.account.to_string(),
            period: balance.period,
            most_usd: balance.most,
            spent_usd: balance.spent,
            promised_usd: balance.promised,
            renews_at: balance.renews_at,
        }
    }
}

/// One pool.
#[derive(Clone, Debug, Serialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Maximum number of machines.
    pub max: u32,
    /// Number of machines that are starting.
    pub starting: u32,
    /// Number of machines that are online without a job.
    pub idle: u32,
    /// Number of machines with a job.
    pub busy: u32,
    /// Number of machines that are ending.
    pub leaving: u32,
    /// Number of jobs that wait for it.
    pub queued: u32,
    /// Amount spent on machines that ended today (UTC), US dollars.
    pub spent_today_usd: Usd,
    /// Cost of the existing machines so far, US dollars, estimated.
    pub running_usd: Usd,
    /// Daily budget (UTC), US dollars.
    pub budget_day_usd: Option<Usd>,
}

/// One launch with its machine and its runner.
#[derive(Clone, Debug, Serialize)]
pub struct RunnerRow {
    /// The launch.
    pub launch_id: LaunchId,
    /// Its runner's name.
    pub name: String,
    /// Name of its pool.
    pub spec: String,
    /// `starting`, `idle`, `busy`, `offline` or `leaving`.
    pub state: &'static str,
    /// The cloud's id of the machine.
    pub instance_id: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Zone.
    pub zone: Option<String>,
    /// Type.
    pub instance_type: Option<String>,
    /// Spot or on-demand.
    pub market: Option<Market>,
    /// Its price.
    pub price_usd_per_hour: Option<UsdPerHour>,
    /// Time of the decision.
    pub since: Timestamp,
    /// The time after which its machine must not exist.
    pub deadline: Timestamp,
    /// The job that it runs.
    pub job: Option<JobId>,
    /// Its activity over time.
    pub segments: Vec<Segment>,
}

/// A segment of a machine's life.
#[derive(Clone, Debug, Serialize)]
pub struct Segment {
    /// `boot`, `idle` or `work`.
    pub doing: &'static str,
    /// Start; the segment ends with the next one or now.
    pub since: Timestamp,
}

/// One job.
#[derive(Clone, Debug, Serialize)]
pub struct JobRow {
    /// GitHub's id.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// `owner/name`.
    pub repository: String,
    /// Its run.
    pub run_id: u64,
    /// Labels that it asks for.
    pub labels: Vec<String>,
    /// Name of the pool that serves it.
    pub spec: Option<String>,
    /// `queued`, `waiting` or `running`.
    pub state: &'static str,
    /// Start of its wait.
    pub queued_at: Timestamp,
    /// Its runner.
    pub runner: Option<String>,
    /// The actor that started it.
    pub actor: String,
    /// Why it has no machine now; `None` when one is being launched.
    pub why: Option<String>,
}

impl StatusSnapshot {
    /// Creates the snapshot of a report, with these pools.
    #[must_use]
    pub fn of(told: &ReconcileReport<'_>, specs: &[Spec]) -> Self {
        let runners = told.observation.runners.as_deref().unwrap_or_default();
        let runners: BTreeMap<LaunchId, &RunnerStatus> =
            runners.iter().filter_map(|it| Some((LaunchId::from_runner_name(&it.name)?, it))).collect();
        let instances = told.observation.instances.as_deref().unwrap_or_default();
        let instances: BTreeMap<&str, &Instance> =
            instances.iter().map(|instance| (instance.id.0.as_str(), instance)).collect();
        let row = |life: LaunchView<'_>| {
            let instance = life.bought.and_then(|(_, id, _)| instances.get(id.0.as_str()).copied());
            runner_row(&life, instance, runners.get(&life.launch).copied())
        };
        let rows: Vec<RunnerRow> = told.state.launch_views().map(row).collect();
        let whys: BTreeMap<JobId, String> =
            told.outcome.waiting.iter().map(|waiting| (waiting.job, waiting.why.to_string())).collect();
        let mut jobs: Vec<JobRow> = told
            .observation
            .jobs
            .iter()
            .flatten()
            .filter_map(|job| job_row(job, specs, told, &whys))
            .collect();
        jobs.sort_by_key(|job| (job.queued_at, job.id));
        let spent = spent_today(told);
        let pools = specs.iter().map(|spec| pool(spec, &rows, &jobs, &spent, told.at)).collect();
        Self {
            at: Some(told.at),
            cloud_answers: told.observation.instances.is_some(),
            github_answers: told.observation.runners.is_some() && told.observation.jobs.is_some(),
            pools,
            runners: rows,
            jobs,
            near_limit: told.outcome.near_limit.iter().map(LimitRow::of).collect(),
        }
    }
}

/// Returns the spending of each pool today on machines that have ended.
fn spent_today(told: &ReconcileReport<'_>) -> BTreeMap<String, Usd> {
    let today = day_of(told.at);
    let mut spent: BTreeMap<String, Usd> = BTreeMap::new();
    for spending in told.state.spent(told.at).into_iter().filter(|spending| spending.day == today) {
        spent.entry(spending.spec).or_insert(Usd(Decimal::ZERO)).0 += spending.cost.0;
    }
    spent
}

fn runner_row(
    life: &LaunchView<'_>,
    instance: Option<&Instance>,
    runner: Option<&RunnerStatus>,
) -> RunnerRow {
    let going =
        instance.is_some_and(|it| !matches!(it.state, InstanceState::Pending | InstanceState::Running));
    let state = match (runner, life.activity.last()) {
        _ if going || life.notice_at.is_some() => "leaving",
        (Some(runner), _) if runner.busy => "busy",
        (Some(runner), _) if runner.online => "idle",
        (None, Some(_)) => "leaving",
        (_, None) => "starting",
        (Some(_), Some(_)) => "offline",
    };
    let offer = life.bought.map(|(_, _, offer)| offer);
    let boot = Segment { doing: "boot", since: life.intended_at };
    let later = life.activity.iter().map(|(since, share)| Segment {
        doing: if matches!(share, CostCategory::Work(_)) { "work" } else { "idle" },
        since: *since,
    });
    RunnerRow {
        launch_id: life.launch,
        name: life.launch.runner_name(),
        spec: life.spec.to_owned(),
        state,
        instance_id: life.bought.map(|(_, id, _)| id.0.clone()),
        region: offer.map(|offer| offer.region.clone()),
        zone: instance.and_then(|it| it.zone.clone()).or_else(|| offer.and_then(|offer| offer.zone.clone())),
        instance_type: offer.map(|offer| offer.instance_type.clone()),
        market: offer.map(|offer| offer.market),
        price_usd_per_hour: offer.and_then(|offer| offer.price),
        since: life.intended_at,
        deadline: life.deadline.0,
        job: life.activity.last().and_then(|(_, share)| match share {
            CostCategory::Work(job) => *job,
            _ => None,
        }),
        segments: std::iter::once(boot).chain(later).collect(),
    }
}

fn job_row(
    job: &Job,
    specs: &[Spec],
    told: &ReconcileReport<'_>,
    whys: &BTreeMap<JobId, String>,
) -> Option<JobRow> {
    let state = match job.state {
        JobState::Queued => "queued",
        JobState::Waiting => "waiting",
        JobState::Running => "running",
        JobState::Over | JobState::Failed { .. } | JobState::Interrupted { .. } => return None,
    };
    let spec = spec_for(specs, &told.observation.offers, job).map(|spec| spec.name.clone());
    let why = whys.get(&job.id).cloned();
    // A job for GitHub-hosted runners is ignored.
    if spec.is_none() && why.is_none() {
        return None;
    }
    Some(JobRow {
        id: job.id,
        name: job.name.clone(),
        repository: job.repository.clone(),
        run_id: job.run_id,
        labels: job.labels.clone(),
        spec,
        state,
        queued_at: job.queued_at,
        runner: job.runner.clone(),
        actor: job.actor.clone(),
        why,
    })
}

fn pool(
    spec: &Spec,
    rows: &[RunnerRow],
    jobs: &[JobRow],
    spent: &BTreeMap<String, Usd>,
    now: Timestamp,
) -> Pool {
    let of_spec = || rows.iter().filter(|row| row.spec == spec.name);
    let count = |states: &[&str]| {
        u32::try_from(of_spec().filter(|row| states.contains(&row.state)).count()).unwrap_or(u32::MAX)
    };
    let queued = jobs.iter().filter(|job| job.state == "queued" && job.spec.as_ref() == Some(&spec.name));
    let cost = |row: &RunnerRow| {
        let seconds = u64::try_from(now.duration_since(row.since).as_secs()).unwrap_or(0);
        row.price_usd_per_hour.map_or(Decimal::ZERO, |price| price.for_seconds(seconds).0)
    };
    Pool {
        name: spec.name.clone(),
        labels: spec.labels.clone(),
        max: spec.max,
        starting: count(&["starting"]),
        idle: count(&["idle"]),
        busy: count(&["busy", "offline"]),
        leaving: count(&["leaving"]),
        queued: u32::try_from(queued.count()).unwrap_or(u32::MAX),
        spent_today_usd: spent.get(&spec.name).copied().unwrap_or(Usd(Decimal::ZERO)),
        running_usd: Usd(of_spec().map(cost).sum::<Decimal>().round_dp(4)),
        budget_day_usd: spec.budget.and_then(|budget| budget.day),
    }
}
