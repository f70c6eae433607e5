//! Runners of one scope: register, list, remove.
//! <https://docs.github.com/en/rest/actions/self-hosted-runners>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::auth::{ApiClient, Auth};
use crate::author::Identity;
use crate::error::{GitHubError, GitHubErrorKind, refused};
use crate::lists::{PER_PAGE, Reader};
use crate::location::Location;
use crate::models::{
    JitAnswer, JitRequest, JitRunner, Removal, Runner, RunnerDownload, RunnerPage, TokenAnswer,
};
use crate::poll::PollCache;
use crate::rate_limiter::{PER_MINUTE, RateLimiter};
use crate::time::{GitHubTime, LatestTime};
use crate::transport::{self, RequestContext};

/// A client for one GitHub, one scope and one identity.
#[derive(Debug)]
pub struct GitHub {
    location: Location,
    speaker: ApiClient,
    pub(crate) memory: PollCache,
    /// Ids of runner groups by their names in lower case.
    pub(crate) groups: Mutex<BTreeMap<String, u64>>,
    pace: RateLimiter,
    pub(crate) identity: Identity,
    stop: CancellationToken,
    time: LatestTime,
}

impl GitHub {
    /// Creates a client; nothing is sent yet. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the App's key is not an RSA key, or the system has no CA certificates.
    pub fn new(location: Location, auth: Auth) -> Result<Self, GitHubError> {
        let identity = Identity::of(&auth);
        let speaker = ApiClient::new(&location, auth)?;
        // An Enterprise Server has no such limits unless its owner sets them.
        let is_shared = location.web.host_str() == Some("github.com");
        let pace = RateLimiter::new(is_shared.then_some(PER_MINUTE));
        Ok(Self {
            location,
            speaker,
            memory: PollCache::default(),
            groups: Mutex::default(),
            pace,
            identity,
            stop: CancellationToken::new(),
            time: LatestTime::default(),
        })
    }

    /// Limits registrations to so many a minute (the same number as a burst, then at a constant rate); 0 is no limit.
    #[must_use]
    pub fn paced(self, registrations_per_minute: u32) -> Self {
        Self { pace: RateLimiter::new(Some(registrations_per_minute)), ..self }
    }

    /// Observes this token in every wait: once it is cancelled, waits end and no new write begins, which is
    /// [`GitHubErrorKind::Interrupted`](crate::GitHubErrorKind::Interrupted). A request in progress is awaited, and
    /// removals of runners continue as before.
    #[must_use]
    pub fn stopping(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// Returns the location.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Registers a runner for one job and returns the configuration that its machine needs. Never repeated: after
    /// [`GitHubErrorKind::Transient`](crate::GitHubErrorKind::Transient) the name may be taken by the lost
    /// registration.
    ///
    /// # Errors
    /// [`GitHubErrorKind::NameTaken`](crate::GitHubErrorKind::NameTaken) when a runner has the name already; the others as GitHub answers.
    pub async fn jit_runner(&self, request: &JitRequest) -> Result<JitRunner, GitHubError> {
        let call = self.call("registering a runner for");
        let body = json!({
            "name": request.name,
            "runner_group_id": self.group_id(&request.group).await?,
            "labels": request.labels,
            "work_folder": request.work_folder.as_deref().unwrap_or("_work"),
        });
        let path = self.path("generate-jitconfig");
        call.pause(self.pace.next()).await?;
        let answer: Result<JitAnswer, GitHubError> =
            transport::post(self.client().await?, &path, Some(&body), &call).await;
        if answer.as_ref().is_err_and(|error| error.kind == GitHubErrorKind::NotFound) {
            self.forget_groups();
        }
        let answer = answer?;
        Ok(JitRunner {
            id: answer.runner.id,
            name: request.name.clone(),
            encoded: SecretString::from(answer.encoded_jit_config),
        })
    }

    /// Returns a token with which machines register runners by themselves, valid for one hour.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn registration_token(&self) -> Result<SecretString, GitHubError> {
        let call = self.call("getting a registration token for");
        let path = self.path("registration-token");
        call.pause(self.pace.next()).await?;
        let answer: TokenAnswer = transport::post(self.client().await?, &path, None::<&()>, &call).await?;
        Ok(SecretString::from(answer.token))
    }

    /// Returns all runners of the scope, or those with this name.
    ///
    /// # Errors
    /// As GitHub answers; a list that keeps changing while it is read is
    /// [`GitHubErrorKind::Transient`](crate::GitHubErrorKind::Transient). A partial list is never returned as a whole one.
    pub async fn runners(&self, name: Option<&str>) -> Result<Vec<Runner>, GitHubError> {
        self.listed(name, &self.call("listing the runners of")).await
    }

    /// Returns the runner with this name, without regard to case; `None` when there is none.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn find_by_name(&self, name: &str) -> Result<Option<Runner>, GitHubError> {
        let found = self.runners(Some(name)).await?;
        Ok(found.into_iter().find(|runner| runner.name.eq_ignore_ascii_case(name)))
    }

    async fn listed(
        &self,
        name: Option<&str>,
        call: &RequestContext<'_>,
    ) -> Result<Vec<Runner>, GitHubError> {
        let client = self.client().await?;
        let only = name.map(|name| format!("&name={}", escaped(name))).unwrap_or_default();
        let base = format!("{}/actions/runners?per_page={PER_PAGE}{only}", self.location.scope.api_path());
        // By page number relative to the API's base: octocrab drops the credentials when it follows GitHub's absolute
        // links on any host but api.github.com.
        let page = |number: usize| {
            let path = format!("{base}&page={number}");
            async move { transport::get::<RunnerPage>(client, &path, call).await.map(Arc::new) }
        };
        Reader::ANY.whole(call, page).await
    }

    /// Returns one runner; `None` when GitHub reports that it does not exist (any more). This is the only proof of it:
    /// a list may have a hole.
    ///
    /// # Errors
    /// As GitHub answers. Where these credentials may not see any runner, GitHub reports each as missing; that is
    /// [`GitHubErrorKind::NotFound`](crate::GitHubErrorKind::NotFound), and no information about the runner.
    pub async fn runner(&self, id: u64) -> Result<Option<Runner>, GitHubError> {
        let call = self.call("looking at a runner of");
        let client = self.client().await?;
        let found: Option<Runner> = transport::find(client, &self.path(&id.to_string()), &call).await?;
        if found.is_none() {
            let list = format!("{}/actions/runners?per_page=1", self.location.scope.api_path());
            let _: RunnerPage = transport::get(client, &list, &call).await?;
        }
        Ok(found)
    }

    /// Removes a runner's registration, unless it runs a job.
    ///
    /// # Errors
    /// As GitHub answers; the runner may still be registered.
    pub async fn remove_runner(&self, id: u64) -> Result<Removal, GitHubError> {
        let call = self.call("removing a runner from").undoing();
        let answer = transport::delete(self.client().await?, &self.path(&id.to_string()), &call).await?;
        match answer.status {
            200..300 => Ok(Removal::Removed),
            404 => Ok(Removal::AlreadyGone),
            // GitHub's only reason to refuse.
            422 => Ok(Removal::Busy),
            _ => Err(refused(&call, &answer)),
        }
    }

    /// Removes the runner with this name.
    ///
    /// # Errors
    /// As GitHub answers; the runner may still be registered.
    pub async fn remove_runner_by_name(&self, name: &str) -> Result<Removal, GitHubError> {
        let found =
            self.listed(Some(name), &self.call("looking for a runner to remove from").undoing()).await?;
        match found.iter().find(|runner| runner.name.eq_ignore_ascii_case(name)) {
            Some(runner) => self.remove_runner(runner.id).await,
            None => Ok(Removal::AlreadyGone),
        }
    }

    /// Returns the runner packages that GitHub offers this scope.
    ///
    /// # Errors
    /// As GitHub answers.
    pub async fn runner_packages(&self) -> Result<Vec<RunnerDownload>, GitHubError> {
        let call = self.call("asking for the runner packages of");
        transport::get(self.client().await?, &self.path("downloads"), &call).await
    }

    pub(crate) async fn client(&self) -> Result<&octocrab::Octocrab, GitHubError> {
        self.speaker.client(&self.location, &self.stop).await
    }

    /// Returns GitHub's time of its latest answer; `None` before the first.
    #[must_use]
    pub fn time(&self) -> Option<GitHubTime> {
        self.time.get()
    }

    pub(crate) fn latest_time(&self) -> &LatestTime {
        &self.time
    }

    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Returns a client whose `/graphql` is GitHub's.
    pub(crate) async fn graphql_client(&self) -> Result<octocrab::Octocrab, GitHubError> {
        self.speaker.graphql(&self.location, &self.stop).await
    }

    pub(crate) fn speaker(&self) -> &ApiClient {
        &self.speaker
    }

    fn path(&self, rest: &str) -> String {
        format!("{}/actions/runners/{rest}", self.location.scope.api_path())
    }

    pub(crate) fn call(&self, doing: &str) -> RequestContext<'_> {
        let location = &self.location;
        RequestContext::new(format!("{doing} {}", location.scope), location, &self.stop)
            .telling_time(&self.time)
    }
}

/// Escapes a query value, except for unreserved characters.
pub(crate) fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
