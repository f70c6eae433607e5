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

/// What is counted over the life of the process.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Webhooks by what became of them.
    pub(crate) webhooks: Family<Outcome, Counter>,
    /// From the first byte read to the answer.
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

/// What becomes of webhooks.
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
        // From the first scrape on, so that a rate sees the first one of each.
        for outcome in OUTCOMES {
            drop(webhooks.get_or_create(&Outcome { outcome }));
        }
        Self { webhooks, webhook_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)) }
    }
}

impl Counters {
    /// Counts one; true for the first of its kind.
    pub(crate) fn webhook(&self, outcome: &'static str) -> bool {
        self.webhooks.get_or_create(&Outcome { outcome }).inc() == 0
    }
}

/// The text that Prometheus reads.
///
/// # Errors
/// Never, as far as is known: a text is written into memory.
pub fn text(board: &StatusSnapshot, counters: &Counters) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("cml_runner");
    registry.register("webhooks", "Webhooks by what became of them", counters.webhooks.clone());
    registry.register_with_unit(
        "webhook_duration",
        "From a webhook's arrival to its answer",
        Unit::Seconds,
        counters.webhook_seconds.clone(),
    );
    let runners = Family::<OfState, Gauge>::default();
    registry.register("runners", "Machines by spec and by what they do", runners.clone());
    let queued = Family::<OfSpec, Gauge>::default();
    registry.register("jobs_queued", "Jobs that wait for a machine", queued.clone());
    let oldest = Family::<OfSpec, Gauge>::default();
    registry.register_with_unit(
        "jobs_oldest_wait",
        "How long the oldest has waited",
        Unit::Seconds,
        oldest.clone(),
    );
    let max = Family::<OfSpec, Gauge>::default();
    registry.register("runners_max", "Most machines that the spec may have", max.clone());
    let spent = Family::<OfSpec, Gauge<f64, AtomicU64>>::default();
    registry.register(
        "spent_today_usd",
        "Spent today (UTC) on machines that are gone, and by those that live, estimated",
        spent.clone(),
    );
    let budget = Family::<OfSpec, Gauge<f64, AtomicU64>>::default();
    registry.register("budget_day_usd", "Most money in a day (UTC); absent without a budget", budget.clone());
    let up = Family::<OfService, Gauge>::default();
    registry.register("service_up", "Whether the cloud and GitHub answered the last look", up.clone());
    let looked = Gauge::<i64>::default();
    registry.register_with_unit(
        "last_look_timestamp",
        "When the last look was decided upon",
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
