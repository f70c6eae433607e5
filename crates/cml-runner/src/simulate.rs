//! `cml-runner simulate`: a cml.yaml with past jobs, on a simulated cloud whose spot market is a recorded one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cml_cloud::{Arch, Resources, UsdPerHour};
use cml_spec::{CloudName, Config};
use cml_world::fleet::{Kind, Outcome, PastJob, WhatIf, Wish, what_if};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::actions::now;
use crate::args::{self, Global};
use crate::daemon::query;
use crate::exit::{CliError, ExitCode};
use crate::validate::read;
use crate::{context, signals, simulation_report};

/// The types that are sold, by name.
type Kinds = BTreeMap<String, Kind>;

/// The region of machines outside any cloud.
const HERE: &str = "local";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobLine {
    queued_at: Timestamp,
    labels: Vec<String>,
    seconds: i64,
    #[serde(default)]
    from_fork: bool,
}

pub(crate) async fn simulate(global: &Global, args: &args::Simulate) -> Result<String, CliError> {
    let stop = signals::stop_token(signals::Left::default())?;
    let mut files = vec![args.spec.clone()];
    files.extend(args.compare.clone());
    let configs: Result<Vec<Config>, CliError> = files.iter().map(|path| read(path)).collect();
    let configs = configs?;
    let asked: Result<Vec<(Vec<Wish>, Kinds)>, CliError> =
        configs.iter().zip(&files).map(|(config, path)| wishes(config, path)).collect();
    let jobs = latest(jobs(global, args, &configs).await?, args.days);
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut outcomes = Vec::new();
    for ((wishes, kinds), path) in asked?.into_iter().zip(&files) {
        let what = WhatIf { wishes, kinds, jobs: jobs.clone(), seed: args.seed };
        let outcome = play(what, path, &cancelled, &stop).await?;
        outcomes.push((path.display().to_string(), outcome));
    }
    if let Some(path) = &args.html {
        std::fs::write(path, simulation_report::page(&outcomes, jobs.len()))
            .map_err(|error| CliError::new(ExitCode::Failed, format!("{}: {error}", path.display())))?;
    }
    let text = if global.json {
        simulation_report::as_json(&outcomes)
    } else {
        simulation_report::table(&outcomes, jobs.len())
    };
    if cancelled.load(Ordering::Relaxed) {
        let mut trouble = CliError::new(ExitCode::Interrupted, "interrupted; what was simulated so far:");
        trouble.details = text.lines().map(str::to_owned).collect();
        return Err(trouble);
    }
    Ok(text)
}

/// Runs one file on a separate thread, with a progress bar on a terminal; a signal cancels it.
async fn play(
    what: WhatIf,
    path: &Path,
    cancelled: &Arc<AtomicBool>,
    stop: &tokio_util::sync::CancellationToken,
) -> Result<Outcome, CliError> {
    // Hidden automatically without a terminal.
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent} % {eta}") {
        bar.set_style(style);
    }
    bar.set_message(path.display().to_string());
    let (watched, flag) = (bar.clone(), Arc::clone(cancelled));
    let mut played = tokio::task::spawn_blocking(move || {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        let progress = |share: f64| watched.set_position((share * 1000.0) as u64);
        what_if(&what, &progress, &flag)
    });
    let outcome = tokio::select! {
        outcome = &mut played => outcome,
        () = stop.cancelled() => {
            cancelled.store(true, Ordering::Relaxed);
            played.await
        }
    };
    bar.finish_and_clear();
    outcome
        .map_err(|error| CliError::new(ExitCode::Failed, format!("the simulation broke: {error}")))?
        .map_err(|error| CliError::new(ExitCode::Usage, error))
}

/// Returns the pools of a file with what they may buy.
fn wishes(config: &Config, path: &Path) -> Result<(Vec<Wish>, Kinds), CliError> {
    let mut kinds = BTreeMap::new();
    let mut wishes = Vec::new();
    for runners in &config.runners {
        let name = &runners.spec.name;
        let wrong = |key: &str, what: &str| {
            CliError::new(ExitCode::Usage, format!("{}: runners.{name}.{key}: {what}", path.display()))
        };
        let regions = match runners.cloud {
            CloudName::Local => vec![HERE.to_owned()],
            CloudName::Aws => runners.regions.clone(),
        };
        if regions.is_empty() {
            return Err(wrong("regions", "a simulation needs at least one"));
        }
        let choices = match runners.cloud {
            CloudName::Local => vec![(HERE.to_owned(), Some(here()))],
            CloudName::Aws => {
                let choices = cml_ec2::choices(&query(runners, ""))
                    .map_err(|error| wrong("instance_types", &error.to_string()))?;
                choices.into_iter().map(|choice| (choice.name.clone(), known(choice))).collect()
            }
        };
        let types = choices.iter().map(|(name, _)| name.clone()).collect();
        for (kind, known) in choices {
            let known = known.ok_or_else(|| {
                wrong("instance_types", &format!("{kind} is not in the table of types and prices of 2026-07"))
            })?;
            kinds.insert(kind, known);
        }
        wishes.push(Wish {
            spec: runners.spec.clone(),
            regions,
            types,
            disk_gib: runners.disk_gib.unwrap_or(cml_ec2::DEFAULT_DISK_GIB),
        });
    }
    Ok((wishes, kinds))
}

fn known(choice: cml_ec2::Choice) -> Option<Kind> {
    Some(Kind { resources: choice.resources?, on_demand: choice.on_demand? })
}

/// Returns the kind of this machine, which costs nothing.
fn here() -> Kind {
    let resources = Resources { vcpus: 1, memory_mib: 1024, gpu: None, arch: Arch::X64 };
    Kind { resources, on_demand: UsdPerHour(Decimal::ZERO) }
}

async fn jobs(global: &Global, args: &args::Simulate, configs: &[Config]) -> Result<Vec<PastJob>, CliError> {
    let Some(path) = &args.jobs else {
        if args.from_github {
            return from_github(global, args.days, configs).await;
        }
        return Err(CliError::new(ExitCode::Usage, "a simulation plays past jobs, and none are named")
            .hint("say which jobs: --jobs FILE or --from-github"));
    };
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::new(ExitCode::Usage, format!("{name}: {error}")))?;
    let mut jobs = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let job: JobLine = serde_json::from_str(line).map_err(|error| {
            CliError::new(ExitCode::Usage, not_a_job(&name.to_string(), number, &error)).hint(
                "one JSON object a line: {\"queued_at\": \"2026-11-02T09:00:00Z\", \"labels\": [\"gpu\"], \"seconds\": 900}",
            )
        })?;
        jobs.push(PastJob {
            queued_at: job.queued_at,
            labels: job.labels,
            seconds: job.seconds,
            from_fork: job.from_fork,
        });
    }
    if jobs.is_empty() {
        return Err(CliError::new(ExitCode::Usage, format!("{name}: there is no job in it")));
    }
    Ok(jobs)
}

/// Returns the error of a line of jobs. The parser counts lines within the one that it is given.
fn not_a_job(name: &str, number: usize, error: &serde_json::Error) -> String {
    let words = error.to_string();
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    let what = if error.is_data() { "" } else { "not JSON: " };
    format!("{name}:{number}:{}: {what}{words}", error.column().max(1))
}

/// Returns whether a job is for self-hosted machines: it has that label, or a pool without the default labels has all
/// of its labels.
fn is_for_us(labels: &[String], configs: &[Config]) -> bool {
    let has = |all: &[String], label: &str| all.iter().any(|known| known.eq_ignore_ascii_case(label));
    let mut bare = configs.iter().flat_map(|config| &config.runners).filter(|it| !it.spec.default_labels);
    has(labels, "self-hosted")
        || (!labels.is_empty() && bare.any(|it| labels.iter().all(|label| has(&it.spec.labels, label))))
}

/// Returns the repository's own last days: completed jobs for self-hosted runners.
async fn from_github(global: &Global, days: u16, configs: &[Config]) -> Result<Vec<PastJob>, CliError> {
    let github = context::github_with(global, context::READS_ACTIONS)?;
    let since = now().checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MIN);
    let date = since.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    let past = |job: cml_github::JobRecord| {
        let (started, ended) = (job.started_at?, job.completed_at?);
        let seconds = ended.duration_since(started).as_secs();
        let from_fork = job.run.origin() == cml_github::Origin::Foreign;
        (is_for_us(&job.labels, configs) && seconds > 0).then_some(PastJob {
            queued_at: job.created_at.unwrap_or(started),
            labels: job.labels,
            seconds,
            from_fork,
        })
    };
    let jobs: Vec<PastJob> = github.finished_jobs(date).await?.into_iter().filter_map(past).collect();
    if jobs.is_empty() {
        return Err(CliError::new(
            ExitCode::Failed,
            format!("no job for self-hosted runners has run in the last {days} days"),
        )
        .hint("name jobs of your own with --jobs"));
    }
    Ok(jobs)
}

/// Returns the jobs of the last days, counted back from the last job.
fn latest(mut jobs: Vec<PastJob>, days: u16) -> Vec<PastJob> {
    jobs.sort_by_key(|job| job.queued_at);
    let last = jobs.last().map(|job| job.queued_at);
    let since = last.and_then(|last| last.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok());
    jobs.retain(|job| since.is_none_or(|since| job.queued_at >= since));
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_without_the_label_self_hosted_is_ours_where_a_pool_has_no_default_labels() {
        let config = |more: &str| {
            let text =
                format!("runners:\n  gpu:\n    labels: [gpu, big]\n    cloud: local\n    max: 1\n{more}");
            cml_spec::read("cml.yaml", &text, &|_| Ok(Vec::new())).expect("is right")
        };
        let labels = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let bare = [config("    default_labels: false\n")];
        assert!(is_for_us(&labels("gpu"), &bare) && is_for_us(&labels("GPU big"), &bare));
        assert!(!is_for_us(&labels("gpu other"), &bare) && !is_for_us(&labels("ubuntu-latest"), &bare));
        assert!(!is_for_us(&[], &bare) && !is_for_us(&labels("gpu"), &[config("")]));
        assert!(is_for_us(&labels("self-hosted"), &[]));
    }

    #[test]
    fn a_line_that_is_no_job_is_found_by_line_and_column() {
        let error = |line| serde_json::from_str::<JobLine>(line).map(|_| ()).expect_err("no job");
        assert_eq!(not_a_job("j2", 2, &error("{nope")), "j2:2:2: not JSON: key must be a string");
        let wrong = not_a_job("j2", 3, &error(r#"{"queued": 1}"#));
        assert!(wrong.starts_with("j2:3:") && wrong.contains("unknown field `queued`"), "{wrong}");
    }
}
