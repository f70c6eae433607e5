//! `cml-runner cost`: what machines cost, from the journals of the daemon and of launches.

pub(crate) mod args;
mod past;
mod verify;

use std::path::{Path, PathBuf};

use cml_cost::{Ledger, LedgerError, Query, Report, Site, Window};
use cml_prices::{Book, Store};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};

use self::args::{Advise, Cost, CostCommand, Format, Period, Source};
use crate::actions::now;
use crate::args::Global;
use crate::context;
use crate::exit::{CliError, ExitCode};
use crate::progress::Progress;

/// The daemon's journal in the state directory.
pub(crate) const DAEMON_JOURNAL: &str = "daemon.db";
/// Fetched prices in the state directory.
pub(crate) const PRICES: &str = "prices.db";

pub(crate) async fn cost(global: &Global, args: &Cost) -> Result<String, CliError> {
    if let Some(CostCommand::Advise(args)) = &args.command {
        return advise(global, args);
    }
    let now = now();
    let query = Query { window: window(&args.period, now)?, by: args.by.by(), top: args.top.into() };
    let book = book(&args.source)?;
    let dir = tempfile::tempdir().map_err(|error| {
        CliError::new(ExitCode::Failed, format!("cannot make a temporary directory: {error}"))
    })?;
    let mut left_out = None;
    let mut ledger = if args.past.reconstruct {
        // A reconstruction is an estimate: it never gets into the permanent ledger.
        let mut ledger = Ledger::open(&dir.path().join("ledger.db")).map_err(|error| failed(&error))?;
        for journal in journals(&args.source, true)? {
            ledger.take_in(&journal, now, &book).map_err(|error| failed(&error))?;
        }
        let when = (query.window, now);
        left_out = past::add(global, &args.past, when, &mut ledger, &book, dir.path()).await?;
        ledger
    } else {
        ledger(&args.source, now, &book)?
    };
    if let Some(words) = left_out {
        Progress::new(context::env("GITHUB_ACTIONS").is_some()).warn(&words);
    }
    if let Some(with) = &args.verify_with {
        return verify::against(global, with, query.window, &ledger).await;
    }
    let report = cml_cost::report(&mut ledger, query, now, &book).map_err(|error| failed(&error))?;
    let format = if global.json { Format::Json } else { args.format };
    let text = written(global, &report, format)?;
    let Some(path) = &args.output else { return Ok(text) };
    std::fs::write(path, text).map_err(|error| {
        CliError::new(ExitCode::Failed, format!("--output: cannot write {}: {error}", path.display()))
    })?;
    Ok(String::new())
}

fn written(global: &Global, report: &Report, format: Format) -> Result<String, CliError> {
    let unmade = |error: &dyn std::fmt::Display| {
        CliError::new(ExitCode::Failed, format!("the report cannot be written: {error}"))
    };
    Ok(match format {
        Format::Table => cml_cost::table(report),
        Format::Md => cml_cost::markdown(report),
        Format::Csv => cml_cost::csv(report).map_err(|error| unmade(&error))?,
        Format::Json => format!("{}\n", cml_cost::json(report)),
        Format::Html => cml_cost::html(report, Site { scope: "", forge: &forge(global) })
            .map_err(|error| unmade(&error))?,
    })
}

/// Returns the address of the pages of jobs.
fn forge(global: &Global) -> String {
    let server = context::env("GITHUB_SERVER_URL");
    let of_repo = || global.repo.as_ref().and_then(|repo| url::Url::parse(repo).ok());
    let url = server.or_else(|| of_repo().map(|url| url.origin().ascii_serialization()));
    url.unwrap_or_else(|| "https://github.com".to_owned())
}

fn advise(global: &Global, args: &Advise) -> Result<String, CliError> {
    let now = now();
    let book = book(&args.source)?;
    let window = window(&args.period, now)?;
    let mut ledger = ledger(&args.source, now, &book)?;
    let advice = cml_cost::advise(&mut ledger, window, now, &book).map_err(|error| failed(&error))?;
    if !global.json {
        return Ok(cml_cost::advice_text(&advice, window));
    }
    let lines = advice.iter().map(|it| json!({"saves_usd": it.saves, "seen": it.seen, "change": it.change}));
    Ok(format!("{}\n", json!({"advice": lines.collect::<Vec<_>>()})))
}

fn window(period: &Period, now: Timestamp) -> Result<Window, CliError> {
    if let Some(month) = period.month {
        return Ok(Window::month(month));
    }
    let length = cml_spec::duration::parse(&period.since).map_err(|error| {
        CliError::new(ExitCode::Usage, format!("--since: {error}; or 7d, 30d, \"12 weeks\""))
    })?;
    Ok(Window::since(length, now))
}

/// Returns the embedded prices, and those that `prices refresh` and the daemon have fetched.
fn book(source: &Source) -> Result<Book, CliError> {
    let path = state_dir(source).join(PRICES);
    Store::book(&path, None).map_err(|error| CliError::new(ExitCode::Failed, error.to_string()))
}

fn state_dir(source: &Source) -> PathBuf {
    source.state.state_dir.clone().unwrap_or_else(context::default_state_dir)
}

/// Opens the ledger, updated from the journals.
fn ledger(source: &Source, now: Timestamp, book: &Book) -> Result<Ledger, CliError> {
    let journals = journals(source, false)?;
    let mut ledger = Ledger::open(&ledger_file(source)).map_err(|error| failed(&error))?;
    for journal in journals {
        ledger.take_in(&journal, now, book).map_err(|error| failed(&error))?;
    }
    Ok(ledger)
}

/// Returns the ledger's file: one for all journals of the state directory, and one for each selection of journals,
/// because they must not mix.
fn ledger_file(source: &Source) -> PathBuf {
    let state_dir = state_dir(source);
    if source.journals.is_empty() {
        return state_dir.join("ledger.db");
    }
    let mut names: Vec<String> = source.journals.iter().map(|path| absolute(path)).collect();
    names.sort();
    let digest = Sha256::digest(names.join("\n"));
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    state_dir.join(format!("ledger-{short}.db"))
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Returns the named journals, else all of the state directory.
fn journals(source: &Source, may_be_none: bool) -> Result<Vec<PathBuf>, CliError> {
    let state_dir = state_dir(source);
    if let Some(missing) = source.journals.iter().find(|path| !path.is_file()) {
        let what = format!("--journal: there is no file {}", missing.display());
        return Err(CliError::new(ExitCode::Usage, what));
    }
    if !source.journals.is_empty() {
        return Ok(source.journals.clone());
    }
    let daemon = state_dir.join(DAEMON_JOURNAL);
    let mut found: Vec<PathBuf> = daemon.is_file().then_some(daemon).into_iter().collect();
    let of_launches = std::fs::read_dir(state_dir.join("journals")).into_iter().flatten().flatten();
    let paths = of_launches.map(|file| file.path());
    found.extend(paths.filter(|path| path.extension().is_some_and(|ending| ending == "db")));
    found.sort();
    if found.is_empty() && !may_be_none {
        return Err(CliError::new(ExitCode::Failed, format!("there is no journal in {}", state_dir.display())).hint(
            "the daemon and every launch write one there; name another place with --state-dir, a file with --journal, or let \
             --reconstruct ask GitHub",
        ));
    }
    Ok(found)
}

fn failed(error: &LedgerError) -> CliError {
    let trouble = CliError::new(ExitCode::Failed, error.to_string());
    if trouble.message.contains("not a database") {
        return trouble.hint("it is no journal; leave --journal out for those in the state directory");
    }
    trouble
}
