//! Requests and answers: headers, time limits and retries.

use std::future::Future;
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use http_body_util::BodyExt;
use jiff::Timestamp;
use octocrab::{Octocrab, OctocrabBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::error::{GitHubError, GitHubErrorKind, refused, retry_after};
use crate::location::{Location, Scope};
use crate::time::LatestTime;

/// The version of the REST API in use. <https://docs.github.com/en/rest/about-the-rest-api/api-versions>
const API_VERSION: &str = "2022-11-28";
/// Time limit for one request with its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for one MiB over a slow connection.
const SLOW_LINE: Duration = Duration::from_secs(4);
/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for which a read or a removal is retried before it counts as failed.
const REPEAT_FOR: Duration = Duration::from_secs(25);
/// Wait after a rate limit without a given time.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
const UNSAID_WAIT: Duration = Duration::from_secs(60);
/// Maximum wait that is granted to GitHub within a call; a longer one is returned to the caller.
const RATE_LIMIT_WAIT_MAX: Duration = Duration::from_secs(65);

/// Context of a request, for its errors.
pub(crate) struct RequestContext<'a> {
    /// `registering a runner for acme/vision`.
    pub(crate) doing: String,
    /// A specific hint, where the status alone does not imply one.
    pub(crate) hint: Option<String>,
    pub(crate) scope: &'a Scope,
    /// The host that is called: `api.github.com`.
    pub(crate) host: &'a str,
    /// The permission that it needs.
    pub(crate) permission: Permission,
    /// Time limit of one request with its answer.
    pub(crate) limit: Duration,
    /// Cancelled on a stop: then waits end and no write begins. A request in progress is awaited.
    pub(crate) stop: CancellationToken,
    /// Receives GitHub's time.
    pub(crate) time: LatestTime,
}

/// The permission that a request needs, to be named where it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Management of the scope's runners.
    Runners,
    /// Write access to a permission of a repository, by its key in a workflow's `permissions:`.
    Write(&'static str),
}

impl<'a> RequestContext<'a> {
    /// Creates the context of a call about the scope's runners.
    pub(crate) fn new(doing: String, location: &'a Location, stop: &CancellationToken) -> Self {
        Self {
            doing,
            hint: None,
            scope: &location.scope,
            host: location.api.host_str().unwrap_or("GitHub"),
            permission: Permission::Runners,
            limit: REQUEST_TIMEOUT,
            stop: stop.clone(),
            time: LatestTime::default(),
        }
    }

    /// Creates the context of a call that needs this permission of a repository.
    pub(crate) fn writing(
        doing: String,
        location: &'a Location,
        permission: &'static str,
        stop: &CancellationToken,
    ) -> Self {
        Self { permission: Permission::Write(permission), ..Self::new(doing, location, stop) }
    }

    /// Marks a call that undoes something: it is made after a stop, which must not cut it short.
    pub(crate) fn undoing(self) -> Self {
        Self { stop: CancellationToken::new(), ..self }
    }

    /// Sets the receiver of GitHub's time.
    pub(crate) fn telling_time(self, time: &LatestTime) -> Self {
        Self { time: time.clone(), ..self }
    }

    /// Fails after a stop: nothing new is begun then.
    pub(crate) fn not_stopped(&self) -> Result<(), GitHubError> {
        if self.stop.is_cancelled() { Err(GitHubError::interrupted(self)) } else { Ok(()) }
    }

    /// Waits, unless a stop is requested.
    pub(crate) async fn pause(&self, wait: impl Future<Output = ()>) -> Result<(), GitHubError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(GitHubError::interrupted(self)),
            () = wait => Ok(()),
        }
    }

    /// Extends the time limit, for so many bytes over a slow connection.
    pub(crate) fn with_body_timeout(self, bytes: usize) -> Self {
        Self { limit: self.limit + SLOW_LINE * u32::try_from(bytes >> 20).unwrap_or(u32::MAX), ..self }
    }
}

/// GitHub's complete answer.
pub(crate) struct ApiResponse {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl ApiResponse {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the time of the answer, by GitHub's own clock.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        jiff::fmt::rfc2822::parse(self.header("date")?).ok().map(|date| date.timestamp())
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, call: &RequestContext<'_>) -> Result<T, GitHubError> {
        if !(200..300).contains(&self.status) {
            return Err(refused(call, self));
        }
        serde_json::from_slice(&self.body).map_err(|error| GitHubError::not_understood(call, &error))
    }
}

type Builder = OctocrabBuilder<
    octocrab::NoSvc,
    octocrab::DefaultOctocrabBuilderConfig,
    octocrab::NoAuth,
    octocrab::NotLayerReady,
>;

/// Returns a builder for a client of this GitHub, without credentials.
pub(crate) fn builder(location: &Location) -> Result<Builder, GitHubError> {
    let header = |name: &'static str| http::HeaderName::from_static(name);
    Ok(Octocrab::builder()
        .base_uri(location.api.as_str())
        .map_err(|error| GitHubError::client(&error))?
        .set_connect_timeout(Some(CONNECT_TIMEOUT))
        .add_header(header("accept"), "application/vnd.github+json".to_owned())
        .add_header(header("x-github-api-version"), API_VERSION.to_owned()))
}

/// Builds the client. Octocrab's own retry is compiled out (its Cargo feature is off): it repeats POSTs.
pub(crate) fn build(builder: Builder) -> Result<Octocrab, GitHubError> {
    builder.build().map_err(|error| GitHubError::client(&error))
}

/// Reads; retried while GitHub or the network fails temporarily.
pub(crate) async fn get<T: DeserializeOwned>(
    client: &Octocrab,
    path: &str,
    call: &RequestContext<'_>,
) -> Result<T, GitHubError> {
    repeat(call, || send(call, client._get(path))).await?.read(call)
}

/// Like [`get`], with a missing object as a valid answer.
pub(crate) async fn find<T: DeserializeOwned>(
    client: &Octocrab,
    path: &str,
    call: &RequestContext<'_>,
) -> Result<Option<T>, GitHubError> {
    let answer = repeat(call, || send(call, client._get(path))).await?;
    if answer.status == 404 { Ok(None) } else { answer.read(call).map(Some) }
}

/// Like [`get`], for callers that have the answer with this tag already: GitHub then answers 304 without a body.
pub(crate) async fn get_if_none_match(
    client: &Octocrab,
    path: &str,
    tag: Option<&str>,
    call: &RequestContext<'_>,
) -> Result<ApiResponse, GitHubError> {
    let tag = tag.and_then(|tag| http::HeaderValue::from_str(tag).ok());
    let headers = tag.map(|tag| http::HeaderMap::from_iter([(http::header::IF_NONE_MATCH, tag)]));
    repeat(call, || send(call, client._get_with_headers(path, headers.clone()))).await
}

/// Deletes; a repeat does no harm. The caller interprets the answer, except for errors that all calls share.
pub(crate) async fn delete(
    client: &Octocrab,
    path: &str,
    call: &RequestContext<'_>,
) -> Result<ApiResponse, GitHubError> {
    repeat(call, || send(call, client._delete(path, None::<&()>))).await
}

/// Writes, and is never repeated once GitHub may have executed it. A rate limit is a refusal: nothing was done. After a
/// stop nothing is written.
pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
    client: &Octocrab,
    path: &str,
    body: Option<&B>,
    call: &RequestContext<'_>,
) -> Result<T, GitHubError> {
    call.not_stopped()?;
    let answer = send(call, client._post(path, body)).await?;
    match rate_limit_wait(call, &answer) {
        Some(wait) => {
            tracing::warn!(seconds = wait.as_secs(), "GitHub's rate limit: waiting as it asks");
            call.pause(tokio::time::sleep(wait)).await?;
            send(call, client._post(path, body)).await?.read(call)
        }
        None => answer.read(call),
    }
}

/// Writes what does no harm when it is written twice: objects that are named by their content.
pub(crate) async fn post_idempotent<B: Serialize, T: DeserializeOwned>(
    client: &Octocrab,
    path: &str,
    body: &B,
    call: &RequestContext<'_>,
) -> Result<T, GitHubError> {
    repeat(call, || send(call, client._post(path, Some(body)))).await?.read(call)
}

/// Changes to a state that the body contains completely; a repeat does no harm. The caller interprets the answer.
pub(crate) async fn patch<B: Serialize>(
    client: &Octocrab,
    path: &str,
    body: &B,
    call: &RequestContext<'_>,
) -> Result<ApiResponse, GitHubError> {
    repeat(call, || send(call, client._patch(path, Some(body)))).await
}

/// Does the same, never repeated.
pub(crate) async fn patch_once<B: Serialize>(
    client: &Octocrab,
    path: &str,
    body: &B,
    call: &RequestContext<'_>,
) -> Result<ApiResponse, GitHubError> {
    call.not_stopped()?;
    send(call, client._patch(path, Some(body))).await
}

/// Does the same by PUT, never repeated.
pub(crate) async fn put<B: Serialize>(
    client: &Octocrab,
    path: &str,
    body: &B,
    call: &RequestContext<'_>,
) -> Result<ApiResponse, GitHubError> {
    call.not_stopped()?;
    send(call, client._put(path, Some(body))).await
}

/// Returns the wait after this answer, if it is a rate limit and the wait is short enough.
fn rate_limit_wait(call: &RequestContext<'_>, answer: &ApiResponse) -> Option<Duration> {
    if !matches!(answer.status, 403 | 429)
        || !matches!(refused(call, answer).kind, GitHubErrorKind::RateLimited { .. })
    {
        return None;
    }
    // GitHub documents a minute at least where the answer has no time.
    let asked = retry_after(answer).map_or(Some(UNSAID_WAIT), |asked| Duration::try_from(asked).ok())?;
    (asked <= RATE_LIMIT_WAIT_MAX).then(|| asked.max(Duration::from_secs(1)))
}

type Response = http::Response<http_body_util::combinators::BoxBody<bytes::Bytes, octocrab::Error>>;

/// Sends one request and returns its complete answer, within the time limit.
async fn send(
    call: &RequestContext<'_>,
    request: impl Future<Output = octocrab::Result<Response>>,
) -> Result<ApiResponse, GitHubError> {
    let whole = async {
        let (parts, body) = request.await.map_err(|error| GitHubError::transport(call, &error))?.into_parts();
        let body = body.collect().await.map_err(|error| GitHubError::transport(call, &error))?;
        let answer = ApiResponse {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_bytes().to_vec(),
        };
        if let Some(date) = answer.date() {
            call.time.set(date);
        }
        Ok(answer)
    };
    let limit = call.limit;
    tokio::time::timeout(limit, whole).await.unwrap_or_else(|_| {
        Err(GitHubError::no_answer(
            call,
            format!("{} gave no answer within {} s", call.host, limit.as_secs()),
        ))
    })
}

/// Applies the policy for calls that may be repeated: on 5xx, on broken connections, and after a rate limit's own wait.
/// A stop ends it between two requests, never within one.
async fn repeat<F: Future<Output = Result<ApiResponse, GitHubError>>>(
    call: &RequestContext<'_>,
    request: impl Fn() -> F,
) -> Result<ApiResponse, GitHubError> {
    let mut policy = ExponentialBackoff {
        initial_interval: Duration::from_millis(300),
        max_interval: Duration::from_secs(5),
        max_elapsed_time: Some(REPEAT_FOR),
        ..ExponentialBackoff::default()
    };
    loop {
        let (error, asked) = match request().await {
            Ok(answer) if answer.status >= 500 => (refused(call, &answer), None),
            Ok(answer) => match rate_limit_wait(call, &answer) {
                Some(wait) => (refused(call, &answer), Some(wait)),
                None => return Ok(answer),
            },
            Err(error) if error.kind == GitHubErrorKind::Transient => (error, None),
            Err(error) => return Err(error),
        };
        let own = policy.next_backoff();
        // A wait that GitHub asks for is granted whatever has been spent; it is bounded.
        let Some(wait) = asked.or(own) else { return Err(error) };
        tracing::debug!(%error, milliseconds = wait.as_millis(), "trying again");
        call.pause(tokio::time::sleep(wait)).await?;
    }
}
