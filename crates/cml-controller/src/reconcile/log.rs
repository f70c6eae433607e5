//! Logs the life of each launch in a span with its id: cause, launch call, runner and end. An observation and a webhook log alike.

use cml_cloud::{LaunchId, Offer};
use cml_journal::{EndReason, Event, LaunchView, State};
use jiff::Timestamp;
use tracing::{Span, info, info_span};

/// The span of one launch.
pub(crate) fn span(launch: LaunchId) -> Span {
    info_span!("launch", id = %launch)
}

/// Logs events that were just appended. `state` is from before them.
pub(super) fn log(state: &State, events: &[Event], now: Timestamp) {
    for event in events {
        let Some(launch) = launch_of(event) else { continue };
        span(launch).in_scope(|| log_one(state.launch_view(launch).as_ref(), event, now));
    }
}

fn launch_of(event: &Event) -> Option<LaunchId> {
    match event {
        Event::LaunchIntended { launch, .. }
        | Event::LaunchBought { launch, .. }
        | Event::InstanceFound { launch, .. }
        | Event::LaunchFailed { launch, .. }
        | Event::RunnerIdle { launch }
        | Event::RunnerBusy { launch, .. }
        | Event::NoticeSeen { launch }
        | Event::InstanceGone { launch, .. } => Some(*launch),
        _ => None,
    }
}

fn log_one(before: Option<&LaunchView<'_>>, event: &Event, now: Timestamp) {
    let since = |at: Timestamp| now.duration_since(at).as_secs();
    let decided_for = before.map(|life| since(life.intended_at));
    let lives_for = before.and_then(|life| life.bought).map(|(at, ..)| since(at));
    match event {
        Event::LaunchIntended { spec, job, region, deadline, .. } => match job {
            Some(job) => info!(spec, job = job.0, region, %deadline, "decided, for a job"),
            None => info!(spec, region, %deadline, "decided, to be kept ready"),
        },
        // This one only adds a price that was not known before.
        Event::LaunchBought { .. } if lives_for.is_some() => {}
        Event::LaunchBought { instance, offer, .. } => {
            let (place, market, kind, price) = sold(offer);
            info!(%instance, kind, market, place, price, after_seconds = decided_for, "bought");
        }
        Event::InstanceFound { spec, instance, .. } => info!(spec, %instance, "found, without a decision"),
        Event::LaunchFailed { why, .. } => info!(why, after_seconds = decided_for, "not bought"),
        Event::RunnerIdle { .. } => info!(after_seconds = lives_for, "the runner is online"),
        Event::RunnerBusy { job, .. } => {
            info!(job = job.map(|job| job.0), after_seconds = lives_for, "the runner has a job");
        }
        Event::NoticeSeen { .. } => info!(after_seconds = lives_for, "the cloud takes the machine back"),
        Event::InstanceGone { end, .. } => {
            let why = match end {
                EndReason::TakenBack => "the cloud took it back",
                EndReason::Ours => "it ended",
            };
            info!(why, after_seconds = lives_for, "gone");
        }
        _ => {}
    }
}

fn sold(offer: &Offer) -> (&str, String, &str, Option<String>) {
    let place = offer.zone.as_deref().unwrap_or(&offer.region);
    let price = offer.price.map(|price| price.to_string());
    (place, offer.market.to_string(), &offer.instance_type, price)
}
