//! The page: rendered by the server, complete without JavaScript, and refreshed every few seconds with it.

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, Form};
use cml_journal::{Event, Record};
use jiff::{SignedDuration, Timestamp};
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::{Deserialize, Serialize};

use crate::access::LogIn;
use crate::api::latest;
use crate::door::Peer;
use crate::server::AppState;
use crate::status::{LimitRow, RunnerRow};

/// Number of events on the page.
const EVENTS_SHOWN: u32 = 40;
/// The timeline starts at the oldest machine, but no later and no earlier than these.
const TIMELINE: [SignedDuration; 2] = [SignedDuration::from_mins(10), SignedDuration::from_hours(12)];
/// Minimum width of a bar, in percent, so that it is visible.
const BAR_MIN: f64 = 0.4;

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    pages.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, text) in [
        ("page", include_str!("../../../templates/page.html")),
        ("login", include_str!("../../../templates/login.html")),
    ] {
        // An invalid template is reported when it is requested; a test parses both.
        if let Err(error) = pages.add_template(name, text) {
            tracing::error!(%error, name, "a page's template cannot be read");
        }
    }
    pages
});

/// A bar of the timeline, in percent of its width.
#[derive(Serialize)]
struct Bar {
    doing: &'static str,
    left: f64,
    width: f64,
    since: String,
}

#[derive(Serialize)]
struct Track<'a> {
    runner: &'a RunnerRow,
    ends_by: String,
    bars: Vec<Bar>,
}

#[derive(Serialize)]
struct EventRow {
    at: String,
    words: String,
}

pub(crate) async fn page(State(state): State<AppState>) -> Response {
    let now = (state.clock)();
    let events = match latest(&state, EVENTS_SHOWN).await {
        Ok(lines) => {
            lines.iter().map(|line| EventRow { at: clock_time(line.at), words: describe(line) }).collect()
        }
        Err(error) => {
            vec![EventRow { at: clock_time(now), words: format!("the journal cannot be read: {error}") }]
        }
    };
    match render(&state, &events, now) {
        Ok(html) => Html(html).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

fn render(state: &AppState, events: &[EventRow], now: Timestamp) -> Result<String, minijinja::Error> {
    let board = state.board();
    let oldest = board.runners.iter().map(|runner| now.duration_since(runner.since)).max();
    let timeline = oldest.unwrap_or_default().clamp(TIMELINE[0], TIMELINE[1]);
    let tracks: Vec<Track<'_>> = board
        .runners
        .iter()
        .map(|runner| Track {
            runner,
            ends_by: clock_time(runner.deadline),
            bars: bars(runner, timeline, now),
        })
        .collect();
    let jobs: Vec<_> = board
        .jobs
        .iter()
        .map(|job| context! { waits => span(now.duration_since(job.queued_at)), ..Value::from(Serde(job)) })
        .collect();
    let pools: Vec<_> = board
        .pools
        .iter()
        .map(|pool| {
            let spent = pool.spent_today_usd.0 + pool.running_usd.0;
            let of_budget = pool
                .budget_day_usd
                .filter(|most| !most.0.is_zero())
                .map(|most| (spent / most.0 * rust_decimal::Decimal::from(100)).round_dp(0).to_string());
            context! {
                spent => money(spent),
                budget => pool.budget_day_usd.map(|most| money(most.0)),
                of_budget => of_budget,
                ..Value::from(Serde(pool))
            }
        })
        .collect();
    PAGES.get_template("page")?.render(context! {
        scope => state.scope.as_str(),
        web => state.web.as_str(),
        at => board.at.map(clock_time),
        age => board.at.map(|at| span(now.duration_since(at))),
        cloud_answers => board.cloud_answers,
        github_answers => board.github_answers,
        pools,
        tracks => Value::from(Serde(tracks)),
        jobs,
        limits => limits(&board.near_limit),
        events => Value::from(Serde(events)),
        timeline => span(timeline),
    })
}

fn limits(rows: &[LimitRow]) -> Vec<Value> {
    let row = |row: &LimitRow| {
        context! {
            account => row.account.as_str(),
            period => row.period.to_string(),
            most => money(row.most_usd.0),
            spent => money(row.spent_usd.0),
            promised => money(row.promised_usd.0),
            renews => row.renews_at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        }
    };
    rows.iter().map(row).collect()
}

fn bars(runner: &RunnerRow, timeline: SignedDuration, now: Timestamp) -> Vec<Bar> {
    let width = timeline.as_secs_f64();
    let left_of =
        |at: Timestamp| (1.0 - now.duration_since(at).as_secs_f64() / width).clamp(0.0, 1.0) * 100.0;
    let ends = runner.segments.iter().skip(1).map(|next| next.since).chain([now]);
    let bar = |(segment, end): (&crate::status::Segment, Timestamp)| {
        let (left, right) = (left_of(segment.since).min(100.0 - BAR_MIN), left_of(end));
        Bar {
            doing: segment.doing,
            left,
            width: (right - left).max(BAR_MIN),
            since: clock_time(segment.since),
        }
    };
    runner.segments.iter().zip(ends).map(bar).collect()
}

fn money(amount: rust_decimal::Decimal) -> String {
    format!("${amount:.2}")
}

fn clock_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn span(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Describes a record of the journal.
fn describe(line: &Record) -> String {
    match &line.event {
        Event::LaunchIntended { launch, spec, job, .. } => match job {
            Some(job) => format!("launching {spec} for job {job} ({launch})"),
            None => format!("launching {spec}, to be kept warm ({launch})"),
        },
        Event::LaunchBought { launch, instance, offer } => {
            let place = offer.zone.as_deref().unwrap_or(&offer.region);
            format!("launched {instance}: {} {} in {place} ({launch})", offer.market, offer.instance_type)
        }
        Event::InstanceFound { spec, instance, .. } => format!("adopted {instance}, a machine of {spec}"),
        Event::ControllerNamed { name } => format!("machines are tagged with the controller {name}"),
        Event::LaunchCalled { launch } => format!("calling the cloud for {launch}"),
        Event::LaunchFailed { launch, why } => format!("launch failed: {why} ({launch})"),
        Event::Refused { refusal } => {
            let place = refusal.zone.as_deref().unwrap_or(&refusal.region);
            format!("{} {} in {place} refused: {:?}", refusal.market, refusal.instance_type, refusal.kind)
        }
        Event::RunnerIdle { launch } => format!("{}: online, idle", launch.runner_name()),
        Event::RunnerBusy { launch, job: Some(job) } => format!("{}: runs job {job}", launch.runner_name()),
        Event::RunnerBusy { launch, job: None } => format!("{}: runs a job", launch.runner_name()),
        Event::NoticeSeen { launch } => {
            format!("{}: interruption notice", launch.runner_name())
        }
        Event::InstanceStopped { launch, .. } => {
            format!("{}: its machine was stopped by hand", launch.runner_name())
        }
        Event::InstanceStarted { launch, .. } => {
            format!("{}: its machine was started again", launch.runner_name())
        }
        Event::InstanceEnded { launch, .. } => {
            format!("{}: its machine has ended; waiting for spot prices to bill it", launch.runner_name())
        }
        Event::InstanceGone { launch, end, .. } => match end {
            cml_journal::EndReason::TakenBack => {
                format!("{}: interrupted, the cloud took its machine back", launch.runner_name())
            }
            cml_journal::EndReason::Ours => format!("{}: its machine has ended", launch.runner_name()),
        },
        Event::SpotPrice { instance_type, region, zone, price, .. } => {
            format!("spot {instance_type} in {} now costs {price}", zone.as_deref().unwrap_or(region))
        }
        Event::JobCame { job, spec, facts } => {
            format!("job {job} ({}, {}) queued for {spec}", facts.repository, facts.name)
        }
        Event::JobInterrupted { job } => format!("job {job} was interrupted"),
        Event::RerunAsked { run_id, attempt, .. } => {
            format!("run {run_id}: re-running its interrupted jobs (attempt {attempt})")
        }
        Event::JobSettled { job } => format!("job {job} needs no re-run"),
    }
}

pub(crate) async fn login() -> Response {
    login_page(StatusCode::OK, "")
}

/// Returns the response for an address that has presented too many wrong tokens.
pub(crate) fn slowed() -> Response {
    let words = "Too many wrong tokens have come from your address: wait a minute.";
    let mut answer = login_page(StatusCode::TOO_MANY_REQUESTS, words);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    answer
}

fn login_page(status: StatusCode, wrong: &str) -> Response {
    let made = PAGES.get_template("login").and_then(|page| page.render(context! { wrong }));
    match made {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

#[derive(Deserialize)]
pub(crate) struct LoginForm {
    token: String,
}

pub(crate) async fn log_in(
    State(state): State<AppState>,
    Extension(peer): Extension<Peer>,
    Form(form): Form<LoginForm>,
) -> Response {
    match state.access.log_in(&form.token, peer, (state.clock)()) {
        LogIn::Right(cookie) => {
            (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, "/".to_owned())])
                .into_response()
        }
        LogIn::Wrong => login_page(StatusCode::FORBIDDEN, "That is not the token."),
        LogIn::Slowed => slowed(),
    }
}
