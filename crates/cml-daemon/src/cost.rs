//! Costs: the page and the JSON of `cml-runner cost`, from the daemon's own journal.

use std::str::FromStr;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use cml_cost::{GroupBy, Ledger, Month, Report, Site, Window};
use cml_prices::{Book, Store};
use jiff::SignedDuration;
use serde::Deserialize;

use crate::policy;
use crate::server::AppState;

/// Default: 30 days.
const DAYS: u32 = 30;
const DAYS_MAX: u32 = 366;
/// Maximum number of rows.
const TOP: usize = 50;

/// Query parameters, as in `cml-runner cost`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    days: Option<u32>,
    month: Option<String>,
    by: Option<String>,
}

pub(crate) async fn page(State(state): State<AppState>, Query(asked): Query<Asked>) -> Response {
    let (web, scope) = (state.web.trim_end_matches('/').to_owned(), state.scope.clone());
    match made(state, asked).await {
        Ok(report) => match cml_cost::html(&report, Site { scope: &scope, forge: &web }) {
            Ok(html) => {
                let (html, policy) = policy::without_attributes(&html);
                // Hashes and constant words: always a valid header value.
                let Ok(policy) = HeaderValue::from_str(&policy) else {
                    return StatusCode::INTERNAL_SERVER_ERROR.into_response();
                };
                ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
        },
        Err(answer) => answer,
    }
}

pub(crate) async fn json(State(state): State<AppState>, Query(asked): Query<Asked>) -> Response {
    match made(state, asked).await {
        Ok(report) => Json(cml_cost::json(&report)).into_response(),
        Err(answer) => answer,
    }
}

async fn made(state: AppState, asked: Asked) -> Result<Report, Response> {
    let bad = |words: String| (StatusCode::BAD_REQUEST, format!("{words}\n")).into_response();
    let now = (state.clock)();
    let by = match asked.by.as_deref() {
        None => GroupBy::Spec,
        Some(word) => GroupBy::ALL.into_iter().find(|by| by.word() == word).ok_or_else(|| {
            let all: Vec<&str> = GroupBy::ALL.iter().map(|by| by.word()).collect();
            bad(format!("by={word}: one of {}", all.join(", ")))
        })?,
    };
    let days = asked.days.unwrap_or(DAYS).clamp(1, DAYS_MAX);
    let window = match asked.month.as_deref() {
        Some(month) => Window::month(Month::from_str(month).map_err(|error| bad(format!("month: {error}")))?),
        None => Window::since(SignedDuration::from_hours(24 * i64::from(days)), now),
    };
    let query = cml_cost::Query { window, by, top: TOP };
    let failed = |words: String| (StatusCode::SERVICE_UNAVAILABLE, format!("{words}\n")).into_response();
    // Files are read on another thread, so that the controller is not blocked.
    let report = tokio::task::spawn_blocking(move || {
        let book = Store::book(&state.prices, None).unwrap_or_else(|error| {
            tracing::warn!(%error, "the shipped prices are used");
            Book::shipped()
        });
        let mut ledger = Ledger::open(&state.ledger)?;
        ledger.take_in(&state.journal, now, &book)?;
        cml_cost::report(&mut ledger, query, now, &book)
    });
    let report = report.await.map_err(|error| failed(error.to_string()))?;
    report.map_err(|error| failed(error.to_string()))
}
