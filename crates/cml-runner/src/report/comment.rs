//! `comment create` and `comment update`: a report with its images, as a comment.

use std::ops::Range;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cml_github::{CommentTarget, GitHub, GitHubErrorKind};
use cml_report::{
    Asset, Ci, Posted, Posting, ReportError, Shelf, ShelfError, Target, Watermark, local_links, post,
    replaced,
};
use cml_spec::ReportPlace;
use serde_json::json;

use crate::args::Global;
use crate::exit::{Code, Trouble};
use crate::place::env;
use crate::report::args::Comment;
use crate::report::footer::footed;
use crate::report::places::{AnyShelf, Chosen, CmlsFlags};
use crate::report::publish::may_only_read;
use crate::report::summary::InSummary;
use crate::report::watch::Way;
use crate::report::{files, places, summary, watch};

/// Everything that one posting needs; `--watch` posts many.
pub(crate) struct Session<'a> {
    pub(crate) args: &'a Comment,
    pub(crate) github: &'a GitHub,
    pub(crate) chosen: Chosen,
    pub(crate) ci: Ci,
    pub(crate) target: CommentTarget,
}

pub(crate) async fn comment(global: &Global, args: &Comment, update: bool) -> Result<String, Trouble> {
    let ci = files::ci();
    let cmls = CmlsFlags { server: args.publish_url.as_deref(), native: args.publish_native };
    let chosen = places::choose(&args.shelf, cmls, &ci)?;
    let target = target(args)?;
    // Before anything is asked of anyone: the report must be there.
    if !args.watch {
        drop(files::read(&args.markdown_file)?);
    }
    if let ReportPlace::Directory(root) = &chosen.place {
        return preview(global, args, &chosen, root, &ci).await;
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

/// The report and its files in a directory, to look at before anyone else does; nobody is asked.
async fn preview(
    global: &Global,
    args: &Comment,
    chosen: &Chosen,
    root: &Path,
    ci: &Ci,
) -> Result<String, Trouble> {
    let shelf = AnyShelf::open(chosen, None, ci, false).await?;
    let base = args.markdown_file.parent().unwrap_or(Path::new(""));
    let text = published(&report_of(args)?, base, &shelf).await?;
    // Seen from the report, which lies beside its files.
    let text = text.replace(&format!("({}/", root.display()), "(");
    let file = root.join("report.md");
    std::fs::create_dir_all(root)
        .and_then(|()| std::fs::write(&file, text))
        .map_err(|error| Trouble::new(Code::Failed, format!("cannot write {}: {error}", file.display())))?;
    let path = file.display().to_string();
    Ok(if global.json { format!("{}\n", json!({"path": path})) } else { format!("{path}\n") })
}

fn target(args: &Comment) -> Result<Target, Trouble> {
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
    text.parse().map_err(|error: ReportError| Trouble::new(Code::Usage, error.to_string()))
}

fn told(global: &Global, target: &CommentTarget, posted: &Posted) -> String {
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

/// The report's text, with its footer.
pub(crate) fn report_of(args: &Comment) -> Result<String, Trouble> {
    Ok(footed(files::report(&args.markdown_file)?, args.footer))
}

impl Session<'_> {
    /// Publishes the report's files and writes it.
    pub(crate) async fn post(&self, text: &str, update: bool) -> Result<Posted, ReportError> {
        let shelf = AnyShelf::open(&self.chosen, Some(self.github), &self.ci, false)
            .await
            .map_err(|trouble| ReportError::Other(trouble.message))?;
        let text = if self.args.publish {
            let base = self.args.markdown_file.parent().unwrap_or(Path::new(""));
            published(text, base, &shelf).await?
        } else {
            text.to_owned()
        };
        #[allow(clippy::disallowed_methods, reason = "the edge of the program: here a mark gets its id")]
        let id = ulid::Ulid::generate().to_string();
        let watermark = Watermark::new(&self.args.watermark_title, &self.ci, id);
        let posting = Posting {
            target: &self.target,
            text: &text,
            watermark: (!self.args.rm_watermark).then_some(&watermark),
            update,
            section: self.args.section.as_deref(),
        };
        post(self.github, &shelf, &posting).await
    }
}

/// The report with addresses in place of files of this machine and of data. What cannot be published stays as it is, and is
/// said: a report with a flaw is better than none.
pub(crate) async fn published(text: &str, base: &Path, shelf: &impl Shelf) -> Result<String, ReportError> {
    let mut found: Vec<(Range<usize>, Asset)> = Vec::new();
    for link in local_links(text) {
        let asset = if link.target.starts_with("data:") {
            data(&link.target)
                .ok_or_else(|| "the report has an image as data: that is no base64".to_owned())
                .and_then(|(name, bytes)| Asset::new(&name, None, bytes).map_err(|error| error.to_string()))
        } else {
            linked(base, &link.target)
        };
        match asset {
            Ok(asset) => found.push((link.range, asset)),
            Err(why) => files::warn(&format!("{why}; the report shows it as it is")),
        }
    }
    if found.is_empty() {
        return Ok(text.to_owned());
    }
    let (ranges, assets): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let urls = match shelf.place(&assets).await {
        Ok(urls) => urls,
        Err(ShelfError::GitHub(error)) if error.kind == GitHubErrorKind::Forbidden => {
            let hint = error.hint.clone().unwrap_or_default();
            files::warn(&format!("{error}. The report's files are not published: {hint}"));
            return Ok(text.to_owned());
        }
        Err(error) => return Err(error.into()),
    };
    Ok(replaced(text, &ranges.into_iter().zip(urls).collect::<Vec<_>>()))
}

/// A file that the report links to, if it is one that may be shown: a report can be made of what a stranger wrote, and must
/// not give away this machine's secrets.
fn linked(base: &Path, target: &str) -> Result<Asset, String> {
    // An anchor within another page, or what a server would read.
    let path = target.split(['#', '?']).next().unwrap_or_default();
    let exact = base.join(target);
    let file = if exact.is_file() { exact } else { base.join(path) };
    let failed = |why: &str| format!("{}, which the report shows, cannot be read: {why}", file.display());
    let real = file.canonicalize().map_err(|error| failed(&error.to_string()))?;
    let below = [
        Some(PathBuf::from(".")),
        Some(base.join(".")),
        env("GITHUB_WORKSPACE").map(PathBuf::from),
        env("RUNNER_TEMP").map(PathBuf::from),
        Some(std::env::temp_dir()),
    ];
    let is_below = below
        .into_iter()
        .flatten()
        .filter_map(|dir| dir.canonicalize().ok())
        .any(|dir| real.starts_with(dir));
    if !is_below || real.components().any(|part| part.as_os_str() == ".git") {
        return Err(failed(
            "it is not below the working directory, or in .git: publish it with cml-publish if you mean it",
        ));
    }
    let bytes = files::read(&real).map_err(|trouble| trouble.message)?;
    Asset::new(path, None, bytes).map_err(|error| error.to_string())
}

/// Name and bytes of `data:image/png;base64,…`.
fn data(uri: &str) -> Option<(String, Vec<u8>)> {
    let (head, body) = uri.strip_prefix("data:")?.split_once(',')?;
    let kind = head.strip_suffix(";base64")?.split(';').next()?;
    let end = kind.rsplit('/').next().unwrap_or("bin").replace("svg+xml", "svg");
    let plain: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    Some((format!("image.{end}"), STANDARD.decode(plain).ok()?))
}
