//! The decisions behind a proposal: cloud, place, size.

use serde::Serialize;

use crate::findings::Findings;
use crate::git::Repository;

/// Where machines come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// Amazon EC2.
    Aws,
    /// The user's own machine.
    Local,
}

/// Options of the user.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// Where machines come from.
    pub cloud: Cloud,
    /// The region.
    pub region: String,
    /// Whether a daemon manages pools, and not a job that launches.
    pub pool: bool,
    /// The repository, if the user names it.
    pub repo: Option<String>,
    /// The version of this program.
    pub version: String,
}

/// An option that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOption {
    /// Not a region.
    #[error("--region {0:?} is no AWS region")]
    Region(String),
    /// Not a repository.
    #[error("--repo {0:?} names no repository")]
    Repo(String),
}

impl BadOption {
    /// Returns what would be correct.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Region(_) => "such as us-east-1 or eu-west-1: a region, not one of its zones",
            Self::Repo(_) => {
                "such as https://github.com/OWNER/NAME or OWNER/NAME: a workflow belongs to one repository"
            }
        }
    }
}

/// The decisions behind a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The repository, if it is known.
    pub repository: Option<Repository>,
    /// Where machines come from.
    pub cloud: Cloud,
    /// The region, on AWS.
    pub region: String,
    /// Whether a daemon manages pools.
    pub pool: bool,
    /// Whether machines have a GPU.
    pub gpu: bool,
    /// The version of the action.
    pub version: String,
}

/// CML's short names of regions. <https://cml.dev/doc/ref/runner>
const REGIONS: [(&str, &str); 4] = [
    ("us-east", "us-east-1"),
    ("us-west", "us-west-1"),
    ("eu-north", "eu-north-1"),
    ("eu-west", "eu-west-1"),
];

/// Returns the region of a name; `None` when there is no such region.
pub(crate) fn region(name: &str) -> Option<String> {
    if let Some((_, full)) = REGIONS.iter().find(|(short, _)| *short == name) {
        return Some((*full).to_owned());
    }
    let parts: Vec<&str> = name.split('-').collect();
    let (number, words) = parts.split_last()?;
    let is_word = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let is_number = !number.is_empty() && number.len() <= 2 && number.chars().all(|c| c.is_ascii_digit());
    (words.len() >= 2 && words.iter().all(is_word) && is_number && name.len() <= 24).then(|| name.to_owned())
}

impl Plan {
    /// Combines findings and options.
    ///
    /// # Errors
    /// [`BadOption`] when an option names something that does not exist.
    pub fn new(findings: &Findings, wishes: &InitOptions) -> Result<Self, BadOption> {
        let repository = match &wishes.repo {
            Some(text) => Some(Repository::parse(text).ok_or_else(|| BadOption::Repo(text.clone()))?),
            None => findings.git.repository.clone(),
        };
        Ok(Self {
            repository,
            cloud: wishes.cloud,
            region: region(&wishes.region).ok_or_else(|| BadOption::Region(wishes.region.clone()))?,
            // GitHub's machines cannot launch on a machine at home: there a daemon polls for jobs.
            pool: wishes.pool || wishes.cloud == Cloud::Local,
            gpu: findings.gpu.is_some(),
            version: wishes.version.clone(),
        })
    }

    /// Returns `owner/name`, or a placeholder.
    #[must_use]
    pub fn repository_name(&self) -> String {
        self.repository.as_ref().map_or_else(|| "OWNER/NAME".to_owned(), Repository::full_name)
    }

    /// Returns the pool's name.
    pub(crate) fn spec(&self) -> &'static str {
        if self.gpu { "gpu" } else { "cpu" }
    }

    /// Returns the size of machines.
    pub(crate) fn size(&self) -> &'static str {
        if self.gpu { "m+t4" } else { "m" }
    }

    /// Returns the disk size, GB: a GPU image with its drivers takes most of the usual 35.
    pub(crate) fn disk(&self) -> u32 {
        if self.gpu { 100 } else { 35 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_regions_and_nothing_else() {
        for (name, full) in [
            ("us-east-1", Some("us-east-1")),
            ("us-west", Some("us-west-1")),
            ("us-gov-west-1", Some("us-gov-west-1")),
            ("us-east-1a", None),
            ("moon", None),
            ("", None),
            ("us-east-1\n", None),
            ("a: b-c-1", None),
        ] {
            assert_eq!(region(name).as_deref(), full, "{name}");
        }
    }
}
