//! `pr create`: a pull request with what a job has changed.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cml_github::MergeMethod;
use cml_report::{Change, NewBranch, open};
use serde_json::json;

use crate::args::Global;
use crate::exit::{Code, Trouble};
use crate::place;
use crate::report::args::Pr;
use crate::report::files::{self, git, git_bytes};

/// The largest file that git's own API takes, bytes.
const FILE_LIMIT: u64 = 100 << 20;

pub(crate) async fn create(global: &Global, args: &Pr) -> Result<String, Trouble> {
    let failed =
        |cause: String| Trouble::new(Code::Failed, format!("git cannot tell what has changed: {cause}"));
    let github = place::github_of_remote(global, &args.remote)?;
    let ci = files::ci();
    let head = git(&["rev-parse", "HEAD"]).map_err(failed)?;
    let base = match (&args.target_branch, &ci.branch) {
        (Some(branch), _) | (None, Some(branch)) => branch.clone(),
        (None, None) => git(&["symbolic-ref", "--short", "HEAD"]).map_err(|cause| {
            Trouble::new(Code::Usage, format!("it is not known which branch to change: {cause}"))
                .hint("name it with --target-branch")
        })?,
    };
    let changes = changes(&args.globs)?;
    if changes.is_empty() {
        files::warn(&format!(
            "nothing has changed below {}: no pull request is opened",
            args.globs.join(" ")
        ));
        return Ok(String::new());
    }
    let short = &head[..head.len().min(8)];
    let branch = args.branch.clone().unwrap_or_else(|| format!("{base}-cml-pr-{short}"));
    let merge = [
        (args.merge, MergeMethod::Merge),
        (args.rebase, MergeMethod::Rebase),
        (args.squash, MergeMethod::Squash),
    ]
    .into_iter()
    .find_map(|(asked, method)| asked.then_some(method));
    let message = message(args, short, merge.is_some());
    let title = args.title.clone().unwrap_or_else(|| format!("CML PR for {base} {short}"));
    let location = github.location();
    let body = args.body.clone().unwrap_or_else(|| {
        format!(
            "Opened by a workflow for the commit {}/{}/commit/{head}.\n",
            location.web.as_str().trim_end_matches('/'),
            location.scope
        )
    });
    let new = NewBranch {
        branch: &branch,
        base: &base,
        parent: &head,
        message: &message,
        author: args.user_name.as_deref().zip(args.user_email.as_deref()),
        title: &title,
        body: &body,
        merge,
    };
    let opened = open(&github, &new, &changes).await?;
    if opened.was_there {
        tracing::info!(url = opened.url, "the branch was there already, with this pull request");
    }
    if global.json {
        return Ok(format!(
            "{}\n",
            json!({"url": opened.url, "was_there": opened.was_there, "merged": opened.merged})
        ));
    }
    Ok(if args.md { format!("[CML's Pull Request]({})\n", opened.url) } else { format!("{}\n", opened.url) })
}

/// As CML: the suffix keeps workflows from starting, unless the message or a merge wants it otherwise.
fn message(args: &Pr, short: &str, merges: bool) -> String {
    let message = args.message.clone().unwrap_or_else(|| format!("CML PR for {short}"));
    let skips = args.skip_ci || (args.message.is_none() && !merges);
    if skips { format!("{message} [skip ci]") } else { message }
}

/// What the working tree has that the commit has not, below these patterns.
fn changes(globs: &[String]) -> Result<Vec<Change>, Trouble> {
    let failed =
        |cause: String| Trouble::new(Code::Failed, format!("git cannot tell what has changed: {cause}"));
    let root = PathBuf::from(git(&["rev-parse", "--show-toplevel"]).map_err(failed)?);
    let mut args = vec!["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--"];
    args.extend(globs.iter().map(String::as_str));
    let listed = git_bytes(&args).map_err(failed)?;
    let mut all = Vec::new();
    for entry in listed.split(|byte| *byte == 0).filter(|entry| entry.len() > 3) {
        let path = std::str::from_utf8(&entry[3..]).map_err(|_| failed("a path is no UTF-8".to_owned()))?;
        all.push(change(&root, path)?);
    }
    Ok(all)
}

fn change(root: &Path, path: &str) -> Result<Change, Trouble> {
    let file = root.join(path);
    let failed = |cause: String| Trouble::new(Code::Failed, format!("cannot read {path}: {cause}"));
    let change = |mode: &str, bytes| Ok(Change { path: path.to_owned(), mode: mode.to_owned(), bytes });
    let facts = match std::fs::symlink_metadata(&file) {
        Ok(facts) => facts,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return change("100644", None),
        Err(error) => return Err(failed(error.to_string())),
    };
    if facts.is_symlink() {
        let target = std::fs::read_link(&file).map_err(|error| failed(error.to_string()))?;
        return change("120000", Some(target.as_os_str().as_bytes().to_vec()));
    }
    if facts.is_dir() {
        return Err(failed("it is a repository of its own; leave it out".to_owned()));
    }
    if facts.len() > FILE_LIMIT {
        let hint = "keep it out of git: `dvc add` it, and leave it out of the patterns";
        return Err(
            failed(format!("it has {} MiB, and GitHub takes 100 at most", facts.len() >> 20)).hint(hint)
        );
    }
    let mode = if facts.permissions().mode() & 0o100 == 0 { "100644" } else { "100755" };
    change(mode, Some(std::fs::read(&file).map_err(|error| failed(error.to_string()))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        pr: Pr,
    }

    #[test]
    fn a_commit_starts_no_workflow_unless_somebody_waits_for_it() {
        let message = |line: &[&str]| {
            let pr = Line::parse_from(std::iter::once(&"pr").chain(line)).pr;
            message(&pr, "3f2a9c01", pr.merge || pr.squash || pr.rebase)
        };
        assert_eq!(message(&[]), "CML PR for 3f2a9c01 [skip ci]");
        assert_eq!(message(&["--squash"]), "CML PR for 3f2a9c01");
        assert_eq!(message(&["--message", "Model"]), "Model");
        assert_eq!(message(&["--message", "Model", "--skip-ci"]), "Model [skip ci]");
    }
}
