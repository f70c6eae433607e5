//! Posting of a report as a comment, without duplicates.

use std::time::Duration;

use cml_github::{Comment, CommentAuthor, CommentTarget, GitHub, GitHubError, GitHubErrorKind};

use crate::error::ReportError;
use crate::media::Media;
use crate::ownership::{Ownership, whose};
use crate::sections::{self, Sections};
use crate::store::{Artifact, ArtifactStore};
use crate::truncate::{BODY_LIMIT, fit};
use crate::watermark::Watermark;

/// Minimum room for a section; a shorter one would not be understandable.
const SECTION_ROOM: usize = 3000;
/// Number of times that a section is rewritten because other jobs overwrote it.
const ATTEMPTS: u32 = 12;
/// Delays after which a written section is checked. GitHub has no conditional writes, so another job that read the
/// comment before this write may overwrite it. Nothing is done between reading and writing, and a write is not repeated
/// without reading again, so that takes less than the last of these delays unless GitHub is very slow.
const LOOKS: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(1600)];
/// Wait after a write that was refused temporarily.
const AFTER_REFUSAL: Duration = Duration::from_secs(5);
/// Room reserved in a truncated report for the note with the link to the whole one.
const NOTE_ROOM: usize = 600;

/// A report to post.
#[derive(Clone, Copy, Debug)]
pub struct CommentRequest<'a> {
    /// The target.
    pub target: &'a CommentTarget,
    /// Its Markdown, with links that other people can follow.
    pub text: &'a str,
    /// Its watermark; without one it is never found again.
    pub watermark: Option<&'a Watermark>,
    /// Whether to replace the last version instead of creating another comment.
    pub update: bool,
    /// Limits the write to this section of a comment that several jobs share.
    pub section: Option<&'a str>,
}

/// A report that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedComment {
    /// Address of the comment for people.
    pub url: String,
    /// Note about the whole report, where it was longer than GitHub's limit.
    pub cut: Option<String>,
}

/// Posts a report.
///
/// # Errors
/// When it is not posted, or the outcome is unknown.
pub async fn post(
    github: &GitHub,
    store: &impl ArtifactStore,
    posting: &CommentRequest<'_>,
) -> Result<PostedComment, ReportError> {
    if posting.text.trim().is_empty() {
        return Err(ReportError::Empty);
    }
    if let Some(name) = posting.section {
        sections::check(name)?;
        return section(github, store, posting, name).await;
    }
    // Without a watermark it is never searched for, now or later.
    let us = if posting.watermark.is_some() { github.writer().await } else { CommentAuthor::Unknown };
    if posting.update
        && let Some(mark) = posting.watermark
        && let Some(last) = last_version(github, posting.target, mark, &us).await?
    {
        // The author of a comment stays the same, whichever account overwrites it.
        let (body, cut) = body(posting.text, Some(&mark.by(last.person())), store).await;
        if let Some(comment) = github.update_comment(posting.target, last.id, &body).await? {
            return Ok(PostedComment { url: comment.html_url, cut });
        }
    }
    let mark = posting.watermark.map(|mark| mark.by(us.person()));
    let (body, cut) = body(posting.text, mark.as_ref(), store).await;
    let comment = create(github, &CommentRequest { watermark: mark.as_ref(), ..*posting }, &body).await?;
    Ok(PostedComment { url: comment.html_url, cut })
}

/// Returns the last comment with this watermark: one of this account's, else one that may be taken over.
async fn last_version(
    github: &GitHub,
    target: &CommentTarget,
    mark: &Watermark,
    us: &CommentAuthor,
) -> Result<Option<Comment>, GitHubError> {
    let all = github.comments(target).await?;
    let whose = |one: &Comment| of_report(one, mark, us).filter(|_| !Sections::are_in(&one.body));
    // Among equals, the last one.
    Ok(all
        .into_iter()
        .filter_map(|one| Some((whose(&one)?, one)))
        .max_by_key(|(whose, _)| *whose)
        .map(|(_, one)| one))
}

/// Returns the ownership of a comment of this report, if it is one and may be overwritten.
fn of_report(one: &Comment, mark: &Watermark, us: &CommentAuthor) -> Option<Ownership> {
    let found = Watermark::find(&one.body).filter(|found| found.title == mark.title)?;
    Some(whose(one, &found, us)).filter(|whose| *whose != Ownership::Others)
}

/// Returns the report within GitHub's limit, with its watermark, and a note about what was cut.
async fn body(text: &str, mark: Option<&Watermark>, store: &impl ArtifactStore) -> (String, Option<String>) {
    let tail = mark.map(|mark| format!("\n\n{}", mark.text())).unwrap_or_default();
    let (text, cut) = within(text, BODY_LIMIT.saturating_sub(tail.len()), store).await;
    (format!("{text}{tail}"), cut)
}

/// Creates a comment; when GitHub's answer is lost, the comment is searched for before it is created again.
async fn create(github: &GitHub, posting: &CommentRequest<'_>, body: &str) -> Result<Comment, GitHubError> {
    let lost = match github.create_comment(posting.target, body).await {
        Err(error) if error.kind == GitHubErrorKind::Transient => error,
        other => return other,
    };
    tracing::warn!("{lost}: looking whether the comment is there");
    let all = github.comments(posting.target).await?;
    let found = match posting.watermark {
        // No two watermarks are the same.
        Some(mark) => all.into_iter().rev().find(|one| one.body.contains(&mark.text())),
        None => all.into_iter().next_back().filter(|one| one.body.trim() == body.trim()),
    };
    match found {
        Some(comment) => Ok(comment),
        None => github.create_comment(posting.target, body).await,
    }
}

/// Returns the text, or its beginning with a link to the whole.
async fn within(text: &str, limit: usize, store: &impl ArtifactStore) -> (String, Option<String>) {
    if text.len() <= limit {
        return (text.to_owned(), None);
    }
    let whole = Artifact::new("report.md", Some(Media::given("text/markdown")), text.as_bytes().to_vec());
    let placed = match whole {
        Ok(asset) => store.upload(&[asset]).await,
        Err(error) => Err(error),
    };
    let (note, fate) = match placed.map(|urls| urls.into_iter().next().unwrap_or_default()) {
        Ok(url) => {
            // A page of the repository renders it as Markdown; the raw file would not be rendered.
            let page = url.strip_suffix("?raw=true").unwrap_or(&url).to_owned();
            (format!("> The report goes on: it is longer than GitHub takes in a comment. [The whole report]({page})"), page)
        }
        Err(error) => (
            "> The report goes on, but it is longer than GitHub takes in a comment, and the whole could not be \
             published: see the job's log."
                .to_owned(),
            format!("nowhere: {error}"),
        ),
    };
    let kept = fit(text, limit.saturating_sub(NOTE_ROOM.max(note.len() + 2))).unwrap_or_default();
    (format!("{kept}\n\n{note}"), Some(fate))
}

/// Writes one section, and checks that it stays.
async fn section(
    github: &GitHub,
    store: &impl ArtifactStore,
    posting: &CommentRequest<'_>,
    name: &str,
) -> Result<PostedComment, ReportError> {
    let mark = posting.watermark.cloned().unwrap_or_default();
    let us = github.writer().await;
    if Sections::are_in(posting.text) {
        return Err(ReportError::Other(
            "the report has marks of sections in it: give the report itself, not a comment that was copied"
                .to_owned(),
        ));
    }
    let mut known = (posting.text.to_owned(), None);
    for attempt in 0..ATTEMPTS {
        let all = shared(github, posting.target, &mark, &us).await?;
        let author = all.first().map_or_else(|| us.person(), Comment::person);
        let mark = mark.by(author);
        let tail = format!("\n\n{}", mark.text());
        let mut now = Sections::read(all.first().map(|first| first.body.as_str()).unwrap_or_default());
        for other in all.iter().skip(1) {
            now.add_missing(&Sections::read(&other.body));
        }
        now.set(name, "");
        let room = BODY_LIMIT.saturating_sub(now.text().len() + tail.len());
        if room < SECTION_ROOM {
            return Err(ReportError::NoRoom { limit: BODY_LIMIT });
        }
        if known.0.len() > room {
            // The whole report is uploaded to the store; meanwhile other jobs may have written.
            known = within(posting.text, room, store).await;
            continue;
        }
        let (text, cut) = known.clone();
        now.set(name, &text);
        let body = format!("{}{tail}", now.text());
        let written = match all.first() {
            Some(first) if first.body == body => Some(first.clone()),
            Some(first) => match github.update_comment_once(posting.target, first.id, &body).await {
                Err(error) if is_passing(&error) && attempt + 1 < ATTEMPTS => {
                    tracing::warn!("{error}: reading the comment again before another try");
                    tokio::time::sleep(AFTER_REFUSAL).await;
                    continue;
                }
                answer => answer?,
            },
            None => {
                Some(create(github, &CommentRequest { watermark: Some(&mark), ..*posting }, &body).await?)
            }
        };
        let Some(written) = written else { continue };
        // Two jobs may both have created the first comment: the oldest stays, with the sections of the others.
        for other in all.iter().skip(1).filter(|other| Sections::are_all_of(&other.body)) {
            github.delete_comment(posting.target, other.id).await?;
        }
        if stays(github, posting.target, (&mark, &us), name, &now, attempt).await? {
            return Ok(PostedComment { url: written.html_url, cut });
        }
        tracing::debug!(attempt, "another job wrote over the section: once more");
    }
    Err(ReportError::Contended(ATTEMPTS))
}

fn is_passing(error: &GitHubError) -> bool {
    matches!(error.kind, GitHubErrorKind::Transient | GitHubErrorKind::RateLimited { .. })
}

/// Returns the comments of this title that have sections, oldest first.
async fn shared(
    github: &GitHub,
    target: &CommentTarget,
    mark: &Watermark,
    us: &CommentAuthor,
) -> Result<Vec<Comment>, GitHubError> {
    let mut all = github.comments(target).await?;
    all.retain(|one| Sections::are_in(&one.body) && of_report(one, mark, us).is_some());
    all.sort_by_key(|one| one.id);
    Ok(all)
}

/// Returns whether the section is still there after the writes of those jobs that had read before this one wrote.
async fn stays(
    github: &GitHub,
    target: &CommentTarget,
    (mark, us): (&Watermark, &CommentAuthor),
    name: &str,
    written: &Sections,
    attempt: u32,
) -> Result<bool, GitHubError> {
    for look in LOOKS {
        // Uneven, so that two jobs do not collide again and again.
        let uneven = Duration::from_millis(u64::from(name.bytes().map(u32::from).sum::<u32>() % 7) * 60);
        tokio::time::sleep(look + uneven * (attempt + 1)).await;
        let all = shared(github, target, mark, us).await?;
        let Some(one) = all.first() else { return Ok(false) };
        if all.iter().skip(1).any(|other| Sections::are_all_of(&other.body)) {
            return Ok(false);
        }
        if Sections::read(&one.body).get(name) != written.get(name) {
            return Ok(false);
        }
    }
    Ok(true)
}
