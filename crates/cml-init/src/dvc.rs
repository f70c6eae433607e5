//! Facts from DVC's own files.

use serde::Serialize;

use crate::folder::{Folder, Skipped};

/// Use of DVC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dvc {
    /// Whether there is a pipeline: `dvc repro` runs it.
    pub pipeline: bool,
    /// Whether its pipeline names metrics.
    pub metrics: bool,
    /// Whether the repository's own list of packages contains it.
    pub listed: bool,
    /// Location of the data.
    pub remote: Option<Remote>,
}

impl Dvc {
    /// Returns the package to install, if the repository does not list it.
    pub(crate) fn package(&self) -> Option<String> {
        (!self.listed).then(|| self.remote.as_ref().map_or_else(|| "dvc".to_owned(), Remote::package))
    }
}

/// The default remote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remote {
    /// `s3`, `gs`, `azure`, `gdrive`, `ssh`, `http`, `local`, …
    pub kind: String,
    /// First part of the address: a bucket, a host.
    pub place: String,
    /// Whether it implements S3's API but is not AWS.
    pub other_s3: bool,
}

impl Remote {
    /// Returns the extra of the `dvc` package for this kind of remote.
    pub(crate) fn package(&self) -> String {
        match self.kind.as_str() {
            extra @ ("s3" | "gs" | "azure" | "gdrive" | "ssh" | "hdfs" | "oss" | "webdav" | "webhdfs") => {
                format!("dvc[{extra}]")
            }
            _ => "dvc".to_owned(),
        }
    }

    /// Returns whether it is S3 itself, where a role replaces keys.
    pub(crate) fn is_aws(&self) -> bool {
        self.kind == "s3" && !self.other_s3
    }

    /// Returns the variables that DVC reads, which are also the names of secrets.
    pub(crate) fn secrets(&self) -> &'static [&'static str] {
        match self.kind.as_str() {
            "s3" if self.other_s3 => &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
            "azure" => &["AZURE_STORAGE_CONNECTION_STRING"],
            "gdrive" => &["GDRIVE_CREDENTIALS_DATA"],
            "oss" => &["OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET"],
            _ => &[],
        }
    }
}

pub(crate) fn look(folder: &Folder, skipped: &mut Vec<Skipped>) -> Option<Dvc> {
    let pipeline = folder.text("dvc.yaml", skipped);
    let config = folder.text(".dvc/config", skipped);
    if pipeline.is_none() && config.is_none() {
        return None;
    }
    let has = |key: &str| pipeline.as_deref().is_some_and(|text| text.lines().any(|line| line.trim() == key));
    Some(Dvc {
        pipeline: pipeline.is_some(),
        metrics: has("metrics:"),
        listed: crate::code::lists(folder, "dvc", skipped),
        remote: config.as_deref().and_then(remote),
    })
}

fn remote(config: &str) -> Option<Remote> {
    let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for line in config.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push((name.trim_matches('\'').to_owned(), Vec::new()));
        } else if let (Some((key, value)), Some((_, values))) = (line.split_once('='), sections.last_mut()) {
            values.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    let value = |section: &str, key: &str| {
        let (_, values) = sections.iter().find(|(name, _)| name == section)?;
        values.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    };
    let default = value("core", "remote")?;
    let section = format!("remote \"{default}\"");
    let url = value(&section, "url")?;
    let (kind, rest) = url.split_once("://").unwrap_or(("local", url));
    let host = rest.split('/').next().unwrap_or_default().rsplit('@').next().unwrap_or_default();
    let clean = |text: &str| {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(80).collect()
    };
    let kind: String = clean(if kind == "https" { "http" } else { kind });
    let place = if kind == "local" { String::new() } else { clean(host) };
    Some(Remote { other_s3: kind == "s3" && value(&section, "endpointurl").is_some(), kind, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_remote_is_known_by_its_kind() {
        let config = "[core]\n    remote = cos\n['remote \"other\"']\n    url = gs://x/y\n['remote \"cos\"']\n    url = s3://bucket/path\n    endpointurl = https://s3.eu.cloud-object-storage.appdomain.cloud\n";
        let read = remote(config).expect("is there");
        assert_eq!((read.kind.as_str(), read.place.as_str(), read.is_aws()), ("s3", "bucket", false));
        assert_eq!(read.secrets(), ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
        let aws = remote("[core]\nremote = a\n['remote \"a\"']\nurl = s3://bucket").expect("is there");
        assert!(aws.is_aws() && aws.secrets().is_empty());
        assert_eq!(aws.package(), "dvc[s3]");
        assert_eq!(remote("[core]\nremote = a\n['remote \"b\"']\nurl = s3://bucket"), None);
        assert_eq!(remote("url = x\n]["), None);
    }
}
