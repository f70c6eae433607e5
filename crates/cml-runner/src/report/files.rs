//! Files, git and the workflow's event, as the commands read them. The edge.

use std::io::Read;
use std::path::Path;

use cml_report::{Ci, decoded};

use crate::context::env;
use crate::exit::{CliError, ExitCode};

/// No file of a report is larger, bytes: more is shown nowhere. It is refused before it is read.
const FILE_LIMIT_BYTES: u64 = 100 << 20;

/// A file's content.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let _ = size(path)?;
    // A file may grow meanwhile, and some of the system's say that they are empty.
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| unread(path, &error.to_string()))?;
    let read = file.take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes);
    let _ = read.map_err(|error| unread(path, &error.to_string()))?;
    let _ = taken(path, bytes.len() as u64)?;
    Ok(bytes)
}

/// A plain file's size, bytes, if it is one that is read.
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

/// A report's text; what is wrong with its bytes is said.
pub(crate) fn report(path: &Path) -> Result<String, CliError> {
    let read = decoded(&read(path)?);
    if let Some(warning) = read.warning {
        warn(&format!("{}: {warning}", path.display()));
    }
    Ok(read.text)
}

/// What the workflow knows of itself.
pub(crate) fn ci() -> Ci {
    let event = env("GITHUB_EVENT_PATH").and_then(|path| std::fs::read(path).ok());
    let event = event.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ci::read(&env, event.as_ref(), || git(&["rev-parse", "HEAD"]).ok())
}

/// What git says, without its last line end; its own words when it fails.
pub(crate) fn git(args: &[&str]) -> Result<String, String> {
    let bytes = git_bytes(args)?;
    String::from_utf8(bytes)
        .map(|text| text.trim_end_matches('\n').to_owned())
        .map_err(|error| error.to_string())
}

/// The same, as bytes. A checkout that another user owns (a container's job) is read all the same, without changing
/// anybody's configuration.
pub(crate) fn git_bytes(args: &[&str]) -> Result<Vec<u8>, String> {
    git_with(&[], args)
}

/// The same with variables of its own.
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

/// The file as it is in another version; none when it is not there.
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
    // Asked of the tree: a blob that cannot be had (a partial clone without network) is not one that is not there.
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

/// `a/./b` and `a/c/../b` as git wants them.
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

/// A line that Actions shows with the job, on stderr: stdout is the result's alone.
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
