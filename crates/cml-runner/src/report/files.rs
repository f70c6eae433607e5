//! Files, git and the workflow's event, as the commands read them. The edge.

use std::io::Read;
use std::path::Path;

use cml_report::{Ci, decoded};

use crate::context::env;
use crate::exit::{CliError, ExitCode};

/// Size limit of a report's file, bytes: larger ones are shown nowhere. It is refused before it is read.
const FILE_LIMIT_BYTES: u64 = 100 << 20;

/// Reads a file's content.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let _ = size(path)?;
    // A file may grow meanwhile, and some system files have a size of 0.
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| unread(path, &error.to_string()))?;
    let read = file.take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes);
    let _ = read.map_err(|error| unread(path, &error.to_string()))?;
    let _ = taken(path, bytes.len() as u64)?;
    Ok(bytes)
}

/// Returns a plain file's size, bytes, if it may be read.
pub(crate) fn size(path: &Path) -> Result<u64, CliError> {
    let facts = std::fs::metadata(path).map_err(|error| unread(path, &error.to_string()))?;
    if facts.is_dir() {
        return Err(unread(path, "it is a directory"));
    }
    if !facts.is_file() {
        return Err(unread(path, "it is no plain file"));
    }
    taken(path, facts.len())
}

fn taken(path: &Path, bytes: u64) -> Result<u64, CliError> {
    if bytes <= FILE_LIMIT_BYTES {
        return Ok(bytes);
    }
    let most = FILE_LIMIT_BYTES >> 20;
    Err(unread(path, &format!("it has {} MiB, and at most {most} are read", bytes >> 20)))
}

fn unread(path: &Path, cause: &str) -> CliError {
    CliError::new(ExitCode::Failed, format!("cannot read {}: {cause}", path.display()))
        .hint("does an earlier step write it, and is the path as seen from the working directory?")
}

/// Reads a report's text; invalid bytes are reported.
pub(crate) fn report(path: &Path) -> Result<String, CliError> {
    let read = decoded(&read(path)?);
    if let Some(warning) = read.warning {
        warn(&format!("{}: {warning}", path.display()));
    }
    Ok(read.text)
}

/// Returns the facts of the workflow from its environment.
pub(crate) fn ci() -> Ci {
    let event = env("GITHUB_EVENT_PATH").and_then(|path| std::fs::read(path).ok());
    let event = event.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ci::read(&env, event.as_ref(), || git(&["rev-parse", "HEAD"]).ok())
}

/// Returns git's output, without its last line end; git's own message when it fails.
pub(crate) fn git(args: &[&str]) -> Result<String, String> {
    let bytes = git_bytes(args)?;
    String::from_utf8(bytes)
        .map(|text| text.trim_end_matches('\n').to_owned())
        .map_err(|error| error.to_string())
}

/// Returns the same as bytes. A checkout of another user (a container's job) is read anyway, without a change of any
/// configuration.
pub(crate) fn git_bytes(args: &[&str]) -> Result<Vec<u8>, String> {
    git_with(&[], args)
}

/// Returns the same with additional variables.
pub(crate) fn git_with(env: &[(&str, &str)], args: &[&str]) -> Result<Vec<u8>, String> {
    let output = crate::secrets::git()
        .envs(env.iter().copied())
        .args(["-c", "safe.directory=*", "-c", "core.quotePath=false"])
        .args(args)
        .output()
        .map_err(|error| format!("git cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if said.is_empty() { format!("git {} fails", args.join(" ")) } else { said })
}

/// Returns the file's content in another version; `None` when it does not exist there.
pub(crate) fn at_revision(revision: &str, path: &Path) -> Result<Option<Vec<u8>>, CliError> {
    let failed = |cause: String| {
        CliError::new(ExitCode::Failed, format!("cannot read {} of {revision}: {cause}", path.display()))
    };
    // A checkout in CI has other branches only as the remote's.
    let names =
        [revision.to_owned(), format!("origin/{revision}"), format!("refs/remotes/origin/{revision}")];
    let known = names
        .iter()
        .find_map(|name| git(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]).ok());
    let Some(commit) = known else {
        return Err(failed("git knows no such branch, tag or commit".to_owned()).hint(format!(
            "fetch it first: actions/checkout with `fetch-depth: 0`, or `git fetch origin {revision}`"
        )));
    };
    let top = git(&["rev-parse", "--show-prefix"]).map_err(failed)?;
    let inside = if path.is_absolute() {
        let root = git(&["rev-parse", "--show-toplevel"]).map_err(failed)?;
        let below = path.strip_prefix(&root).map_err(|_| failed(format!("it is not below {root}")))?;
        below.display().to_string()
    } else {
        format!("{top}{}", path.display())
    };
    let object = format!("{commit}:./{inside}");
    let object = object.replace(":./", ":");
    let clean = cleaned(&object);
    // The tree is queried: a blob that cannot be fetched (a partial clone without network) is not a missing one.
    let listed =
        git(&["ls-tree", "--full-tree", &commit, "--", clean.split_once(':').map_or("", |(_, path)| path)]);
    if listed.map_err(failed)?.is_empty() {
        return Ok(None);
    }
    let size = git(&["cat-file", "-s", &clean]).map_err(failed)?;
    if size.parse::<u64>().is_ok_and(|size| size > FILE_LIMIT_BYTES) {
        return Err(failed(format!("it has {size} bytes, and at most {FILE_LIMIT_BYTES} are read")));
    }
    git_bytes(&["cat-file", "blob", &clean]).map(Some).map_err(failed)
}

/// Normalizes `a/./b` and `a/c/../b` as git requires.
fn cleaned(object: &str) -> String {
    let (commit, path) = object.split_once(':').unwrap_or((object, ""));
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("{commit}:{}", parts.join("/"))
}

/// Prints a line that Actions shows with the job, on stderr: stdout is for the result only.
pub(crate) fn warn(message: &str) {
    if crate::progress::is_quiet() {
        return;
    }
    let line = if env("GITHUB_ACTIONS").is_some() {
        crate::progress::annotation(message)
    } else {
        format!("warning: {}", cml_text::lines(message))
    };
    #[allow(clippy::print_stderr, reason = "warnings go to stderr, whatever the log level")]
    {
        eprintln!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_within_a_version_is_written_as_git_wants_it() {
        assert_eq!(cleaned("abc:a/./b//c/../metrics.json"), "abc:a/b/metrics.json");
    }
}
