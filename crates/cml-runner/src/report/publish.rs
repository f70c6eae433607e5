//! `publish`: one file, where a comment can show it.

use std::io::Write;

use cml_github::{GitHubError, GitHubErrorKind};
use cml_report::{Artifact, ArtifactError, ArtifactStore, Ci, Media, markdown};
use cml_spec::ReportPlace;
use serde_json::json;

use crate::args::Global;
use crate::exit::{CliError, ExitCode};
use crate::report::args::Publish;
use crate::report::places::{AnyShelf, CmlsFlags};
use crate::report::{files, places};

pub(crate) async fn publish(global: &Global, args: &Publish) -> Result<String, CliError> {
    let ci = files::ci();
    let cmls = CmlsFlags { server: args.url.as_deref(), native: args.native };
    let chosen = places::choose(&args.store, cmls, &ci)?;
    if args.native && args.url.is_none() && chosen.place != ReportPlace::Repository {
        return Err(CliError::new(
            ExitCode::Usage,
            "--native is the repository: leave out --to, or say --to repo",
        ));
    }
    let name = args.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let media = args.mime_type.as_deref().map(Media::given);
    let asset = Artifact::new(&name, media, files::read(&args.path)?)?;
    let looks_like_an_image = ["png", "jpg", "jpeg", "gif", "svg", "webp"]
        .iter()
        .any(|end| name.to_ascii_lowercase().ends_with(&format!(".{end}")));
    if looks_like_an_image && !asset.media.is_shown() {
        files::warn(&format!(
            "{} is no image by its content, but {}: it is published as a link",
            args.path.display(),
            asset.media.mime
        ));
    }
    let github = match chosen.place {
        ReportPlace::Repository => match places::github(global) {
            Err(trouble) if places::has_no_token_of_a_fork(&ci, &trouble) => {
                files::warn(&format!(
                    "{}. {name} is not published: in a pull request from a fork there are no secrets",
                    trouble.message
                ));
                return printed(args, &unpublished(args, &name));
            }
            answer => Some(answer?),
        },
        _ => None,
    };
    let store = AnyShelf::open(&chosen, github.as_ref(), &ci, args.rm_watermark).await?;
    let url = match store.upload(std::slice::from_ref(&asset)).await {
        Ok(urls) => urls.into_iter().next().unwrap_or_default(),
        Err(ArtifactError::GitHub(error)) if may_only_read(&ci, &error) => {
            files::warn(&format!(
                "{error}. {name} is not published: in a pull request from a fork GitHub's token may only read"
            ));
            return printed(args, &unpublished(args, &name));
        }
        Err(error) => return Err(error.into()),
    };
    let text = if args.md { markdown(&asset, &url, args.title.as_deref()) } else { url.clone() };
    if global.json {
        return Ok(format!(
            "{}\n",
            json!({"url": url, "type": asset.media.mime, "markdown": markdown(&asset, &url, args.title.as_deref())})
        ));
    }
    printed(args, &text)
}

/// Returns the text in a report for a file that cannot be published.
fn unpublished(args: &Publish, name: &str) -> String {
    if args.md {
        format!("*{name}: not published, a pull request from a fork may only read*")
    } else {
        String::new()
    }
}

/// Returns whether GitHub refused because the run comes from a fork: the user cannot change that.
pub(crate) fn may_only_read(ci: &Ci, error: &GitHubError) -> bool {
    ci.is_fork && error.kind == GitHubErrorKind::Forbidden
}

/// Prints the result on stdout, or appends it to the requested file.
fn printed(args: &Publish, text: &str) -> Result<String, CliError> {
    let Some(file) = &args.file else { return Ok(format!("{text}\n")) };
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut open| writeln!(open, "{text}"))
        .map_err(|error| {
            CliError::new(ExitCode::Failed, format!("cannot write {}: {error}", file.display()))
        })?;
    Ok(String::new())
}
