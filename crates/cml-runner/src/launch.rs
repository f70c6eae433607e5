//! `cml-runner launch`.

use std::path::Path;
use std::time::Duration;

use cml_cloud::{Cloud, InstanceFilter, LaunchId};
use cml_controller::{Event, Launch, LaunchPlan, Outcome, RunnerPackageSource, StopError, Target};
use cml_github::{GitHub, Location, Scope};
use cml_journal::{EndReason, Journal, SqliteJournal};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::actions::{Outputs, now};
use crate::args::{self, CloudName, Global};
use crate::context::{self, OneCloud};
use crate::exit::{CliError, ExitCode};
use crate::packages::PackageCache;
use crate::progress::Progress;
use crate::signals::Left;
use crate::{settings, signals};

/// GitHub's default group, and the only one of a repository.
pub(crate) const DEFAULT_GROUP: u64 = 1;
/// Interval at which the foreground checks whether its machine is alive.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Interval at which it queries whether its runner has a job: for the ledger, and GitHub counts calls.
const ASK_GITHUB_EVERY: Duration = Duration::from_secs(15);

pub(crate) async fn launch(global: &Global, args: &args::Launch, as_cml: bool) -> Result<String, CliError> {
    let left = Left::default();
    let stop = signals::stop_token(left.clone())?;
    let progress = Progress::new(context::env("GITHUB_ACTIONS").is_some());
    for warning in settings::legacy_warnings(&args.legacy, args.cloud) {
        progress.warn(warning);
    }
    let github = context::github(global)?.stopping(stop.clone());
    no_group_of_a_repository(args, &github.location().scope)?;
    let cache = PackageCache::new(context::cache_dir().as_deref(), github.location());
    let launch_id = args.launch_id.unwrap_or_else(|| LaunchId::new(new_ulid()));
    let known = cache.read(now()).map(RunnerPackageSource::Cached);
    let setup = crate::setup::setup(&args.setup, args.instance_profile.is_some())?;
    let order = settings::order(args, as_cml, launch_id, now(), known, setup)?;
    let cloud = OneCloud::open(
        args.cloud.unwrap_or(CloudName::Local),
        &order.template.query.regions,
        args.state.state_dir.clone(),
    )
    .await?;
    let state_dir = args.state.state_dir.clone().unwrap_or_else(context::default_state_dir);
    let journal = context::journal(&state_dir, launch_id)?;
    let journal_file = context::journal_file(&state_dir, launch_id);
    let tell = |event: Event| {
        if let Event::Packages { packages } = &event {
            cache.write(packages, now());
        }
        progress.tell(&event);
        if let Event::Bought { instance, .. } = &event {
            left.may_be(remains(&order, github.location(), &journal_file, Some(&instance.0)));
        }
    };
    left.may_be(remains(&order, github.location(), &journal_file, None));
    let result = cml_controller::launch(&order, &cloud, &github, journal, &now, &tell, &stop).await;
    progress.finish();
    let outcome = result?;
    let outputs =
        Outputs { launch_id: launch_id.to_string(), labels: &order.template.labels, outcome: &outcome };
    if let Err(error) = outputs.write() {
        progress.warn(&error);
    }
    if let Outcome::Launched(launched) = &outcome {
        progress.line(&format!("the machine ends by {} at the latest (--max-lifetime)", launched.deadline));
        if args.wait || args.cloud.is_none() {
            stay(launched, launch_id, (&cloud, &state_dir), &github, &progress, &stop).await?;
        }
    }
    Ok(if global.json {
        format!("{}\n", as_json(launch_id, &order.template.labels, cloud.name(), &outcome))
    } else {
        String::new()
    })
}

/// Refuses a group where there is none, before anything is registered.
fn no_group_of_a_repository(args: &args::Launch, scope: &Scope) -> Result<(), CliError> {
    let Scope::Repository { owner, .. } = scope else { return Ok(()) };
    if args.group_id == DEFAULT_GROUP {
        return Ok(());
    }
    let message = format!(
        "--group-id {}: {scope} is a repository, and a repository has no runner groups",
        args.group_id
    );
    Err(CliError::new(ExitCode::Usage, message)
        .hint(format!("leave --group-id out, or name the organization: --repo https://github.com/{owner}")))
}

/// Returns what a launch may leave behind when it is stopped at once, each with the command that ends it.
fn remains(order: &LaunchPlan, at: &Location, journal: &Path, instance: Option<&str>) -> Vec<String> {
    let scope = &at.scope;
    let mut all = vec![format!(
        "the runner {} at {scope}: `cml-runner reap` removes it once it is offline",
        order.runner_name
    )];
    let machine = instance
        .map_or_else(|| format!("a machine of launch {}", order.launch), |id| format!("the machine {id}"));
    all.push(format!(
        "{machine}: it ends itself by {}; `cml-runner ls` shows it, `cml-runner stop {}` ends it now",
        order.deadline, order.launch
    ));
    all.push(format!("the journal {}, for `cml-runner cost`", journal.display()));
    all
}

/// Returns a new launch id: the edge's only randomness.
pub(crate) fn new_ulid() -> Ulid {
    #[allow(clippy::disallowed_methods, reason = "the edge of the program: here launch ids are made")]
    Ulid::generate()
}

fn as_json(launch_id: LaunchId, labels: &[String], cloud: &str, outcome: &Outcome) -> serde_json::Value {
    match outcome {
        Outcome::Reused { runner, labels } => {
            json!({"launch_id": null, "runner": runner, "labels": labels, "instance_id": null, "reused": true})
        }
        Outcome::Launched(launched) => json!({
            "launch_id": launch_id,
            "runner": launched.runner,
            "labels": labels,
            "instance_id": launched.instance,
            "cloud": cloud,
            "region": launched.region,
            "zone": launched.offer.as_ref().and_then(|offer| offer.zone.as_ref()),
            "instance_type": launched.offer.as_ref().map(|offer| &offer.instance_type),
            "market": launched.offer.as_ref().map(|offer| offer.market),
            "price_usd_per_hour": launched.offer.as_ref().and_then(|offer| offer.price),
            "deadline": launched.deadline.to_string(),
            "reused": false,
        }),
    }
}

/// Appends an event of the machine to a launch's journal: for reports; a failure is ignored.
fn note(state_dir: &Path, launch: LaunchId, event: &cml_journal::Event) {
    let written = SqliteJournal::open(&context::journal_file(state_dir, launch)).and_then(|mut journal| {
        let seen = journal.last()?;
        journal.append(seen, now(), std::slice::from_ref(event))
    });
    if let Err(error) = written {
        tracing::warn!(%error, "what became of the machine is not in its journal");
    }
}

/// Returns the event of a machine's end, by the cloud's clock where it has one.
fn end_of(launch: LaunchId, gone: Option<&cml_cloud::Instance>) -> cml_journal::Event {
    let taken_back = gone.is_some_and(|instance| instance.is_interrupted);
    cml_journal::Event::InstanceGone {
        launch,
        end: if taken_back { EndReason::TakenBack } else { EndReason::Ours },
        started_at: gone.map(|instance| instance.started_at),
        ended_at: gone.and_then(|instance| instance.ended_at),
        lacks_prices: false,
    }
}

/// Returns whether the runner has a job, if the answer has changed.
async fn is_busy_now(github: &GitHub, runner: &str, was_busy: bool) -> Option<bool> {
    let found = github.runners(Some(runner)).await.ok()?;
    let is_busy = found.iter().find(|known| known.name.eq_ignore_ascii_case(runner))?.busy;
    (is_busy != was_busy).then_some(is_busy)
}

/// Waits until the machine is gone. A signal ends an idle machine; a busy one needs a second signal.
async fn stay(
    launched: &Launch,
    launch_id: LaunchId,
    (cloud, state_dir): (&OneCloud, &Path),
    github: &GitHub,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    let filter = InstanceFilter {
        regions: vec![launched.region.clone()],
        launch: Some(launch_id),
        ..InstanceFilter::default()
    };
    let mut asked_to_stop = false;
    let (mut asked_github, mut was_busy) = (None, false);
    loop {
        match cloud.instances(&filter).await.and_then(cml_cloud::ByRegion::into_whole) {
            Ok(found) if !found.iter().any(cml_cloud::Instance::is_alive) => {
                note(state_dir, launch_id, &end_of(launch_id, found.first()));
                progress.line("the machine is gone");
                return Ok(());
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "could not look at the machine"),
        }
        if asked_github.is_none_or(|at: tokio::time::Instant| at.elapsed() >= ASK_GITHUB_EVERY) {
            asked_github = Some(tokio::time::Instant::now());
            if let Some(is_busy) = is_busy_now(github, &launched.runner, was_busy).await {
                was_busy = is_busy;
                let launch = launch_id;
                let busy = cml_journal::Event::RunnerBusy { launch, job: None };
                let idle = cml_journal::Event::RunnerIdle { launch };
                note(state_dir, launch, if is_busy { &busy } else { &idle });
            }
        }
        if stop.is_cancelled() && !asked_to_stop {
            asked_to_stop = true;
            let target = Target(launched.instance.to_string());
            match cml_controller::stop(&target, false, &filter, cloud, Some(github)).await {
                Ok(_) | Err(StopError::NotFound(_)) => {}
                Err(StopError::Busy(runner)) => progress.warn(&format!(
                    "{runner} is busy: its machine ends after its job; a second signal leaves it to itself"
                )),
                Err(error) => return Err(error.into()),
            }
        }
        tokio::select! {
            () = stop.cancelled(), if !asked_to_stop => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
