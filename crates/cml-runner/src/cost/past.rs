//! `cost --reconstruct`: GitHub's records of jobs, as a journal that exists as long as the command.

use std::collections::BTreeSet;
use std::path::Path;

use cml_cloud::{LaunchId, Market};
use cml_cost::{Assumed, Ledger, PastJob, Window, reconstruct};
use cml_github::JobRecord;
use cml_journal::{JobFacts, Journal, SqliteJournal};
use cml_prices::Book;
use jiff::Timestamp;

use super::args::{self, Past};
use crate::args::Global;
use crate::context;
use crate::exit::{CliError, ExitCode};

/// Default root disk of `launch`, GiB.
const DISK_GIB: u32 = 35;

/// Adds GitHub's records of the window to a ledger; reports what it could not add.
pub(super) async fn add(
    global: &Global,
    past: &Past,
    (window, now): (Window, Timestamp),
    ledger: &mut Ledger,
    book: &Book,
    dir: &Path,
) -> Result<Option<String>, CliError> {
    let github = context::github_with(global, context::READS_ACTIONS)?;
    let jobs = github.finished_jobs(window.first).await?;
    // A machine whose runner is registered is not gone, whatever jobs it has had.
    let there = github.runners(None).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "machines that still live may be taken for gone after their last job");
        Vec::new()
    });
    let there: BTreeSet<String> = there.into_iter().map(|runner| runner.name).collect();
    let jobs: Vec<PastJob> =
        jobs.into_iter().filter_map(past_job).filter(|job| !there.contains(&job.runner)).collect();
    let assumed = Assumed {
        region: past.assume_region.clone().unwrap_or_else(context::default_region),
        instance_type: past.assume_type.clone(),
        market: past.assume_market.map(|market| match market {
            args::Market::Spot => Market::Spot,
            args::Market::OnDemand => Market::OnDemand,
        }),
        disk_gib: DISK_GIB,
    };
    let made = reconstruct(&jobs, &ledger.bought(), &assumed, book);
    let failed = |error: &dyn std::fmt::Display| CliError::new(ExitCode::Failed, error.to_string());
    let path = dir.join("reconstructed.db");
    let mut journal = SqliteJournal::open(&path).map_err(|error| failed(&error))?;
    let mut seen = 0;
    for (at, event) in made.events {
        seen = journal.append(seen, at, &[event]).map_err(|error| failed(&error))?;
    }
    ledger.take_in(&path, now, book).map_err(|error| failed(&error))?;
    Ok((made.without_type > 0).then(|| {
        format!(
            "{} machines are left out: neither a journal nor their runner's name tells their type; --assume-type names it",
            made.without_type
        )
    }))
}

/// Converts a completed job on a runner of ours.
fn past_job(job: JobRecord) -> Option<PastJob> {
    let runner = job.runner_name?;
    LaunchId::from_runner_name(&runner)?;
    let (began, ended) = (job.started_at?, job.completed_at?);
    Some(PastJob {
        id: job.id,
        facts: JobFacts {
            repository: job.run.repository,
            run_id: job.run_id,
            name: job.name,
            event: job.run.event,
            actor: job.run.actor,
            workflow: job.workflow,
            branch: job.branch,
        },
        runner,
        came: job.created_at.unwrap_or(began),
        began,
        ended,
    })
}
