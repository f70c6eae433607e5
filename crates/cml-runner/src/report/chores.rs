//! Small commands of CML: re-run a workflow, prepare a checkout, and the end of tensorboard.dev.

use cml_report::prune;
use serde_json::json;

use crate::actions::now;
use crate::args::Global;
use crate::context::env;
use crate::exit::{CliError, ExitCode};
use crate::progress::Progress;
use crate::report::args::Prepare;
use crate::report::files::{self, git};
use crate::report::places;
use crate::report::pr::{USER_EMAIL, USER_NAME};

pub(crate) async fn rerun(global: &Global, id: u64) -> Result<String, CliError> {
    if files::ci().run_id == Some(id) {
        return Err(CliError::new(ExitCode::Failed, format!("run {id} is the one that this step belongs to: to run it again it would have to end first"))
            .hint("run this in a workflow of its own (`on: workflow_run`), with --id ${{ github.event.workflow_run.id }}"));
    }
    places::github(global)?.rerun_whole(id).await?;
    Ok(String::new())
}

/// Returns the committer for git's configuration. On a user's own computer it is left to the user.
fn identity(args: &Prepare, in_ci: bool) -> Result<Vec<(&'static str, &str)>, CliError> {
    let usual = |value: &'static str| in_ci.then_some(value);
    let email = args.user_email.as_deref().or(usual(USER_EMAIL));
    let name = args.user_name.as_deref().or(usual(USER_NAME));
    let all = [("user.email", email), ("user.name", name)];
    let set: Vec<_> = all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    if set.is_empty() {
        let message = "this is no workflow (GITHUB_ACTIONS is not set), and this command writes who commits into git's \
                       configuration of the checkout";
        return Err(CliError::new(ExitCode::Usage, message)
            .hint("say who with --user-name and --user-email to do it all the same"));
    }
    Ok(set)
}

/// Prepares a checkout. Unlike CML's, it puts no token into git's configuration: actions/checkout has done that, or the
/// remote is public.
pub(crate) fn prepare(args: &Prepare) -> Result<String, CliError> {
    let failed = |cause: String| {
        CliError::new(ExitCode::Failed, format!("the checkout cannot be made ready: {cause}"))
            .hint("run it in a git checkout; for a private repository keep `persist-credentials: true` of actions/checkout")
    };
    let in_ci = env("GITHUB_ACTIONS").is_some();
    let progress = Progress::new(env("GITHUB_ACTIONS").is_some());
    for (key, value) in identity(args, in_ci)? {
        git(&["config", key, value]).map_err(failed)?;
        progress.line(&format!("this checkout's {key} is now {value}"));
    }
    let is_shallow = git(&["rev-parse", "--is-shallow-repository"]).map_err(failed)? == "true";
    let depth = if args.unshallow { Some(0) } else { args.fetch_depth };
    if let Some(depth) = depth {
        let what = if depth == 0 { "all of the history".to_owned() } else { format!("{depth} commits deep") };
        progress.line(&format!("fetching {what}, with tags"));
    }
    match depth {
        Some(0) if is_shallow => {
            git(&["fetch", "--all", "--tags", "--unshallow"]).map_err(failed)?;
        }
        Some(0) => {
            git(&["fetch", "--all", "--tags"]).map_err(failed)?;
        }
        Some(depth) => {
            git(&["fetch", "--all", "--tags", &format!("--depth={depth}")]).map_err(failed)?;
        }
        None => {}
    }
    Ok(String::new())
}

pub(crate) fn tensorboard() -> Result<String, CliError> {
    Err(CliError::new(
        ExitCode::Failed,
        "tensorboard.dev was shut down by its owner on 2024-01-01: there is nothing to connect to",
    )
    .hint(
        "export the scalars (tensorboard's `Export as CSV`, or dvclive) and draw them with `cml-report plot scalars.csv \
         -x step -y loss -o loss.png` and `cml-publish loss.png --md >> report.md`, or link to a TensorBoard of your own",
    ))
}

pub(crate) async fn old_files(global: &Global, older_than: &str, dry_run: bool) -> Result<String, CliError> {
    let age = cml_spec::duration::parse(older_than)
        .map_err(|error| CliError::new(ExitCode::Usage, format!("--older-than: {error}")))?;
    let github = places::github(global)?;
    let pruned = prune(&github, now() - age, dry_run).await?;
    if global.json {
        let object = json!({"removed": pruned.removed, "kept": pruned.kept, "dry_run": dry_run});
        return Ok(format!("{object}\n"));
    }
    let word = if dry_run { "would be removed" } else { "removed" };
    let mut text: String = pruned.removed.iter().map(|name| format!("{name}\n")).collect();
    text.push_str(&format!("{} {word}, {} kept\n", pruned.removed.len(), pruned.kept));
    if !pruned.removed.is_empty() && !dry_run {
        files::warn("comments whose images were removed show none from now on");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_somebodys_own_computer_the_identity_is_theirs_to_say() {
        let args = |name: Option<&str>| Prepare {
            fetch_depth: None,
            unshallow: false,
            user_email: None,
            user_name: name.map(str::to_owned),
        };
        assert!(identity(&args(None), false).is_err_and(|trouble| trouble.code == ExitCode::Usage));
        assert_eq!(identity(&args(Some("Ada")), false).ok(), Some(vec![("user.name", "Ada")]));
        let bot = vec![("user.email", USER_EMAIL), ("user.name", USER_NAME)];
        assert_eq!(identity(&args(None), true).ok(), Some(bot));
    }
}
