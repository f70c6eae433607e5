//! `report metrics` and `report check`: comparison of metrics, and checks of requirements.

use std::path::{Path, PathBuf};

use cml_github::NewCheck;
use cml_metrics::{
    Baseline, CheckReport, Directions, MarkdownOptions, MetricsFile, Requirement, Tolerance,
    check as checked, compare,
};

use crate::actions;
use crate::args::Global;
use crate::exit::{CliError, ExitCode};
use crate::report::args::{Better, Gate, Metrics};
use crate::report::{check, files, places};

pub(crate) fn metrics(global: &Global, args: &Metrics) -> Result<String, CliError> {
    let (old, new, old_title) = match (&args.base, args.files.as_slice()) {
        (Some(base), files) => (Some(of_revision(base, files)?), read_all(files)?, base.clone()),
        (None, [old, new]) => {
            let title = if old.file_name() == new.file_name() { "old".to_owned() } else { name(old) };
            (Some(vec![read(old)?]), vec![read(new)?], title)
        }
        (None, [new]) => (None, vec![read(new)?], String::new()),
        (None, _) => {
            return Err(CliError::new(ExitCode::Usage, "more than two files are compared with --base only")
                .hint("`cml-report metrics OLD NEW`, or `cml-report metrics FILE... --base main`"));
        }
    };
    let comparison = compare(old.as_deref(), &new, &directions(&args.better));
    if global.json {
        let text = serde_json::to_string(&comparison).map_err(|error| {
            CliError::new(ExitCode::Failed, format!("no JSON can be made of it: {error}"))
        })?;
        return Ok(format!("{text}\n"));
    }
    let new_title = match (&args.base, args.files.as_slice()) {
        (None, [old, new]) if old.file_name() != new.file_name() => name(new),
        _ => "this".to_owned(),
    };
    let options = MarkdownOptions {
        old_title,
        new_title,
        precision: usize::from(args.precision),
        only_changed: args.only_changed,
        ..MarkdownOptions::default()
    };
    Ok(format!("{}\n", comparison.markdown(&options).trim_end()))
}

pub(crate) async fn check(global: &Global, args: &Gate) -> Result<String, CliError> {
    if args.require.is_empty() && args.no_worse_than.is_none() {
        return Err(CliError::new(ExitCode::Usage, "nothing is required")
            .hint("say what must hold: --require 'accuracy >= 0.9', or --no-worse-than main"));
    }
    let usage = |error: String| CliError::new(ExitCode::Usage, error);
    let requirements: Vec<Requirement> = args
        .require
        .iter()
        .map(|text| {
            text.parse().map_err(|error: cml_metrics::ParseError| usage(format!("--require: {error}")))
        })
        .collect::<Result<_, _>>()?;
    let tolerance: Tolerance = match &args.tolerance {
        Some(text) => text
            .parse()
            .map_err(|error: cml_metrics::ToleranceError| usage(format!("--tolerance: {error}")))?,
        None => Tolerance::NONE,
    };
    let new = read_all(&args.files)?;
    let old = match &args.no_worse_than {
        Some(revision) => Some((revision, of_revision(revision, &args.files)?)),
        None => None,
    };
    let baseline =
        old.as_ref().map(|(revision, files)| Baseline { title: revision, files, no_worse: Some(tolerance) });
    let report = checked(&new, &requirements, baseline, &directions(&args.better))
        .map_err(|error| CliError::new(ExitCode::Failed, error.to_string()))?;
    let _ = actions::put_into_summary(None, &report.markdown())
        .map_err(|error| CliError::new(ExitCode::Failed, error))?;
    let unwritten = match &args.check_run {
        Some(name) => write_check(global, name, &report).await.err(),
        None => None,
    };
    if let Some(trouble) = unwritten {
        if !files::ci().is_fork && report.passed() {
            return Err(trouble);
        }
        files::warn(&format!("{}; {}", trouble.message, trouble.hint.unwrap_or_default()));
    }
    if report.passed() {
        return Ok(format!("{}\n", report.markdown().trim_end()));
    }
    let mut trouble = CliError::new(ExitCode::Failed, "the metrics are not good enough");
    let failed = report.findings.iter().filter(|finding| finding.outcome == cml_metrics::Outcome::Failed);
    trouble.details = failed.map(|finding| finding.why.clone()).collect();
    trouble.hint = Some("train again, or change what is required".to_owned());
    Err(trouble)
}

async fn write_check(global: &Global, name: &str, report: &CheckReport) -> Result<(), CliError> {
    let github = places::github(global)?;
    let conclusion = if report.passed() { "success" } else { "failure" };
    let new = check::new(&github, &files::ci(), None, name, &report.markdown())?;
    github.create_check(&NewCheck { conclusion: Some(conclusion.to_owned()), ..new }).await?;
    Ok(())
}

fn directions(better: &Better) -> Directions {
    Directions::new(&better.higher, &better.lower)
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &Path) -> Result<MetricsFile, CliError> {
    parsed(path, &files::read(path)?)
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<MetricsFile>, CliError> {
    paths.iter().map(|path| read(path)).collect()
}

/// Reads the same files in another version; one that does not exist there is omitted.
fn of_revision(revision: &str, paths: &[PathBuf]) -> Result<Vec<MetricsFile>, CliError> {
    let mut all = Vec::new();
    for path in paths {
        match files::at_revision(revision, path)? {
            Some(bytes) => all.push(parsed(path, &bytes)?),
            None => files::warn(&format!(
                "{revision} has no {}: there is nothing to compare it with",
                path.display()
            )),
        }
    }
    Ok(all)
}

fn parsed(path: &Path, bytes: &[u8]) -> Result<MetricsFile, CliError> {
    MetricsFile::read(&name(path), bytes).map_err(|error| CliError::new(ExitCode::Failed, error.to_string()))
}
