//! `comment create` and `comment update`: a report with its images, as a comment.

use std::path::Path;

use cml_github::{CommentTarget, GitHub, GitHubErrorKind};
use cml_report::{
    ArtifactError, ArtifactStore, Ci, CommentRequest, Directory, PostedComment, ReportError, Target,
    Watermark, post, replaced,
};
use cml_spec::ReportPlace;
use serde_json::json;

use crate::args::Global;
use crate::exit::{CliError, ExitCode};
use crate::report::args::Comment;
use crate::report::footer::footed;
use crate::report::gathered::gather;
use crate::report::linked::{MayShow, note};
use crate::report::places::{AnyShelf, Chosen, CmlsFlags};
use crate::report::publish::may_only_read;
use crate::report::summary::InSummary;
use crate::report::watch::Way;
use crate::report::{files, places, summary, watch};

/// Everything that one posting needs; `--watch` posts repeatedly.
pub(crate) struct Session<'a> {
    pub(crate) args: &'a Comment,
    pub(crate) github: &'a GitHub,
    pub(crate) chosen: Chosen,
    pub(crate) ci: Ci,
    pub(crate) target: CommentTarget,
}

pub(crate) async fn comment(global: &Global, args: &Comment, update: bool) -> Result<String, CliError> {
    let ci = files::ci();
    let cmls = CmlsFlags { server: args.publish_url.as_deref(), native: args.publish_native };
    let chosen = places::choose(&args.store, cmls, &ci)?;
    let target = target(args)?;
    // Before any call: the report must exist.
    if !args.watch {
        drop(files::read(&args.markdown_file)?);
    }
    if let ReportPlace::Directory(_) = &chosen.place {
        return preview(global, args, &chosen.directory()?, &ci).await;
    }
    let github = match places::github(global) {
        Err(trouble) if places::has_no_token_of_a_fork(&ci, &trouble) => {
            if args.watch {
                return watch::watch(args, Way::Summary(InSummary::because(trouble)), false).await;
            }
            return summary::instead(&report_of(args)?, trouble);
        }
        answer => answer?,
    };
    let target = target.find(&ci, &github).await?;
    let session = Session { args, github: &github, chosen, ci, target };
    if args.watch {
        return watch::watch(args, Way::Comment(&session), update || args.update).await;
    }
    let text = report_of(args)?;
    match session.post(&text, update || args.update).await {
        Ok(posted) => Ok(told(global, &session.target, &posted)),
        Err(ReportError::GitHub(error)) if may_only_read(&session.ci, &error) => {
            summary::instead(&text, error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes the report and its files into a directory as a preview; no calls are made.
async fn preview(global: &Global, args: &Comment, store: &Directory, ci: &Ci) -> Result<String, CliError> {
    let base = args.markdown_file.parent().unwrap_or(Path::new(""));
    let text = published(&report_of(args)?, base, store, ci).await?;
    // Relative to the report, which is next to its files.
    let text = text.replace(&format!("({}/", store.root.display()), "(");
    let path = store.write(Path::new("report.md"), text.as_bytes())?.display().to_string();
    Ok(if global.json { format!("{}\n", json!({"path": path})) } else { format!("{path}\n") })
}

fn target(args: &Comment) -> Result<Target, CliError> {
    let text = match (&args.commit_sha, args.pr) {
        (Some(sha), _) => {
            files::warn("--commit-sha is CML's older name: use --target commit/SHA");
            format!("commit/{sha}")
        }
        (None, true) => {
            files::warn("--pr is CML's older name: use --target pr");
            "pr".to_owned()
        }
        (None, false) => args.target.clone(),
    };
    text.parse().map_err(|error: ReportError| CliError::new(ExitCode::Usage, error.to_string()))
}

fn told(global: &Global, target: &CommentTarget, posted: &PostedComment) -> String {
    if let Some(fate) = &posted.cut {
        files::warn(&format!(
            "the report is longer than GitHub takes in a comment and was cut; the whole is {fate}"
        ));
    }
    if global.json {
        let object = json!({"url": posted.url, "target": target.to_string(), "whole": posted.cut});
        return format!("{object}\n");
    }
    format!("{}\n", posted.url)
}

/// Returns the report's text, with its footer.
pub(crate) fn report_of(args: &Comment) -> Result<String, CliError> {
    Ok(footed(files::report(&args.markdown_file)?, args.footer))
}

impl Session<'_> {
    /// Publishes the report's files and writes the comment.
    pub(crate) async fn post(&self, text: &str, update: bool) -> Result<PostedComment, ReportError> {
        let store = AnyShelf::open(&self.chosen, Some(self.github), &self.ci, false)
            .await
            .map_err(|trouble| ReportError::Other(trouble.message))?;
        let text = if self.args.publish {
            let base = self.args.markdown_file.parent().unwrap_or(Path::new(""));
            published(text, base, &store, &self.ci).await?
        } else {
            text.to_owned()
        };
        #[allow(clippy::disallowed_methods, reason = "the edge of the program: here a mark gets its id")]
        let id = ulid::Ulid::generate().to_string();
        let watermark = Watermark::new(&self.args.watermark_title, &self.ci, id);
        let posting = CommentRequest {
            target: &self.target,
            text: &text,
            watermark: (!self.args.rm_watermark).then_some(&watermark),
            update,
            section: self.args.section.as_deref(),
        };
        post(self.github, &store, &posting).await
    }
}

/// Returns the report with addresses instead of files of this machine and of data. A target that cannot be published is
/// unchanged and reported; one that may not be published is also noted in the report: a report with a flaw is better
/// than none.
pub(crate) async fn published(
    text: &str,
    base: &Path,
    store: &impl ArtifactStore,
    ci: &Ci,
) -> Result<String, ReportError> {
    let gathered = gather(text, base, &MayShow::here(ci), &files::read)?;
    for line in gathered.flaws.lines() {
        files::warn(&line);
    }
    let note = note(&gathered.refused);
    if gathered.assets.is_empty() {
        return Ok(format!("{text}{note}"));
    }
    let urls = match store.upload(&gathered.assets).await {
        Ok(urls) => urls,
        Err(ArtifactError::GitHub(error)) if error.kind == GitHubErrorKind::Forbidden => {
            let hint = error.hint.clone().unwrap_or_default();
            files::warn(&format!("{error}. The report's files are not published: {hint}"));
            return Ok(format!("{text}{note}"));
        }
        Err(error) => return Err(error.into()),
    };
    let targets = gathered.targets.into_iter().map(|(range, asset)| (range, urls[asset].clone()));
    let text = replaced(text, &targets.collect::<Vec<_>>());
    Ok(format!("{text}{note}"))
}
