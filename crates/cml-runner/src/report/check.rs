//! `check create`: a report as a check run.

use std::path::Path;

use cml_github::{CHECK_TEXT_LIMIT, CheckOutput, GitHub, NewCheck};
use cml_report::{Ci, fit};
use cml_spec::ReportPlace;

use crate::args::Global;
use crate::exit::{CliError, ExitCode};
use crate::report::args::Check;
use crate::report::footer::footed;
use crate::report::places::{AnyShelf, CmlsFlags};
use crate::report::publish::may_only_read;
use crate::report::{comment, files, places, summary};

pub(crate) async fn create(global: &Global, args: &Check) -> Result<String, CliError> {
    let ci = files::ci();
    let chosen = places::choose(&args.store, CmlsFlags::default(), &ci)?;
    if matches!(chosen.place, ReportPlace::Directory(_)) {
        return Err(CliError::new(
            ExitCode::Usage,
            "a check run cannot show files of a directory of this machine",
        )
        .hint("say --to repo, s3://… or https://…, or look at the report first: comment create --to DIR"));
    }
    let report = footed(files::report(&args.markdown_file)?, args.footer);
    let github = places::github(global)?;
    let store = AnyShelf::open(&chosen, Some(&github), &ci, false).await?;
    let base = args.markdown_file.parent().unwrap_or(Path::new(""));
    let text = comment::published(&report, base, &store, &ci).await?;
    let check = NewCheck {
        conclusion: (args.status == "completed").then(|| args.conclusion.clone()),
        ..new(&github, &ci, args.commit_sha.as_deref(), &args.title, &text)?
    };
    let check = NewCheck { status: args.status.clone(), ..check };
    let written = match github.create_check(&check).await {
        Err(error) if may_only_read(&ci, &error) => return summary::instead(&text, error.into()),
        answer => answer?,
    };
    tracing::info!(url = written.html_url, "the check run was written");
    // CML prints nothing here either.
    Ok(String::new())
}

/// Creates a completed, successful check of the commit of the run.
pub(crate) fn new(
    github: &GitHub,
    ci: &Ci,
    sha: Option<&str>,
    title: &str,
    text: &str,
) -> Result<NewCheck, CliError> {
    let sha = sha.or(ci.head_sha.as_deref()).ok_or_else(|| {
        CliError::new(
            ExitCode::Usage,
            format!("it is not known which commit of {} the check is about", github.location().scope),
        )
        .hint("name it with --commit-sha, or run inside a workflow or a git checkout")
    })?;
    if text.trim().is_empty() {
        return Err(CliError::new(
            ExitCode::Failed,
            "the report is empty: GitHub takes no check run without a summary",
        )
        .hint("look at the step that writes it"));
    }
    let summary = match fit(text, CHECK_TEXT_LIMIT - 200) {
        Some(kept) => {
            files::warn("the report is longer than GitHub takes in a check run and was cut");
            format!("{kept}\n\n> The report goes on: it is longer than GitHub takes in a check run.")
        }
        None => text.to_owned(),
    };
    Ok(NewCheck {
        name: title.to_owned(),
        head_sha: sha.to_owned(),
        status: "completed".to_owned(),
        conclusion: Some("success".to_owned()),
        output: CheckOutput { title: title.to_owned(), summary },
    })
}
