//! Runner groups: which repositories may use a runner.
//! <https://docs.github.com/en/rest/actions/self-hosted-runner-groups>

use std::sync::PoisonError;

use serde::Deserialize;

use crate::error::{GitHubError, GitHubErrorKind};
use crate::location::Scope;
use crate::models::RunnerGroup;
use crate::runners::GitHub;
use crate::transport;

/// Groups on one page; the most that GitHub gives.
const PER_PAGE: usize = 100;

#[derive(Deserialize)]
struct GroupPage {
    runner_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    id: u64,
    name: String,
}

impl GitHub {
    /// GitHub's id of a group. Names are asked for once.
    ///
    /// # Errors
    /// [`GitHubErrorKind::Invalid`] when there is no such group; the others as GitHub answers.
    pub async fn group_id(&self, group: &RunnerGroup) -> Result<u64, GitHubError> {
        let name = match group {
            RunnerGroup::Id(id) => return Ok(*id),
            RunnerGroup::Named(name) => name.to_lowercase(),
        };
        if let Some(id) = self.groups.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(*id);
        }
        let call = self.call_about("finding a runner group of");
        let invalid = |cause: String, hint: String| GitHubError {
            kind: GitHubErrorKind::Invalid,
            doing: call.doing.clone(),
            cause,
            hint: Some(hint),
        };
        let scope = &self.location().scope;
        if let Scope::Repository { .. } = scope {
            let hint = "leave `group` out, or let the scope be the organization";
            return Err(invalid("a repository has no runner groups".to_owned(), hint.to_owned()));
        }
        let client = self.client().await?;
        let mut known = Vec::new();
        for page in 1.. {
            let path = format!("{}/actions/runner-groups?per_page={PER_PAGE}&page={page}", scope.api_path());
            let answer: GroupPage = transport::get(client, &path, &call).await?;
            let is_last = answer.runner_groups.len() < PER_PAGE;
            known.extend(answer.runner_groups);
            if is_last {
                break;
            }
        }
        let ids = known.iter().map(|group| (group.name.to_lowercase(), group.id)).collect();
        *self.groups.lock().unwrap_or_else(PoisonError::into_inner) = ids;
        let found = known.iter().find(|group| group.name.to_lowercase() == name);
        found.map(|group| group.id).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|group| group.name.as_str()).collect();
            let hint = format!("there are: {}; make it, or name one of these", names.join(", "));
            invalid(format!("there is no runner group `{name}`"), hint)
        })
    }

    /// What was known of groups may be old: one that is made anew under the same name has another id.
    pub(crate) fn forget_groups(&self) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
