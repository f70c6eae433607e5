//! `ls`, `stop`, `reap` and `logs`: listing and ending machines.

use std::collections::BTreeSet;

use cml_cloud::{ByRegion, Cloud, Instance, InstanceFilter, RegionFailure};
use cml_controller::{ReapReport, StopError, Target, describe_skew};
use cml_github::Runner;
use cml_spec::duration;
use comfy_table::{Table, presets};
use serde_json::json;

use crate::actions::now;
use crate::args::{self, Global, Where};
use crate::context::{self, OneCloud};
use crate::exit::{CliError, ExitCode, SET_THE_CLOCK};
use crate::progress::Progress;

/// Hint where GitHub cannot be queried.
const ASK_OR_FORCE: &str = "set REPO_TOKEN (without it it is not known whether a job runs there), or end it all the same \
                            with --force";
/// Returns where else a machine may be.
fn elsewhere(cloud: &OneCloud, regions: &[String]) -> String {
    match cloud {
        OneCloud::Local(_) => {
            "only this computer was looked at (--cloud local): add --cloud aws --region REGION for EC2; \
             `cml-runner ls` lists what runs"
                .to_owned()
        }
        OneCloud::Aws(_) => format!(
            "only {} was looked at: --region names others; EC2 forgets ended instances after about an hour",
            regions.join(", ")
        ),
    }
}

/// Returns the message for an empty list.
fn none_here(cloud: &OneCloud, regions: &[String]) -> String {
    match cloud {
        OneCloud::Local(_) => {
            "no machines on this computer (--cloud local); `cml-runner ls --cloud aws` looks at EC2"
                .to_owned()
        }
        OneCloud::Aws(_) => format!("no machines in {}; --region names others", regions.join(", ")),
    }
}

fn filter(place: &Where) -> InstanceFilter {
    InstanceFilter { regions: place.regions.clone(), ..InstanceFilter::default() }
}

async fn open(place: &Where) -> Result<OneCloud, CliError> {
    OneCloud::open(place.cloud, &place.regions, place.state.state_dir.clone()).await
}

/// Warns of every region that could not be queried: the list is not complete.
pub(crate) fn told_of<T>(answer: ByRegion<T>) -> ByRegion<T> {
    let progress = Progress::new(context::env("GITHUB_ACTIONS").is_some());
    for RegionFailure { region, error } in &answer.failed {
        progress.warn(&format!("nothing is known of {region}: {error}"));
    }
    answer
}

/// Returns the instances of the regions that answered, and those regions; an error when none did.
async fn shown(cloud: &OneCloud, place: &Where) -> Result<(Vec<Instance>, Vec<String>), CliError> {
    let answer = cloud.instances(&filter(place)).await?;
    let mut answered = asked(cloud, &place.regions);
    answered.retain(|region| answer.failed.iter().all(|failure| failure.region != *region));
    if answered.is_empty() && !answer.failed.is_empty() {
        return Ok((answer.into_whole()?, answered));
    }
    Ok((told_of(answer).found, answered))
}

/// Returns the regions to query, by AWS's own names.
fn asked(cloud: &OneCloud, regions: &[String]) -> Vec<String> {
    let default = match cloud {
        OneCloud::Aws(aws) => vec![aws.default_region().to_owned()],
        OneCloud::Local(_) => Vec::new(),
    };
    let named: BTreeSet<String> = regions.iter().filter_map(|name| cml_ec2::region(name).ok()).collect();
    if named.is_empty() { default } else { named.into_iter().collect() }
}

pub(crate) async fn list(global: &Global, place: &Where) -> Result<String, CliError> {
    let cloud = open(place).await?;
    let (mut instances, answered) = shown(&cloud, place).await?;
    instances.retain(Instance::is_alive);
    // Machines can be listed without GitHub; its facts about them are then omitted.
    let runners = match context::github(global) {
        Ok(github) => github.runners(None).await.map_err(|error| error.to_string()),
        Err(trouble) => Err(trouble.message),
    };
    if let Err(error) = &runners {
        Progress::new(false).warn(&format!("runner states are not shown: {error}"));
    }
    let runners = runners.ok();
    let state = |instance: &Instance| runner_state(instance, runners.as_deref());
    if global.json {
        let rows: Vec<_> = instances
            .iter()
            .map(|instance| {
                let mut row = serde_json::to_value(instance).unwrap_or_default();
                row["runner_state"] = json!(state(instance));
                row
            })
            .collect();
        return Ok(format!("{}\n", json!(rows)));
    }
    if instances.is_empty() {
        return Ok(format!("{}\n", none_here(&cloud, &answered)));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["INSTANCE", "STATE", "TYPE", "MARKET", "WHERE", "RUNNER", "RUNNER STATE", "ENDS BY"]);
    for instance in &instances {
        let cells = [
            instance.id.to_string(),
            instance.state.to_string(),
            instance.instance_type.clone(),
            instance.market.to_string(),
            instance.zone.clone().unwrap_or_else(|| instance.region.clone()),
            instance.runner_name.clone().unwrap_or_default(),
            state(instance).unwrap_or_default().to_owned(),
            instance.deadline.map_or_else(|| "no deadline tag!".to_owned(), |deadline| deadline.to_string()),
        ];
        table.add_row(cells.map(|cell| cml_text::line(&cell).into_owned()));
    }
    Ok(format!("{}\n", table.trim_fmt()))
}

fn runner_state(instance: &Instance, runners: Option<&[Runner]>) -> Option<&'static str> {
    let name = instance.runner_name.as_ref()?;
    Some(match runners?.iter().find(|runner| runner.name.eq_ignore_ascii_case(name)) {
        Some(runner) if runner.busy => "busy",
        Some(runner) if runner.online => "idle",
        Some(_) => "offline",
        None => "not at GitHub",
    })
}

pub(crate) async fn stop(global: &Global, args: &args::Stop) -> Result<String, CliError> {
    let cloud = open(&args.place).await?;
    let github = match context::github(global) {
        Ok(github) => Some(github),
        // A user without access to GitHub can still save the money.
        Err(trouble) if args.force => {
            Progress::new(context::env("GITHUB_ACTIONS").is_some()).warn(&format!(
                "without GitHub it is not known whether a job runs on it ({})",
                trouble.message
            ));
            None
        }
        Err(trouble) if trouble.code == ExitCode::Denied => return Err(trouble.hint(ASK_OR_FORCE)),
        Err(trouble) => return Err(trouble),
    };
    let target = Target(args.target.clone());
    let stopped =
        cml_controller::stop(&target, args.force, &filter(&args.place), &cloud, github.as_ref()).await;
    let stopped = stopped.map_err(|error| match error {
        StopError::NotFound(_) => {
            CliError::from(error).hint(elsewhere(&cloud, &asked(&cloud, &args.place.regions)))
        }
        error => error.into(),
    })?;
    let (id, runner_removed) = (&stopped.instance.id, stopped.runner_removed);
    Ok(if global.json {
        format!("{}\n", json!({"instance_id": id, "runner_removed": runner_removed}))
    } else {
        format!("ended {}\n", cml_text::line(&id.0))
    })
}

pub(crate) async fn reap(global: &Global, args: &args::Reap) -> Result<String, CliError> {
    let grace = duration::parse(&args.grace)
        .map_err(|error| CliError::new(ExitCode::Usage, format!("--grace: {error}")))?;
    let cloud = open(&args.place).await?;
    let github = context::github(global)?;
    // Only machines of this scope: another repository's runners cannot be seen from here.
    let filter = InstanceFilter { owner: Some(github.location().scope.to_string()), ..filter(&args.place) };
    let report = cml_controller::reap(&filter, now(), grace, args.dry_run, &cloud, &github).await?;
    if let Some(ahead) = report.wrong_clock {
        let message = format!("this machine's clock is {}: nothing is reaped by it", describe_skew(ahead));
        return Err(CliError::new(ExitCode::Failed, message).hint(SET_THE_CLOCK));
    }
    if let Some(error) = &report.github_error {
        Progress::new(false)
            .warn(&format!("GitHub could not be asked, only deadlines were looked at: {error}"));
    }
    for RegionFailure { region, error } in &report.silent {
        Progress::new(false).warn(&format!("nothing was reaped in {region}: {error}"));
    }
    if let Some((id, error)) = report.failed.first() {
        let mut trouble = CliError::from(error.clone());
        trouble.message =
            format!("{} machines could not be ended; {id}: {}", report.failed.len(), trouble.message);
        return Err(trouble);
    }
    Ok(reap_words(&report, global.json, args.dry_run))
}

fn reap_words(report: &ReapReport, as_json: bool, dry_run: bool) -> String {
    if as_json {
        let instances: Vec<_> = report
            .instances
            .iter()
            .map(|(instance, why)| json!({"instance_id": instance.id, "why": why.to_string()}))
            .collect();
        return format!(
            "{}\n",
            json!({"dry_run": dry_run, "instances": instances, "runners": report.runners, "left_behind": report.swept})
        );
    }
    use cml_text::line;
    let (ended, removed) = if dry_run { ("would end", "would remove") } else { ("ended", "removed") };
    let mut text = String::new();
    for (instance, why) in &report.instances {
        text.push_str(&format!("{ended} {}: {}\n", line(&instance.id.0), line(&why.to_string())));
    }
    for runner in &report.runners {
        text.push_str(&format!("{removed} the runner {}: it has no machine\n", line(runner)));
    }
    for name in &report.swept {
        text.push_str(&format!("{removed} {}: a launch that was killed left it\n", line(name)));
    }
    if text.is_empty() {
        text.push_str("nothing to reap\n");
    }
    text
}

pub(crate) async fn logs(args: &args::Logs) -> Result<String, CliError> {
    let cloud = open(&args.place).await?;
    let named = args.target.as_str();
    let (instances, answered) = shown(&cloud, &args.place).await?;
    let instance = instances
        .into_iter()
        .find(|instance| {
            instance.id.0 == named
                || instance.runner_name.as_deref() == Some(named)
                || instance.launch.is_some_and(|launch| launch.to_string() == named)
        })
        .ok_or_else(|| {
            CliError::new(ExitCode::Failed, format!("no instance is called {named}"))
                .hint(elsewhere(&cloud, &answered))
        })?;
    let console = cloud.console(&instance.region, &instance.id).await?;
    Ok(cml_text::lines(&console).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_runners_are_one_line_whatever_is_in_them() {
        let name = "x\u{1b}]0;t\u{7}\u{202e}\r\n::error::forged ##[group]".to_owned();
        let report = ReapReport { runners: vec![name.clone()], swept: vec![name], ..ReapReport::default() };
        let text = reap_words(&report, false, true);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n') && !text.contains("##["), "{text:?}");
    }
}
