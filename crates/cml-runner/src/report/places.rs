//! Where a report's files go: whichever shelf was asked for.

use std::path::PathBuf;

use cml_aws::Bucket;
use cml_github::GitHub;
use cml_report::{Asset, AssetServer, Ci, Directory, RepositoryShelf, Shelf, ShelfError};

use crate::args::Global;
use crate::exit::{Code, Trouble};
use crate::place::{self, env};
use crate::report::args::ShelfArgs;

/// GitHub for a report: no right to runners is needed.
pub(crate) fn github(global: &Global) -> Result<GitHub, Trouble> {
    place::github(global).map_err(|mut trouble| {
        if trouble.code == Code::Denied {
            trouble.hint = Some(
                "give the step `env: {REPO_TOKEN: \"${{ secrets.GITHUB_TOKEN }}\"}` and the job the `permissions:` that \
                 docs/from-cml.md lists"
                    .to_owned(),
            );
        }
        trouble
    })
}

/// Nobody here can change that there is no token: GitHub gives a fork's pull request no secrets.
pub(crate) fn has_no_token_of_a_fork(ci: &Ci, trouble: &Trouble) -> bool {
    ci.is_fork && trouble.code == Code::Denied
}

/// What `--to` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Repository,
    S3 { bucket: String, prefix: String },
    Server(String),
    Directory(PathBuf),
}

/// Reads `--to`; CML's own flag for a server wins.
pub(crate) fn place(args: &ShelfArgs, server: Option<&str>) -> Result<Place, Trouble> {
    let to = server.unwrap_or(&args.to);
    let usage = |message: String| Trouble::new(Code::Usage, message);
    let place = match to.split_once("://") {
        Some(("s3", rest)) => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(usage(format!("--to {to}: the bucket is missing: s3://BUCKET/PREFIX")));
            }
            Place::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() }
        }
        Some(("http" | "https", _)) => Place::Server(to.to_owned()),
        Some((scheme, _)) => {
            return Err(usage(format!(
                "--to {to}: {scheme}:// is not served; use repo, s3://, https:// or a directory"
            )));
        }
        None if to == "repo" => Place::Repository,
        None if to.is_empty() => {
            return Err(usage("--to is empty: use repo, s3://…, https://… or a directory".to_owned()));
        }
        None => Place::Directory(PathBuf::from(to)),
    };
    if args.public_url.is_some() && !matches!(place, Place::S3 { .. }) {
        return Err(usage("--public-url goes with --to s3://… only".to_owned()));
    }
    Ok(place)
}

/// An open shelf.
pub(crate) enum AnyShelf<'a> {
    Repository(RepositoryShelf<'a>),
    S3(Bucket),
    Server(AssetServer),
    Directory(Directory),
}

impl<'a> AnyShelf<'a> {
    /// Opens it; GitHub is needed for the repository only.
    pub(crate) async fn open(
        place: &Place,
        public_url: Option<&str>,
        github: Option<&'a GitHub>,
        ci: &Ci,
        is_unmarked: bool,
    ) -> Result<Self, Trouble> {
        Ok(match place {
            Place::Repository => {
                let github = github.ok_or_else(|| Trouble::new(Code::Denied, "no GitHub token"))?;
                Self::Repository(RepositoryShelf::new(github, ci))
            }
            Place::S3 { bucket, prefix } => {
                let is_elsewhere = env("AWS_ENDPOINT_URL_S3").or_else(|| env("AWS_ENDPOINT_URL")).is_some();
                Self::S3(Bucket::connect(bucket, prefix, public_url, is_elsewhere).await)
            }
            Place::Server(url) if is_unmarked => Self::Server(AssetServer::new(url)?.unmarked()),
            Place::Server(url) => Self::Server(AssetServer::new(url)?),
            Place::Directory(root) => Self::Directory(Directory { root: root.clone() }),
        })
    }
}

impl Shelf for AnyShelf<'_> {
    async fn place(&self, assets: &[Asset]) -> Result<Vec<String>, ShelfError> {
        match self {
            Self::Repository(shelf) => shelf.place(assets).await,
            Self::Server(shelf) => shelf.place(assets).await,
            Self::Directory(shelf) => shelf.place(assets).await,
            Self::S3(bucket) => {
                let mut all = Vec::new();
                for asset in assets {
                    let placed = bucket.put(&asset.path(), &asset.media.mime, &asset.bytes).await;
                    all.push(placed.map_err(|error| ShelfError::Other(error.to_string()))?);
                }
                Ok(all)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(to: &str) -> Result<Place, String> {
        place(&ShelfArgs { to: to.to_owned(), public_url: None }, None).map_err(|trouble| trouble.message)
    }

    #[test]
    fn a_place_is_told_by_how_it_begins() {
        assert_eq!(read("repo"), Ok(Place::Repository));
        let bucket = Place::S3 { bucket: "plots".to_owned(), prefix: "a/b".to_owned() };
        assert_eq!(read("s3://plots/a/b"), Ok(bucket));
        assert_eq!(read("https://x.org/u"), Ok(Place::Server("https://x.org/u".to_owned())));
        assert_eq!(read("out/preview"), Ok(Place::Directory("out/preview".into())));
        assert!(read("s3:///a").is_err_and(|message| message.contains("bucket is missing")));
        assert!(read("gs://b").is_err_and(|message| message.contains("gs:// is not served")));
        let args = ShelfArgs { to: "repo".to_owned(), public_url: Some("https://x".to_owned()) };
        assert!(place(&args, None).is_err());
    }
}
