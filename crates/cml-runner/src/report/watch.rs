//! `comment create --watch`: the comment follows the report until somebody ends it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::exit::{Code, Trouble};
use crate::report::comment::{Session, report_of};
use crate::report::files;
use crate::signals;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long they must have stayed the same: a plot is written in pieces.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// The wait after a failure, which doubles with each, and the longest.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
const AFTER_FAILURES: Duration = Duration::from_secs(300);

/// What files looked like: length and time of change, none for one that is not there.
type Look = Vec<(PathBuf, Option<(u64, SystemTime)>)>;

pub(crate) async fn watch(session: &Session<'_>, update: bool) -> Result<String, Trouble> {
    let stop = signals::stop_token()
        .map_err(|error| Trouble::new(Code::Failed, format!("signals cannot be waited for: {error}")))?;
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
        let now = look(session);
        let is_there = now.first().is_some_and(|(_, facts)| facts.is_some());
        if seen.as_ref().is_none_or(|(old, _)| *old != now) {
            seen = Some((now.clone(), tokio::time::Instant::now()));
        }
        let is_settled = seen.as_ref().is_some_and(|(_, since)| since.elapsed() >= SETTLED_AFTER);
        let is_new = posted.as_ref() != Some(&now);
        if is_there && is_new && (is_last || (is_settled && tokio::time::Instant::now() >= not_before)) {
            match write(session, update).await {
                Ok(()) => {
                    update = true;
                    posted = Some(now);
                    wait = AFTER_FAILURE;
                    if let Some(trigger) = &session.args.trigger_file {
                        drop(std::fs::remove_file(trigger));
                        posted = Some(look(session));
                    }
                }
                // Whoever may not write will not be allowed to later.
                Err(trouble) if is_last || trouble.code == Code::Denied => return Err(trouble),
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

async fn write(session: &Session<'_>, update: bool) -> Result<(), Trouble> {
    let text = report_of(session.args)?;
    let posted = session.post(&text, update).await?;
    tracing::info!(url = posted.url, "the report was written");
    Ok(())
}

/// The first one decides whether there is anything to write.
fn look(session: &Session<'_>) -> Look {
    let all = match &session.args.trigger_file {
        Some(trigger) => vec![trigger.clone()],
        None => std::iter::once(session.args.markdown_file.clone()).chain(session.files()).collect(),
    };
    let facts = |path: &PathBuf| {
        let facts = std::fs::metadata(path).ok()?;
        Some((facts.len(), facts.modified().ok()?))
    };
    all.into_iter().map(|path| (path.clone(), facts(&path))).collect()
}
