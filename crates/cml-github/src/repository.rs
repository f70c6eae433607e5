//! A repository's own path and the calls that use it.

use crate::error::{GitHubError, GitHubErrorKind};
use crate::location::Scope;
use crate::runners::GitHub;
use crate::transport::RequestContext;

impl GitHub {
    /// Returns `/repos/acme/vision` followed by `rest`; everything below it belongs to a repository, never to an
    /// organization.
    pub(crate) fn repository_path(&self, rest: &str) -> Result<String, GitHubError> {
        let scope = &self.location().scope;
        if !matches!(scope, Scope::Repository { .. }) {
            return Err(GitHubError {
                kind: GitHubErrorKind::Invalid,
                doing: format!("looking for a repository in {scope}"),
                cause: format!("{scope} is no repository"),
                hint: Some("name one with --repo https://github.com/OWNER/NAME".to_owned()),
            });
        }
        Ok(format!("{}{rest}", scope.api_path()))
    }

    /// Creates the context of a call that needs this permission of the repository.
    pub(crate) fn writing(&self, doing: &str, permission: &'static str) -> RequestContext<'_> {
        let location = self.location();
        RequestContext::writing(format!("{doing} {}", location.scope), location, permission, self.stop())
            .telling_time(self.latest_time())
    }
}
