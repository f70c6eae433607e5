//! `pr create`: a pull request with the changes of a job.

use cml_github::MergeMethod;
use cml_report::{Change, Ci, NewBranch, open};
use serde_json::json;

use crate::args::Global;
use crate::exit::{CliError, ExitCode};
use crate::report::args::Pr;
use crate::report::files::{self, git, git_bytes};
use crate::report::places;

/// CML's own author, for the half that is not given.
pub(crate) const USER_NAME: &str = "Olivaw[bot]";
pub(crate) const USER_EMAIL: &str = "olivaw@iterative.ai";
/// Size limit of a file in GitHub's git API, bytes.
const FILE_LIMIT: u64 = 100 << 20;

pub(crate) async fn create(global: &Global, args: &Pr) -> Result<String, CliError> {
    let failed =
        |cause: String| CliError::new(ExitCode::Failed, format!("git cannot tell what has changed: {cause}"));
    let github = places::github_of_remote(global, &args.remote)?;
    let ci = files::ci();
    // Without --verify git returns the name itself where there is no commit.
    let mut head = git(&["rev-parse", "--verify", "HEAD"])
        .map_err(|cause| failed(cause).hint("commit something first, or check the repository out"))?;
    // In a run on a pull request GitHub's own merge is checked out, which is on no branch.
    if let (Some(_), Some(own)) = (ci.pull, &ci.head_sha)
        && *own != head
    {
        head.clone_from(own);
    }
    check_merge(args, &ci)?;
    let base = base(args.target_branch.as_deref(), &ci, || git(&["symbolic-ref", "--short", "HEAD"]))?;
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
        author: (args.user_name.is_some() || args.user_email.is_some()).then(|| {
            (args.user_name.as_deref().unwrap_or(USER_NAME), args.user_email.as_deref().unwrap_or(USER_EMAIL))
        }),
        title: &title,
        body: &body,
        merge,
    };
    let opened = open(&github, &new, &changes).await?;
    if opened.was_there {
        tracing::info!(url = opened.url, "the branch was there already, with this pull request");
    }
    let line =
        if args.md { format!("[CML's Pull Request]({})\n", opened.url) } else { format!("{}\n", opened.url) };
    if let Some(error) = opened.not_merged {
        return Err(not_merged(error, &opened.url, opened.was_there, line));
    }
    if global.json {
        return Ok(format!(
            "{}\n",
            json!({"url": opened.url, "was_there": opened.was_there, "merged": opened.merged})
        ));
    }
    Ok(line)
}

/// Refuses to merge untrusted changes into a branch without a review.
fn check_merge(args: &Pr, ci: &Ci) -> Result<(), CliError> {
    let merges = args.merge || args.rebase || args.squash;
    if !(merges && ci.may_be_strangers) {
        return Ok(());
    }
    let what = "nothing is merged in a run that may be a stranger's: what is checked out may be their code";
    Err(CliError::new(ExitCode::Usage, what)
        .hint("leave out --merge, --rebase and --squash, and let somebody look at the pull request"))
}

/// Returns the base branch: the named one, else the run's, else the one that is checked out.
fn base(
    named: Option<&str>,
    ci: &Ci,
    checked_out: impl FnOnce() -> Result<String, String>,
) -> Result<String, CliError> {
    match named.or(ci.branch.as_deref()) {
        Some(branch) => Ok(branch.to_owned()),
        // Neither a fork's branch, nor the branch of a stranger's checkout.
        None if ci.may_be_strangers => {
            let what = "in a pull request from a fork its author names the branches";
            Err(CliError::new(ExitCode::Usage, what).hint("name the branch to change with --target-branch"))
        }
        None => checked_out().map_err(|cause| {
            CliError::new(ExitCode::Usage, format!("it is not known which branch to change: {cause}"))
                .hint("name it with --target-branch")
        }),
    }
}

/// Returns the error of a merge. The pull request exists anyway, and a later step may need its address.
fn not_merged(error: cml_github::GitHubError, url: &str, was_there: bool, line: String) -> CliError {
    let mut trouble = CliError::from(error);
    trouble.message = format!("{url} is open and was not merged: {}", trouble.message);
    let mut object = trouble.json();
    object["url"] = json!(url);
    object["was_there"] = json!(was_there);
    object["merged"] = json!(false);
    CliError { object: Some(object), output: Some(line), ..trouble }
}

/// Returns the commit message. As in CML, the suffix keeps workflows from starting, unless the message or a merge
/// requires otherwise.
fn message(args: &Pr, short: &str, merges: bool) -> String {
    let message = args.message.clone().unwrap_or_else(|| format!("CML PR for {short}"));
    let skips = args.skip_ci || (args.message.is_none() && !merges);
    if skips { format!("{message} [skip ci]") } else { message }
}

/// Returns the changes of the working tree relative to the commit, below these patterns: as git itself would commit
/// them (filters such as LFS, line ends), with a separate index, so that the checkout's is not changed.
fn changes(globs: &[String]) -> Result<Vec<Change>, CliError> {
    let failed =
        |cause: String| CliError::new(ExitCode::Failed, format!("git cannot tell what has changed: {cause}"));
    let dir = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    let index = dir.path().join("index").display().to_string();
    let with_index = |args: &[&str]| files::git_with(&[("GIT_INDEX_FILE", &index)], args).map_err(failed);
    let _ = with_index(&["read-tree", "HEAD"])?;
    // As in CML's patterns, `*` stays within a directory.
    let patterns: Vec<String> = globs
        .iter()
        .map(|glob| if glob.contains(['*', '?', '[']) { format!(":(glob){glob}") } else { glob.clone() })
        .collect();
    let mut add = vec!["add", "--all", "--"];
    add.extend(patterns.iter().map(String::as_str));
    let _ = with_index(&add)?;
    let listed =
        with_index(&["diff-index", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "HEAD"])?;
    let mut fields = listed.split(|byte| *byte == 0).filter(|field| !field.is_empty());
    let mut all = Vec::new();
    while let (Some(facts), Some(path)) = (fields.next(), fields.next()) {
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| failed("a path is no UTF-8".to_owned()))
        };
        let (facts, path) = (text(facts)?, text(path)?);
        // `:100644 100755 OLD NEW M`
        let words: Vec<&str> = facts.trim_start_matches(':').split(' ').collect();
        let [old_mode, new_mode, _, sha, _] = words.as_slice() else {
            return Err(failed(format!("{facts:?} is not understood")));
        };
        if *new_mode == "160000" {
            return Err(failed(format!("{path} is a repository of its own; leave it out")));
        }
        if *new_mode == "000000" {
            all.push(Change { path, mode: (*old_mode).to_owned(), bytes: None });
            continue;
        }
        let size = git(&["cat-file", "-s", sha]).map_err(failed)?;
        if size.parse::<u64>().is_ok_and(|size| size > FILE_LIMIT) {
            let hint = "keep it out of git: `dvc add` it, and leave it out of the patterns";
            return Err(CliError::new(
                ExitCode::Failed,
                format!("{path} has {size} bytes, and GitHub takes 100 MiB at most"),
            )
            .hint(hint));
        }
        let bytes = git_bytes(&["cat-file", "blob", sha]).map_err(failed)?;
        all.push(Change { path, mode: (*new_mode).to_owned(), bytes: Some(bytes) });
    }
    Ok(all)
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

    fn strangers(branch: Option<&str>) -> Ci {
        Ci { may_be_strangers: true, branch: branch.map(str::to_owned), ..Ci::default() }
    }

    #[test]
    fn nothing_is_merged_in_a_run_that_may_be_a_strangers() {
        for flag in ["--merge", "--rebase", "--squash"] {
            let args = Line::parse_from(["pr", flag]).pr;
            assert!(check_merge(&args, &Ci::default()).is_ok(), "{flag}");
            for branch in [None, Some("main")] {
                let trouble = check_merge(&args, &strangers(branch)).expect_err(flag);
                assert!(trouble.message.starts_with("nothing is merged in a run that may be a stranger's"));
            }
        }
        assert!(check_merge(&Line::parse_from(["pr"]).pr, &strangers(None)).is_ok());
    }

    #[test]
    fn in_a_strangers_run_no_checkout_says_which_branch_to_change() {
        let checked_out = || Ok("theirs".to_owned());
        let trouble = base(None, &strangers(None), checked_out).expect_err("is refused");
        assert!(trouble.message.contains("its author names the branches"), "{}", trouble.message);
        assert_eq!(base(Some("main"), &strangers(None), checked_out).ok().as_deref(), Some("main"));
        assert_eq!(base(None, &strangers(Some("main")), checked_out).ok().as_deref(), Some("main"));
        assert_eq!(base(None, &Ci::default(), checked_out).ok().as_deref(), Some("theirs"));
        assert!(base(None, &Ci::default(), || Err("detached".to_owned())).is_err());
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
