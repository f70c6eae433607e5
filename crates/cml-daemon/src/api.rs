//! The API: the data of the page, as JSON.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cml_journal::{JournalError, Record, SqliteJournal};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::AppState;

/// Maximum number of events in one response.
const EVENTS_MAX: u32 = 1000;
const EVENTS_SHOWN: u32 = 100;

pub(crate) async fn pools(State(state): State<AppState>) -> Json<Value> {
    let board = state.board();
    Json(json!({
        "at": board.at,
        "cloud_answers": board.cloud_answers,
        "github_answers": board.github_answers,
        "pools": board.pools,
    }))
}

pub(crate) async fn runners(State(state): State<AppState>) -> Json<Value> {
    let board = state.board();
    Json(json!({"at": board.at, "runners": board.runners}))
}

pub(crate) async fn jobs(State(state): State<AppState>) -> Json<Value> {
    let board = state.board();
    Json(json!({"at": board.at, "jobs": board.jobs}))
}

/// Returns the launches whose machine does not exist yet.
pub(crate) async fn launches(State(state): State<AppState>) -> Json<Value> {
    let board = state.board();
    let starting: Vec<_> = board.runners.iter().filter(|runner| runner.state == "starting").collect();
    Json(json!({"at": board.at, "launches": starting}))
}

#[derive(Deserialize)]
pub(crate) struct EventsQuery {
    limit: Option<u32>,
}

pub(crate) async fn events(State(state): State<AppState>, Query(query): Query<EventsQuery>) -> Response {
    match latest(&state, query.limit.unwrap_or(EVENTS_SHOWN).min(EVENTS_MAX)).await {
        Ok(lines) => {
            let event = |line: &Record| json!({"number": line.seq, "at": line.at, "event": line.event});
            Json(json!({"events": lines.iter().map(event).collect::<Vec<_>>()})).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

/// Returns the latest records of the journal, the newest first; reading does not disturb the controller.
pub(crate) async fn latest(state: &AppState, most: u32) -> Result<Vec<Record>, String> {
    let (path, file) = (state.journal.clone(), state.journal_file.clone());
    let read = move || {
        // Another file at that path is not the one that the controller writes.
        file.check(&path)?;
        SqliteJournal::open_to_read(&path)?.latest(most)
    };
    let read = move || read().map_err(|error: JournalError| error.to_string());
    tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?
}
