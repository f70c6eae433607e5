//! `comment create --watch`: updates the comment when the report changes, until it is stopped.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cml_report::{ReportError, decoded, local_links};

use crate::exit::{CliError, ExitCode};
use crate::report::args::Comment;
use crate::report::comment::{Session, report_of};
use crate::report::files;
use crate::report::publish::may_only_read;
use crate::report::summary::InSummary;
use crate::signals;

/// Interval at which files are checked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Time without changes before they are published: a plot is written in pieces.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// The wait after a failure, which doubles with each, and the longest.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
const AFTER_FAILURES: Duration = Duration::from_secs(300);

/// State of files: length and time of change, `None` for a missing one.
type Look = Vec<(PathBuf, Option<(u64, SystemTime)>)>;

/// Target of the report.
pub(crate) enum Way<'a> {
    Comment(&'a Session<'a>),
    /// Comments may not be written here.
    Summary(InSummary),
}

pub(crate) async fn watch(args: &Comment, mut way: Way<'_>, update: bool) -> Result<String, CliError> {
    let stop = signals::stop_token(signals::Left::default())?;
    let mut posted: Option<Look> = None;
    let mut seen: Option<(Look, tokio::time::Instant)> = None;
    let mut update = update;
    let mut wait = AFTER_FAILURE;
    let mut not_before = tokio::time::Instant::now();
    loop {
        let is_last = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let now = look(args);
        let is_there = now.first().is_some_and(|(_, facts)| facts.is_some());
        if seen.as_ref().is_none_or(|(old, _)| *old != now) {
            seen = Some((now.clone(), tokio::time::Instant::now()));
        }
        let is_settled = seen.as_ref().is_some_and(|(_, since)| since.elapsed() >= SETTLED_AFTER);
        let is_new = posted.as_ref() != Some(&now);
        if is_there && is_new && (is_last || (is_settled && tokio::time::Instant::now() >= not_before)) {
            match way.write(args, update).await {
                Ok(()) => {
                    update = true;
                    posted = Some(now);
                    wait = AFTER_FAILURE;
                    if let Some(trigger) = &args.trigger_file {
                        drop(std::fs::remove_file(trigger));
                        posted = Some(look(args));
                    }
                }
                // A missing permission will not be granted later.
                Err(trouble) if is_last || trouble.code == ExitCode::Denied => return Err(trouble),
                Err(trouble) => {
                    files::warn(&trouble.message);
                    not_before = tokio::time::Instant::now() + wait;
                    wait = (wait * 2).min(AFTER_FAILURES);
                }
            }
        }
        if is_last {
            return Ok(String::new());
        }
    }
}

impl Way<'_> {
    async fn write(&mut self, args: &Comment, update: bool) -> Result<(), CliError> {
        let text = report_of(args)?;
        let session = match self {
            Way::Comment(session) => session,
            Way::Summary(summary) => return summary.show(&text),
        };
        match session.post(&text, update).await {
            Ok(posted) => tracing::info!(url = posted.url, "the report was written"),
            Err(ReportError::GitHub(error)) if may_only_read(&session.ci, &error) => {
                let mut summary = InSummary::because(error.into());
                summary.show(&text)?;
                *self = Way::Summary(summary);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Returns the state of the files. The first one decides whether there is anything to write.
fn look(args: &Comment) -> Look {
    let all = match &args.trigger_file {
        Some(trigger) => vec![trigger.clone()],
        None => std::iter::once(args.markdown_file.clone()).chain(shown(&args.markdown_file)).collect(),
    };
    let facts = |path: &PathBuf| {
        let facts = std::fs::metadata(path).ok()?;
        Some((facts.len(), facts.modified().ok()?))
    };
    all.into_iter().map(|path| (path.clone(), facts(&path))).collect()
}

/// Returns the files that the report links to.
fn shown(report: &Path) -> Vec<PathBuf> {
    let Ok(bytes) = std::fs::read(report) else { return Vec::new() };
    let base = report.parent().unwrap_or(Path::new(""));
    local_links(&decoded(&bytes).text).into_iter().map(|link| base.join(link.target)).collect()
}
