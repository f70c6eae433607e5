//! Metrics in OpenMetrics text. Label values come from the configuration and from short fixed lists, so that their number is
//! bounded. docs/reference.md lists them.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use rust_decimal::prelude::ToPrimitive;

use crate::status::StatusSnapshot;

/// Counters over the life of the process.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Webhooks by outcome.
    pub(crate) webhooks: Family<Outcome, Counter>,
    /// Time from the first byte read to the response.
    pub(crate) webhook_seconds: Histogram,
}

/// One of [`OUTCOMES`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSpec {
    spec: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    spec: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfService {
    service: &'static str,
}

/// Outcomes of webhooks.
const OUTCOMES: [&str; 11] = [
    "kept",
    "repeated",
    "ignored",
    "out_of_scope",
    "stale",
    "forged",
    "malformed",
    "unsupported",
    "too_large",
    "no_room",
    "not_kept",
];

impl Default for Counters {
    fn default() -> Self {
        let webhooks = Family::<Outcome, Counter>::default();
        // Created before the first scrape, so that a rate includes the first event of each.
        for outcome in OUTCOMES {
            drop(webhooks.get_or_create(&Outcome { outcome }));
        }
        Self { webhooks, webhook_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)) }
    }
}

impl Counters {
    /// Counts one webhook; returns true for the first of its kind.
    pub(crate) fn webhook(&self, outcome: &'static str) -> bool {
        self.webhooks.get_or_create(&Outcome { outcome }).inc() == 0
    }
}

/// Renders the text that Prometheus scrapes.
///
/// # Errors
/// Never, as far as is known: the text is written into memory.
pub fn text(board: &StatusSnapshot, counters: &Counters) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("cml_runner");
    registry.register("webhooks", "Webhooks received, by outcome", counters.webhooks.clone());
    registry.register_with_unit(
        "webhook_duration",
        "Time from receiving a webhook to responding to it",
        Unit::Seconds,
        counters.webhook_seconds.clone(),
    );
    let runners = Family::<OfState, Gauge>::default();
    registry.register("runners", "Machines by spec and state", runners.clone());
    let queued = Family::<OfSpec, Gauge>::default();
    registry.register("jobs_queued", "Jobs waiting for a machine", queued.clone());
    let oldest = Family::<OfSpec, Gauge>::default();
    registry.register_with_unit(
        "jobs_oldest_wait",
        "Wait time of the oldest job that is waiting for a machine",
        Unit::Seconds,
        oldest.clone(),
    );
    let max = Family::<OfSpec, Gauge>::default();
    registry.register("runners_max", "Maximum number of machines of the spec", max.clone());
    let spent = Family::<OfSpec, Gauge<f64, AtomicU64>>::default();
    registry.register(
        "spent_today_usd",
        "Estimated cost today (UTC) of ended and running machines",
        spent.clone(),
    );
    let budget = Family::<OfSpec, Gauge<f64, AtomicU64>>::default();
    registry.register("budget_day_usd", "Daily budget (UTC); absent without a budget", budget.clone());
    let up = Family::<OfService, Gauge>::default();
    registry.register(
        "service_up",
        "1 if the service answered at the last observation, 0 if it did not",
        up.clone(),
    );
    let looked = Gauge::<i64>::default();
    registry.register_with_unit(
        "last_look_timestamp",
        "Time of the last reconcile",
        Unit::Seconds,
        looked.clone(),
    );
    looked.set(board.at.map_or(0, |at| at.as_second()));
    let services = [("cloud", board.cloud_answers), ("github", board.github_answers)];
    for (service, answers) in services {
        up.get_or_create(&OfService { service }).set(i64::from(answers));
    }
    for pool in &board.pools {
        let spec = || OfSpec { spec: pool.name.clone() };
        let states = [
            ("starting", pool.starting),
            ("idle", pool.idle),
            ("busy", pool.busy),
            ("leaving", pool.leaving),
        ];
        for (state, count) in states {
            runners.get_or_create(&OfState { spec: pool.name.clone(), state }).set(count.into());
        }
        queued.get_or_create(&spec()).set(pool.queued.into());
        let waits =
            board.jobs.iter().filter(|job| job.state == "queued" && job.spec.as_ref() == Some(&pool.name));
        let since = waits.map(|job| job.queued_at).min();
        let wait = since.zip(board.at).map_or(0, |(since, at)| at.duration_since(since).as_secs().max(0));
        oldest.get_or_create(&spec()).set(wait);
        max.get_or_create(&spec()).set(pool.max.into());
        let cost = (pool.spent_today_usd.0 + pool.running_usd.0).to_f64().unwrap_or(0.0);
        spent.get_or_create(&spec()).set(cost);
        if let Some(most) = pool.budget_day_usd {
            budget.get_or_create(&spec()).set(most.0.to_f64().unwrap_or(0.0));
        }
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
