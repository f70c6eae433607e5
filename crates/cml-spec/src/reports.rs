//! Destination of the files of reports, from `reports:` of a file and `--to` of a command.

use std::path::{Component, PathBuf};
use std::str::FromStr;

use crate::fields::Fields;
use crate::problem::Problems;

pub(crate) const REPORTS_KEYS: &[&str] = &["to", "public_url"];

/// Settings of a file for reports; flags and environment take precedence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportsConfig {
    /// Destination of the files; `None`: the repository.
    pub to: Option<ReportPlace>,
    /// Prefix of the addresses of files in S3; `None`: addresses signed for seven days.
    pub public_url: Option<String>,
}

/// Destination of the files of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportPlace {
    /// The repository itself, on a reference of its own.
    Repository,
    /// A bucket.
    S3 {
        /// Its name.
        bucket: String,
        /// Prefix of keys; may be empty.
        prefix: String,
    },
    /// A server with CML's upload protocol.
    Server(String),
    /// A local directory.
    Directory(PathBuf),
}

impl FromStr for ReportPlace {
    type Err = String;

    /// Parses a destination by its prefix.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(format!("{text}: the bucket is missing: s3://BUCKET/PREFIX"));
                }
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            Some(("http" | "https", _)) => Ok(Self::Server(text.to_owned())),
            Some((scheme, _)) => {
                Err(format!("{text}: {scheme}:// is not served; use repo, s3://…, https://… or a directory"))
            }
            None if text == "repo" => Ok(Self::Repository),
            None if text.is_empty() => Err("is empty: use repo, s3://…, https://… or a directory".to_owned()),
            None => Ok(Self::Directory(PathBuf::from(text))),
        }
    }
}

pub(crate) fn reports(fields: &Fields<'_>, problems: &mut Problems<'_>) -> ReportsConfig {
    let to = fields.value("to", "s3://my-bucket/reports", problems, |text| text.parse().and_then(of_a_file));
    let public_url = fields.value("public_url", "https://plots.example.com", problems, public_url_of_a_file);
    if public_url.is_some() && !matches!(to, Some(ReportPlace::S3 { .. })) {
        problems.wrong(
            fields.place("public_url"),
            &fields.path("public_url"),
            "goes with files in S3 only",
            "such as `to: s3://my-bucket/reports` beside it; leave it out otherwise",
        );
    }
    ReportsConfig { to, public_url }
}

/// Checks a public address, as for the destination itself: without TLS, an attacker could replace what readers fetch.
fn public_url_of_a_file(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        Some(("https", rest)) if !rest.is_empty() => Ok(text.to_owned()),
        Some(("http", _)) => {
            Err(format!("{text}: a file may name https:// only; --public-url may name this"))
        }
        _ => Err(format!("`{text}` is no https:// address")),
    }
}

/// Checks a destination from a file of a checkout, which anyone can edit who may change the code: it sends nothing
/// unencrypted, and nothing out of the checkout.
fn of_a_file(place: ReportPlace) -> Result<ReportPlace, String> {
    match &place {
        ReportPlace::Server(url) if !url.starts_with("https://") => {
            Err(format!("{url}: a file may name https:// only; --to may name this"))
        }
        ReportPlace::Directory(dir)
            if !dir.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) =>
        {
            Err(format!(
                "{}: a file may name a directory below itself only; --to may name this",
                dir.display()
            ))
        }
        _ => Ok(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_by_how_it_begins() {
        let read = |text: &str| text.parse::<ReportPlace>();
        assert_eq!(read("repo"), Ok(ReportPlace::Repository));
        let bucket = ReportPlace::S3 { bucket: "plots".to_owned(), prefix: "a/b".to_owned() };
        assert_eq!(read("s3://plots/a/b"), Ok(bucket));
        assert_eq!(read("https://x.org/u"), Ok(ReportPlace::Server("https://x.org/u".to_owned())));
        assert_eq!(read("out/preview"), Ok(ReportPlace::Directory("out/preview".into())));
        assert!(read("").is_err());
        assert!(read("s3:///a").is_err_and(|message| message.contains("bucket is missing")));
        assert!(read("gs://b").is_err_and(|message| message.contains("gs:// is not served")));
    }

    #[test]
    fn a_file_names_a_public_address_with_tls_only() {
        let read = |url: &str| {
            let text = format!("reports: {{ to: \"s3://plots\", public_url: \"{url}\" }}\n");
            let config = crate::read("cml.yaml", &text, &|_| Ok(Vec::new()));
            config
                .map(|config| config.reports.and_then(|reports| reports.public_url))
                .map_err(|bad| bad.to_string())
        };
        let good = "https://plots.example.com";
        assert_eq!(read(good), Ok(Some(good.to_owned())));
        let error = read("http://plots.example.com").expect_err("is refused");
        assert!(
            error.contains("reports.public_url: http://plots.example.com: a file may name https:// only"),
            "{error}"
        );
        for bad in ["https://", "HTTP://x", "//x", "plots.example.com", "javascript://x"] {
            assert!(read(bad).is_err_and(|error| error.contains("is no https:// address")), "{bad}");
        }
    }
}
