//! Stores for a report's files.

use std::path::PathBuf;

use cml_github::GitHub;
use cml_report::{Artifact, ArtifactError, ArtifactStore, AssetServer, Ci, Directory, RepositoryStore};
use cml_spec::{ReportPlace, ReportsConfig};

use crate::args::Global;
use crate::aws::Bucket;
use crate::context::{self, env};
use crate::exit::{CliError, ExitCode};
use crate::report::args::ShelfArgs;
use crate::report::checkout;

/// Creates the GitHub client for a report: no permission for runners is needed.
pub(crate) fn github(global: &Global) -> Result<GitHub, CliError> {
    github_of_remote(global, "origin")
}

/// Creates the client; a repository that is not named otherwise is taken from this git remote.
pub(crate) fn github_of_remote(global: &Global, remote: &str) -> Result<GitHub, CliError> {
    context::github_of_remote(global, remote).map_err(|trouble| match trouble.code {
        ExitCode::Denied => trouble.hint(
            "give the step `env: {REPO_TOKEN: \"${{ secrets.GITHUB_TOKEN }}\"}` and the job `permissions:`: contents: write \
             (pictures, pr), pull-requests: write (comments, pr), issues: write (comments on issues), checks: write (checks), \
             actions: write (workflow rerun)",
        ),
        _ => trouble,
    })
}

/// Returns whether there is no token because of a fork: GitHub passes no secrets to a fork's pull request.
pub(crate) fn has_no_token_of_a_fork(ci: &Ci, trouble: &CliError) -> bool {
    ci.is_fork && trouble.code == ExitCode::Denied
}

/// The store, and the prefix of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) place: ReportPlace,
    pub(crate) public_url: Option<String>,
    /// The checkout, where its `cml.yaml` has named a directory: nothing is written outside of it.
    pub(crate) within: Option<PathBuf>,
}

/// Chooses the store: CML's own flags, then `--to`, then its variable, then the `cml.yaml` of the checkout, unless a
/// stranger may have written that: it would decide where a run with secrets sends its files.
pub(crate) fn choose(args: &ShelfArgs, cmls: CmlsFlags<'_>, ci: &Ci) -> Result<Chosen, CliError> {
    let usage = |message: String| CliError::new(ExitCode::Usage, message);
    let named = cmls.server.or(args.to.as_deref()).or(cmls.native.then_some("repo"));
    let chosen = match named {
        Some(to) => {
            let place = to.parse().map_err(|why| usage(format!("--to {why}")))?;
            Chosen { place, public_url: args.public_url.clone(), within: None }
        }
        None => {
            let (file, within) = if ci.is_fork || ci.may_be_strangers {
                (ReportsConfig::default(), None)
            } else {
                checkout::reports()?
            };
            Chosen {
                place: file.to.unwrap_or(ReportPlace::Repository),
                public_url: args.public_url.clone().or(file.public_url),
                within,
            }
        }
    };
    if chosen.public_url.is_some() && !matches!(chosen.place, ReportPlace::S3 { .. }) {
        return Err(usage("--public-url goes with --to s3://… only".to_owned()));
    }
    Ok(chosen)
}

impl Chosen {
    /// Returns the requested directory.
    pub(crate) fn directory(&self) -> Result<Directory, CliError> {
        match &self.place {
            ReportPlace::Directory(root) => Ok(Directory { root: root.clone(), within: self.within.clone() }),
            _ => Err(CliError::new(ExitCode::Failed, "files do not go to a directory")),
        }
    }
}

/// CML's own flags for the store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CmlsFlags<'a> {
    /// `--url`, `--publish-url`.
    pub(crate) server: Option<&'a str>,
    /// `--native`, `--publish-native`: at GitHub.
    pub(crate) native: bool,
}

/// An open store.
pub(crate) enum AnyShelf<'a> {
    Repository(RepositoryStore<'a>),
    S3(Bucket),
    Server(AssetServer),
    Directory(Directory),
}

impl<'a> AnyShelf<'a> {
    /// Opens the store; GitHub is needed for the repository only.
    pub(crate) async fn open(
        chosen: &Chosen,
        github: Option<&'a GitHub>,
        ci: &Ci,
        is_unmarked: bool,
    ) -> Result<Self, CliError> {
        Ok(match &chosen.place {
            ReportPlace::Repository => {
                let github = github.ok_or_else(|| CliError::new(ExitCode::Denied, "no GitHub token"))?;
                Self::Repository(RepositoryStore::new(github, ci))
            }
            ReportPlace::S3 { bucket, prefix } => {
                let is_elsewhere = env("AWS_ENDPOINT_URL_S3").or_else(|| env("AWS_ENDPOINT_URL")).is_some();
                Self::S3(Bucket::connect(bucket, prefix, chosen.public_url.as_deref(), is_elsewhere).await)
            }
            ReportPlace::Server(url) if is_unmarked => Self::Server(AssetServer::new(url)?.unmarked()),
            ReportPlace::Server(url) => Self::Server(AssetServer::new(url)?),
            ReportPlace::Directory(_) => Self::Directory(chosen.directory()?),
        })
    }
}

impl ArtifactStore for AnyShelf<'_> {
    async fn upload(&self, assets: &[Artifact]) -> Result<Vec<String>, ArtifactError> {
        match self {
            Self::Repository(store) => store.upload(assets).await,
            Self::Server(store) => store.upload(assets).await,
            Self::Directory(store) => store.upload(assets).await,
            Self::S3(bucket) => {
                let mut all = Vec::new();
                for asset in assets {
                    let placed = bucket.put(&asset.path(), &asset.media.mime, &asset.bytes).await;
                    all.push(placed.map_err(|error| ArtifactError::Other(error.to_string()))?);
                }
                Ok(all)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_read_or_said() {
        let read = |to: &str| {
            let args = ShelfArgs { to: Some(to.to_owned()), public_url: None };
            let chosen = choose(&args, CmlsFlags::default(), &Ci::default());
            chosen.map(|chosen| chosen.place).map_err(|trouble| trouble.message)
        };
        assert_eq!(read("repo"), Ok(ReportPlace::Repository));
        assert!(read("gs://b").is_err_and(|message| message.starts_with("--to gs://b: gs:// is not served")));
        let args = ShelfArgs { to: Some("repo".to_owned()), public_url: Some("https://x".to_owned()) };
        assert!(choose(&args, CmlsFlags::default(), &Ci::default()).is_err());
    }
}
