//! Runner groups: which repositories may use a runner.
//! <https://docs.github.com/en/rest/actions/self-hosted-runner-groups>

use std::sync::{Arc, PoisonError};

use serde::Deserialize;

use crate::error::{GitHubError, GitHubErrorKind};
use crate::lists::{PER_PAGE, Page, Reader};
use crate::location::Scope;
use crate::models::RunnerGroup;
use crate::runners::GitHub;
use crate::transport;

#[derive(Deserialize)]
struct GroupPage {
    #[serde(default)]
    total_count: Option<u64>,
    runner_groups: Vec<Group>,
}

impl Page for GroupPage {
    type Item = Group;
    type Key = u64;

    fn total(&self) -> Option<u64> {
        self.total_count
    }

    fn items(&self) -> &[Group] {
        &self.runner_groups
    }

    fn key(group: &Group) -> u64 {
        group.id
    }
}

#[derive(Clone, Deserialize)]
struct Group {
    id: u64,
    name: String,
}

impl GitHub {
    /// Returns GitHub's id of a group. Each name is queried once.
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
        let call = self.call("finding a runner group of");
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
        let call = &call;
        let page = |number: usize| {
            let path =
                format!("{}/actions/runner-groups?per_page={PER_PAGE}&page={number}", scope.api_path());
            async move { transport::get::<GroupPage>(client, &path, call).await.map(Arc::new) }
        };
        let known: Vec<Group> = Reader::ANY.whole(call, page).await?;
        let ids = known.iter().map(|group| (group.name.to_lowercase(), group.id)).collect();
        *self.groups.lock().unwrap_or_else(PoisonError::into_inner) = ids;
        let found = known.iter().find(|group| group.name.to_lowercase() == name);
        found.map(|group| group.id).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|group| group.name.as_str()).collect();
            let hint = format!("there are: {}; make it, or name one of these", names.join(", "));
            invalid(format!("there is no runner group `{name}`"), hint)
        })
    }

    /// Clears the known groups, which may be outdated: a group that is created again under the same name has another
    /// id.
    pub(crate) fn forget_groups(&self) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
