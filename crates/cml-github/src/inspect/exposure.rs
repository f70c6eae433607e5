//! Who can run code on runners of the scope.
//! <https://docs.github.com/en/actions/reference/security/secure-use#hardening-for-self-hosted-runners>

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{GitHubError, GitHubErrorKind};
use crate::location::Scope;
use crate::runners::GitHub;
use crate::transport;

/// A runner group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GroupFacts {
    /// Its id; 1 is the default group.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Whether public repositories may use its runners.
    #[serde(default, rename = "allows_public_repositories")]
    pub allows_public: bool,
}

/// Settings of a private repository for pull requests from its forks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct PrivateForks {
    /// Whether their workflows run.
    #[serde(rename = "run_workflows_from_fork_pull_requests")]
    pub run: bool,
    /// Whether these get a token with write access.
    #[serde(default, rename = "send_write_tokens_to_workflows")]
    pub get_write_tokens: bool,
    /// Whether these get secrets.
    #[serde(default, rename = "send_secrets_and_variables")]
    pub get_secrets: bool,
}

/// Who can run code on runners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// The scope is one repository.
    Repository {
        /// Whether it is public, so that anyone can fork it.
        is_public: bool,
        /// Whether it is archived: nothing runs there.
        is_archived: bool,
        /// For a public one, whose workflows wait for an approval: `first_time_contributors_new_to_github`,
        /// `first_time_contributors` or `all_external_contributors`. `None` where the credentials may not read it.
        fork_approval: Option<String>,
        /// For a private one, what forks may do. `None` where the credentials may not read it.
        private_forks: Option<PrivateForks>,
    },
    /// The scope has runner groups.
    Groups(Vec<GroupFacts>),
}

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    private: bool,
    #[serde(default)]
    archived: bool,
}

#[derive(Deserialize)]
struct Approval {
    approval_policy: String,
}

#[derive(Deserialize)]
struct Groups {
    runner_groups: Vec<GroupFacts>,
}

impl GitHub {
    /// Returns who can run code on runners of the scope.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn openness(&self) -> Result<Exposure, GitHubError> {
        let scope = &self.location().scope;
        let base = scope.api_path();
        let Scope::Repository { .. } = scope else {
            let call = self.call("listing the runner groups of");
            let path = format!("{base}/actions/runner-groups?per_page=100");
            let groups: Groups = transport::get(self.client().await?, &path, &call).await?;
            return Ok(Exposure::Groups(groups.runner_groups));
        };
        let call = self.call("looking at");
        let repository: Repository = transport::get(self.client().await?, &base, &call).await?;
        let settings = format!("{base}/actions/permissions");
        let (fork_approval, private_forks) = if repository.private {
            let path = format!("{settings}/fork-pr-workflows-private-repos");
            (None, self.where_allowed::<PrivateForks>(&path).await?)
        } else {
            let path = format!("{settings}/fork-pr-contributor-approval");
            let approval = self.where_allowed::<Approval>(&path).await?;
            (approval.map(|approval| approval.approval_policy), None)
        };
        Ok(Exposure::Repository {
            is_public: !repository.private,
            is_archived: repository.archived,
            fork_approval,
            private_forks,
        })
    }

    /// Checks that the credentials may list jobs, which a daemon does for every observation. `None` where the scope has
    /// no jobs of its own: there each repository is queried.
    ///
    /// # Errors
    /// [`Forbidden`](GitHubErrorKind::Forbidden) when they may not; the others as GitHub answers.
    pub async fn may_list_jobs(&self) -> Result<Option<()>, GitHubError> {
        let scope = &self.location().scope;
        let Scope::Repository { .. } = scope else { return Ok(None) };
        let call = self.call("listing runs of");
        let path = format!("{}/actions/runs?per_page=1", scope.api_path());
        let _: serde_json::Value = transport::get(self.client().await?, &path, &call).await?;
        Ok(Some(()))
    }

    /// Returns a setting, if the credentials may read it and this GitHub has it.
    async fn where_allowed<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, GitHubError> {
        let call = self.call("looking at the settings of");
        match transport::get(self.client().await?, path, &call).await {
            Ok(setting) => Ok(Some(setting)),
            Err(error)
                if matches!(
                    error.kind,
                    GitHubErrorKind::Forbidden | GitHubErrorKind::NotFound | GitHubErrorKind::Invalid
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
