//! Routes and their handlers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use cml_controller::from_github;
use cml_github::{Scope, WebhookSecret, payload, read_delivery};
use cml_journal::FileIdentity;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, Verdict};
use crate::bodies::{Bodies, Unread, discard};
use crate::door::{self, Busy, Limits, Peer};
use crate::ingest::{WebhookIngest, WebhookJob};
use crate::metrics::Counters;
use crate::status::StatusSnapshot;
use crate::{api, cost, metrics, page, policy};

/// GitHub's own limit for a delivery is 25 MB; job events have some 20 kB.
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap>
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Maximum size of a login form: a token and its name.
const LOGIN_BYTES_MAX: usize = 4 * 1024;
/// Maximum number of pages and responses that are rendered at once: each reads files, some of them large.
const LOOKS_AT_ONCE: usize = 8;
/// The controller observes at least every minute; without an observation for this long it is stuck.
const LOOKS_WITHIN: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// Time limit of a request, so that a slow sender blocks nothing.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// State of the handlers.
#[derive(Clone)]
pub struct AppState {
    /// The latest snapshot.
    pub board: watch::Receiver<Arc<StatusSnapshot>>,
    /// Access control.
    pub access: Access,
    /// Ingest of webhooks, and the secret of their signatures; `None` when webhooks are disabled.
    pub webhooks: Option<(WebhookIngest, WebhookSecret)>,
    /// Path of the journal, for its latest records.
    pub journal: PathBuf,
    /// Identity of that file when the controller opened it.
    pub journal_file: FileIdentity,
    /// Path of the ledger that is built from it.
    pub ledger: PathBuf,
    /// Path of the fetched prices.
    pub prices: PathBuf,
    /// The served scope: deliveries about anything else are ignored.
    pub serves: Scope,
    /// The scope as text.
    pub scope: String,
    /// GitHub's web address, such as `https://github.com/`, with a slash at its end.
    pub web: String,
    /// The clock.
    pub clock: fn() -> Timestamp,
    /// The counters.
    pub counters: Counters,
}

impl AppState {
    pub(crate) fn board(&self) -> Arc<StatusSnapshot> {
        self.board.borrow().clone()
    }
}

/// Serves until `stop` is cancelled, and ends a few seconds later at most.
pub async fn serve(listener: TcpListener, state: AppState, limits: Limits, stop: CancellationToken) {
    door::serve(listener, router(state), limits, stop).await;
}

fn router(state: AppState) -> Router {
    let looks = Arc::new(Semaphore::new(LOOKS_AT_ONCE));
    let bodies = Bodies::default();
    let guarded = Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(metrics_text))
        .route("/api/v1/pools", get(api::pools))
        .route("/api/v1/runners", get(api::runners))
        .route("/api/v1/jobs", get(api::jobs))
        .route("/api/v1/launches", get(api::launches))
        .route("/api/v1/events", get(api::events))
        .route("/cost", get(cost::page))
        .route("/api/v1/cost", get(cost::json))
        .route_layer(middleware::from_fn_with_state((state.clone(), looks), guard));
    let open = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/login", get(page::login).post(page::log_in).layer(DefaultBodyLimit::max(LOGIN_BYTES_MAX)))
        .route("/webhook", post(webhook).layer(Extension(bodies)));
    guarded
        .merge(open)
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found; the dashboard is at /\n") })
        .layer(middleware::from_fn(bounded))
        .with_state(state)
}

/// Limits the time of a request, and forbids browsers to cache, frame or sniff the response.
async fn bounded(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(REQUEST_MAX, next.run(request)).await;
    let mut answer = answer.unwrap_or_else(|_| {
        (StatusCode::REQUEST_TIMEOUT, "the request was not complete in time\n").into_response()
    });
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // A page with its own rules has already set the header.
    answer
        .headers_mut()
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert_with(|| HeaderValue::from_static(policy::standing()));
    answer
}

/// Serves a page or a response to authorized clients, a few at a time.
async fn guard(
    State((state, looks)): State<(AppState, Arc<Semaphore>)>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    match state.access.judge(request.headers(), request.uri(), peer, (state.clock)()) {
        Verdict::Allowed => {
            // The semaphore is never closed.
            let _look = looks.acquire().await;
            return next.run(request).await;
        }
        Verdict::Slowed => return page::slowed(),
        Verdict::WrongHost => {
            let words = "this page is for this machine: ask for it as localhost or 127.0.0.1 (behind a proxy, name its \
                         address with --public-url; from other machines, set CML_RUNNER_DAEMON_TOKEN)\n";
            return (StatusCode::MISDIRECTED_REQUEST, words).into_response();
        }
        Verdict::Denied => {}
    }
    let wants_page = ["/", "/cost"].contains(&request.uri().path());
    if wants_page {
        return (StatusCode::SEE_OTHER, [(header::LOCATION, "/login")]).into_response();
    }
    let words = "a token is needed: send it as `Authorization: Bearer TOKEN` (the value of CML_RUNNER_DAEMON_TOKEN where the daemon runs)\n";
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], words).into_response()
}

/// Returns ready once the first plan was made, and while observations continue.
async fn ready(State(state): State<AppState>) -> Response {
    if let Err(error) = state.journal_file.check(&state.journal) {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response();
    }
    let Some(at) = state.board().at else {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting: no look has been decided upon yet\n")
            .into_response();
    };
    let age = (state.clock)().duration_since(at);
    if age > LOOKS_WITHIN {
        let words = format!("stuck: the last look was decided upon {} s ago\n", age.as_secs());
        return (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    }
    "ready\n".into_response()
}

async fn metrics_text(State(state): State<AppState>) -> Response {
    match metrics::text(&state.board(), &state.counters) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Accepts a delivery, in this order: form, signature, content, disk, response.
async fn webhook(
    State(state): State<AppState>,
    Extension(bodies): Extension<Bodies>,
    Extension(peer): Extension<Peer>,
    Extension(busy): Extension<Busy>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let began = Instant::now();
    let (outcome, status, words) = match unfit(&state, &headers) {
        Some(answer) => {
            // Its sender receives the reason, unless it waits to be asked for the body.
            if !headers.contains_key(header::EXPECT) {
                discard(body, BODY_BYTES_MAX).await;
            }
            answer
        }
        None => take_in(&state, &headers, (&bodies, peer), &busy, body).await,
    };
    if state.counters.webhook(outcome) && status.is_client_error() {
        tracing::warn!(status = status.as_u16(), "a webhook was refused: {words} (told once of each kind)");
    }
    state.counters.webhook_seconds.observe(began.elapsed().as_secs_f64());
    (status, format!("{words}\n")).into_response()
}

/// Outcome of a delivery: its counter, and the response.
type Outcome = (&'static str, StatusCode, String);

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn too_large() -> Outcome {
    let words = format!("a delivery has at most {BODY_BYTES_MAX} bytes here; job events have some 20,000");
    ("too_large", StatusCode::PAYLOAD_TOO_LARGE, words)
}

/// Returns why a delivery is not worth reading, by its header alone.
fn unfit(state: &AppState, headers: &HeaderMap) -> Option<Outcome> {
    if state.webhooks.is_none() {
        let words = "webhooks are not taken in: the daemon has no secret (set CML_RUNNER_WEBHOOK_SECRET, or --webhook-secret-file)".to_owned();
        return Some(("forged", StatusCode::NOT_FOUND, words));
    }
    let length = text(headers, "content-length");
    if length.parse().is_ok_and(|length: usize| length > BODY_BYTES_MAX) {
        return Some(too_large());
    }
    if !WebhookSecret::has_form(text(headers, "x-hub-signature-256")) {
        let words =
            "X-Hub-Signature-256 holds no signature: the webhook needs a secret, the same as the daemon's"
                .to_owned();
        return Some(("forged", StatusCode::UNAUTHORIZED, words));
    }
    let delivery = text(headers, "x-github-delivery");
    if delivery.is_empty() || delivery.len() > 128 {
        let words = "X-GitHub-Delivery names no delivery".to_owned();
        return Some(("malformed", StatusCode::BAD_REQUEST, words));
    }
    None
}

async fn take_in(
    state: &AppState,
    headers: &HeaderMap,
    (bodies, peer): (&Bodies, Peer),
    busy: &Busy,
    body: Body,
) -> Outcome {
    // `unfit` has already handled both.
    let Some((intake, secret)) = &state.webhooks else {
        return ("forged", StatusCode::NOT_FOUND, String::new());
    };
    let body = match bodies.read(peer, body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => return too_large(),
        Err(Unread::NoRoom) => {
            let words = "too many deliveries come at once: send it again".to_owned();
            return ("no_room", StatusCode::SERVICE_UNAVAILABLE, words);
        }
        Err(Unread::Cut) => {
            return ("malformed", StatusCode::BAD_REQUEST, "the body was cut short".to_owned());
        }
    };
    busy.set(true);
    if !secret.signed(&body.bytes, text(headers, "x-hub-signature-256")) {
        let words = "X-Hub-Signature-256 is not this body's signature by our secret".to_owned();
        return ("forged", StatusCode::UNAUTHORIZED, words);
    }
    let json = match payload(text(headers, "content-type"), &body.bytes) {
        Ok(json) => json,
        Err(error) => return ("unsupported", StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_string()),
    };
    let record = match read_delivery(text(headers, "x-github-event"), &json) {
        Ok(cml_github::WebhookEvent::Job(record)) => *record,
        Ok(cml_github::WebhookEvent::Ping) => return ("ignored", StatusCode::OK, "pong".to_owned()),
        Ok(cml_github::WebhookEvent::Other) => {
            return ("ignored", StatusCode::OK, "only workflow_job events are of use here".to_owned());
        }
        Err(error) => return ("malformed", StatusCode::BAD_REQUEST, error.to_string()),
    };
    if !state.serves.holds(&record.run.repository) {
        let words = format!("not of this scope: this daemon serves {}", state.scope);
        return ("out_of_scope", StatusCode::OK, words);
    }
    let heard = WebhookJob { job: from_github(record) };
    let (job, now) = (heard.job.id, (state.clock)());
    if !intake.is_recent(&heard.job, now) {
        let words =
            format!("job {job} was queued longer ago than GitHub delivers again; the poll tells of it");
        return ("stale", StatusCode::OK, words);
    }
    let digest: String = Sha256::digest(&body.bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    // The body is dropped before the wait for the disk.
    drop(body);
    match intake.keep(text(headers, "x-github-delivery").to_owned(), digest, heard, now).await {
        Ok(true) => ("kept", StatusCode::ACCEPTED, format!("job {job} is noted")),
        Ok(false) => ("repeated", StatusCode::OK, "this delivery came before".to_owned()),
        Err(error) => {
            ("not_kept", StatusCode::SERVICE_UNAVAILABLE, format!("not kept, send it again: {error}"))
        }
    }
}
