//! The addresses, and who is behind each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cml_controller::from_github;
use cml_github::{WebhookSecret, payload, read_delivery};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::board::Board;
use crate::intake::{Heard, Intake};
use crate::metrics::Counters;
use crate::{api, cost, metrics, page};

/// GitHub's own limit for a delivery is 25 MB; job events have some 20 kB.
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap>
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The controller looks at least every minute; after this much more it is stuck.
const LOOKS_WITHIN: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// A request takes no longer: a slow sender holds nothing up.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// What is behind the addresses.
#[derive(Clone)]
pub struct Face {
    /// What is shown.
    pub board: watch::Receiver<Arc<Board>>,
    /// Who may look.
    pub access: Access,
    /// Where webhooks go, and the secret behind their signatures; none when they are not wanted.
    pub webhooks: Option<(Intake, WebhookSecret)>,
    /// The journal, for its latest lines.
    pub journal: PathBuf,
    /// The ledger that is made from it.
    pub ledger: PathBuf,
    /// Prices that were fetched.
    pub prices: PathBuf,
    /// What is served, and where people look at it: `https://github.com/`.
    pub scope: String,
    /// With a slash at its end.
    pub web: String,
    /// The clock.
    pub clock: fn() -> Timestamp,
    /// What is counted.
    pub counters: Counters,
}

impl Face {
    pub(crate) fn board(&self) -> Arc<Board> {
        self.board.borrow().clone()
    }
}

/// Serves until told to stop.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, face: Face, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router(face)).with_graceful_shutdown(async move { stop.cancelled().await }).await
}

fn router(face: Face) -> Router {
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
        .route_layer(middleware::from_fn_with_state(face.clone(), guard));
    let open = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/login", get(page::login).post(page::log_in))
        .route("/webhook", post(webhook).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)));
    guarded
        .merge(open)
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing here; the page is at /\n") })
        .layer(middleware::from_fn(bounded))
        .with_state(face)
}

/// No request takes for ever, and no answer is kept, framed or guessed at by a browser.
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
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'",
        ),
    ];
    for (name, value) in fixed {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn guard(State(face): State<Face>, request: Request, next: Next) -> Response {
    if face.access.allows(request.headers()) {
        return next.run(request).await;
    }
    let wants_page = ["/", "/cost"].contains(&request.uri().path());
    if wants_page {
        return (StatusCode::SEE_OTHER, [(header::LOCATION, "/login")]).into_response();
    }
    let words = "a token is needed: send it as `Authorization: Bearer TOKEN` (the value of CML_RUNNER_DAEMON_TOKEN where the daemon runs)\n";
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], words).into_response()
}

/// Ready once the first look was decided upon, and while looks go on.
async fn ready(State(face): State<Face>) -> Response {
    let Some(at) = face.board().at else {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting: no look has been decided upon yet\n")
            .into_response();
    };
    let age = (face.clock)().duration_since(at);
    if age > LOOKS_WITHIN {
        let words = format!("stuck: the last look was decided upon {} s ago\n", age.as_secs());
        return (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    }
    "ready\n".into_response()
}

async fn metrics_text(State(face): State<Face>) -> Response {
    match metrics::text(&face.board(), &face.counters) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Takes a delivery in: signature first, then the words, then the disk, then the answer.
async fn webhook(
    State(face): State<Face>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let began = Instant::now();
    let (outcome, status, words) = take_in(&face, &headers, body).await;
    if face.counters.webhook(outcome) && status.is_client_error() {
        tracing::warn!(status = status.as_u16(), "a webhook was refused: {words} (told once of each kind)");
    }
    face.counters.webhook_seconds.observe(began.elapsed().as_secs_f64());
    (status, format!("{words}\n")).into_response()
}

async fn take_in(
    face: &Face,
    headers: &HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> (&'static str, StatusCode, String) {
    let Some((intake, secret)) = &face.webhooks else {
        let words = "webhooks are not taken in: the daemon has no secret (set CML_RUNNER_WEBHOOK_SECRET, or --webhook-secret-file)".to_owned();
        return ("forged", StatusCode::NOT_FOUND, words);
    };
    let body = match body {
        Ok(body) => body,
        Err(error) => return ("too_large", error.status(), error.body_text()),
    };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !secret.signed(&body, text("x-hub-signature-256")) {
        let words = "X-Hub-Signature-256 is not this body's signature by our secret".to_owned();
        return ("forged", StatusCode::UNAUTHORIZED, words);
    }
    let json = match payload(text("content-type"), &body) {
        Ok(json) => json,
        Err(error) => return ("unsupported", StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_string()),
    };
    let delivery = text("x-github-delivery");
    if delivery.is_empty() || delivery.len() > 128 {
        let words = "X-GitHub-Delivery names no delivery".to_owned();
        return ("malformed", StatusCode::BAD_REQUEST, words);
    }
    let heard = match read_delivery(text("x-github-event"), &json) {
        Ok(cml_github::Heard::Job(heard)) => heard,
        Ok(cml_github::Heard::Ping) => return ("ignored", StatusCode::OK, "pong".to_owned()),
        Ok(cml_github::Heard::Other) => {
            return ("ignored", StatusCode::OK, "only workflow_job events are of use here".to_owned());
        }
        Err(error) => return ("malformed", StatusCode::BAD_REQUEST, error.to_string()),
    };
    let heard = Heard { job: from_github(heard.job), may_be_fork: heard.may_be_fork };
    let job = heard.job.id;
    match intake.keep(delivery.to_owned(), heard, (face.clock)()).await {
        Ok(true) => ("kept", StatusCode::ACCEPTED, format!("job {job} is noted")),
        Ok(false) => ("repeated", StatusCode::OK, "this delivery came before".to_owned()),
        Err(error) => {
            ("not_kept", StatusCode::SERVICE_UNAVAILABLE, format!("not kept, send it again: {error}"))
        }
    }
}
