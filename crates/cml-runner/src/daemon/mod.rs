//! `cml-runner daemon`: pools from a cml.yaml, for months.

mod door;
mod prices;
mod reload;
mod templates;
mod webhook_enrich;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cml_cloud::LaunchId;
use cml_controller::{Controller, Mailbox, ReconcileReport, RunnerPackageSource, STOP_WITHIN, Settings};
use cml_daemon::{AppState, Counters, Limits, StatusSnapshot, WebhookIngest};
use cml_github::{GitHub, Scope, WebhookSecret};
use cml_journal::{FileIdentity, SqliteJournal};
use cml_spec::{AuthConfig, Config};
use jiff::SignedDuration;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::actions::now;
use crate::args::{self, Global};
use crate::cloud_router::CloudRouter;
use crate::context;
use crate::exit::{CliError, ExitCode};
use crate::launch::new_ulid;
use crate::signals::{self, Left};

pub(crate) use templates::query;

/// Webhooks from this time before the start are processed again: a job that began later is known to the poll.
const HEARD_AGAIN: SignedDuration = SignedDuration::from_hours(2);
/// Interval of watchdog messages to systemd, if it requests them; its timeout is longer.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(10);
/// Time for the rest of the process to end, after the launches in progress.
const STOP_SERVING_WITHIN: Duration = Duration::from_secs(10);

/// Hint for a missing token.
const NO_TOKEN: &str = "set REPO_TOKEN to a fine-grained token with \"Actions: read and write\" (interrupted jobs run again) and \
                        \"Administration: read and write\" (organization: \"Self-hosted runners: read and write\"), or a GitHub \
                        App (--app-id and --app-key-file, or github.auth of the file)";

pub(crate) async fn daemon(global: &Global, args: &args::Daemon) -> Result<String, CliError> {
    let descriptors = door::more_descriptors();
    let left = Left::default();
    let stop = signals::stop_token(left.clone())?;
    let config = crate::validate::read(&args.config)?;
    let github = context::github_with(&with_file(global, &config), NO_TOKEN)?;
    let github = github.stopping(stop.clone());
    let github = Arc::new(match args.registrations_per_minute {
        Some(most) => github.paced(most),
        None => github,
    });
    if let scope @ Scope::Enterprise(_) = &github.location().scope {
        let message =
            format!("a daemon cannot serve {scope} as a whole: GitHub lists an enterprise's jobs nowhere");
        return Err(CliError::new(ExitCode::Usage, message)
            .hint("run one for each organization, such as `scope: acme`"));
    }
    let access = door::access(args)?;
    let region = context::default_region();
    let clouds = CloudRouter::open(&region, args.state.state_dir.clone())?;
    let dir = args.state.state_dir.clone().unwrap_or_else(context::default_state_dir);
    let journal_path = args.journal.clone().unwrap_or_else(|| dir.join(crate::cost::DAEMON_JOURNAL));
    left.may_be(vec![format!(
        "the machines of the pools, and launches that are under way: a daemon that is started again takes them over from {}, \
         and each machine ends itself by its deadline",
        journal_path.display()
    )]);
    context::check_journal(&journal_path)?;
    let journal = SqliteJournal::open(&journal_path).map_err(|error| not_written(&error))?;
    let journal_file = FileIdentity::of(&journal_path);
    let (specs_of_now, specs) = watch::channel(specs(&config));
    let prices_every = prices::every(&args.prices_every)?;
    let (prices_of_now, prices_wanted) = watch::channel(prices::wanted(&config, &region));
    let news = Arc::new(Mailbox::default());
    let webhooks = webhooks(args, &journal_path, &github, &news, &specs)?;
    let packages = RunnerPackageSource::Latest;
    let wanted = templates::wanted(&config, &region, &packages);
    let (show, board) = watch::channel(Arc::new(StatusSnapshot::default()));
    let face = AppState {
        board,
        access,
        webhooks,
        ledger: journal_path.with_extension("ledger.db"),
        prices: dir.join(crate::cost::PRICES),
        journal: journal_path,
        journal_file,
        serves: github.location().scope.clone(),
        scope: github.location().scope.to_string(),
        web: github.location().web.to_string(),
        clock: now,
        counters: Counters::default(),
    };
    let listener = door::listen(args.listen, &face.access).await?;
    tell_address(&listener);
    let serving = tokio::spawn(cml_daemon::serve(listener, face, Limits::below(descriptors), stop.clone()));
    let for_reload = (news.clone(), region.clone());
    let reloading = tokio::spawn(reload::watch(args.config.clone(), stop.clone(), move |config: Config| {
        let (news, region) = &for_reload;
        tracing::info!(specs = config.runners.len(), "configuration reloaded");
        news.set_desired(templates::wanted(&config, region, &RunnerPackageSource::Latest));
        prices_of_now.send_replace(prices::wanted(&config, region));
        specs_of_now.send_replace(config.runners.iter().map(|it| it.spec.clone()).collect());
    }));
    let on_step = |told: &ReconcileReport<'_>| {
        log(told);
        show.send_replace(Arc::new(StatusSnapshot::of(told, &specs.borrow())));
        let_systemd_know(&[sd_notify::NotifyState::Ready]);
    };
    let new_id = || LaunchId::new(new_ulid());
    let settings = Settings {
        wanted,
        name: args.controller.clone(),
        poll_every: poll_every(&args.poll)?,
        clock: &now,
        new_id: &new_id,
        plan: &cml_planner::plan,
        on_step: &on_step,
    };
    let controller = Controller::open(&clouds, github.as_ref(), journal, settings)
        .map_err(|error| CliError::new(ExitCode::Failed, error.to_string()))?;
    let alive = tokio::spawn(signs_of_life(stop.clone()));
    let stopping = tokio::spawn(tell_of_the_end(stop.clone()));
    let running = async {
        let result = controller.run(&news, &stop).await;
        stop.cancel();
        result
    };
    let store = crate::prices::store_path(&dir);
    let pricing = prices::keep(&clouds, &store, prices_wanted, prices_every, &stop);
    let (result, ()) = tokio::join!(running, pricing);
    drop(tokio::join!(serving, reloading, alive, stopping));
    result.map_err(|error| CliError::new(ExitCode::Failed, error.to_string()))?;
    Ok(String::new())
}

/// Adds the file's GitHub settings, where neither flags nor environment have them.
pub(crate) fn with_file(global: &Global, config: &Config) -> Global {
    let Some(file) = &config.github else { return global.clone() };
    let mut all = global.clone();
    if all.repo.is_none() && context::env("GITHUB_REPOSITORY").is_none() {
        all.repo = Some(format!("{}/{}", file.url, file.scope));
    }
    let is_somebody = all.token.is_some() || all.app_id.is_some();
    match &file.auth {
        Some(AuthConfig::TokenEnv(name)) if !is_somebody => all.token = context::env(name),
        Some(AuthConfig::App { id, key_file, installation_id }) if !is_somebody => {
            all.app_id = Some(*id);
            all.app_key_file = Some(key_file.clone());
            all.app_installation_id = *installation_id;
        }
        _ => {}
    }
    all
}

fn specs(config: &Config) -> Vec<cml_spec::Spec> {
    config.runners.iter().map(|runners| runners.spec.clone()).collect()
}

/// Parses the poll interval. GitHub's rate limit allows a poll every ten seconds; a job whose webhook was lost waits
/// for the next one.
fn poll_every(text: &str) -> Result<SignedDuration, CliError> {
    let usage = |why: String| CliError::new(ExitCode::Usage, format!("--poll: {why}"));
    let time = cml_spec::duration::parse(text).map_err(|error| usage(error.to_string()))?;
    let may = SignedDuration::from_secs(10)..=SignedDuration::from_hours(1);
    if may.contains(&time) { Ok(time) } else { Err(usage(format!("{text} is not between 10s and 1h"))) }
}

fn not_written(error: &dyn std::fmt::Display) -> CliError {
    CliError::new(ExitCode::Failed, format!("the journal cannot be written: {error}"))
        .hint("name a file that can be written with --journal, or a directory with --state-dir")
}

fn not_kept(error: &dyn std::fmt::Display) -> CliError {
    CliError::new(ExitCode::Failed, format!("webhooks cannot be kept: {error}"))
        .hint("the inbox lies beside the journal: the directory must be writable, and another daemon must not hold the file")
}

/// Opens the webhook endpoint, when there is a secret to verify signatures.
fn webhooks(
    args: &args::Daemon,
    journal: &std::path::Path,
    github: &Arc<GitHub>,
    news: &Arc<Mailbox>,
    specs: &watch::Receiver<Vec<cml_spec::Spec>>,
) -> Result<Option<(WebhookIngest, WebhookSecret)>, CliError> {
    let secret = match &args.webhook_secret_file {
        Some(file) => Some(std::fs::read_to_string(file).map_err(|error| {
            CliError::new(
                ExitCode::Usage,
                format!("--webhook-secret-file: cannot read {}: {error}", file.display()),
            )
        })?),
        None => context::env("CML_RUNNER_WEBHOOK_SECRET"),
    };
    let Some(secret) = secret else {
        if !matches!(github.location().scope, Scope::Repository { .. }) {
            tracing::warn!(
                "no webhook secret is set: jobs of the organization are found by polling alone, a minute late or more"
            );
        }
        return Ok(None);
    };
    let secret = webhook_secret(&secret)?;
    let hearing = Arc::new(webhook_enrich::Hearing::new(news.clone(), specs.clone()));
    let inbox: PathBuf = journal.with_extension("inbox.db");
    let hears = hearing.clone();
    let again_for = github.location().delivers_again_for();
    let serves = &github.location().scope;
    let intake = WebhookIngest::open(&inbox, now(), HEARD_AGAIN, again_for, serves, move |one, at| {
        hears.hear(one, webhook_enrich::instant_of(at));
    })
    .map_err(|error| not_kept(&error))?;
    tokio::spawn(webhook_enrich::complete_all(github.clone(), hearing));
    if github.may_redeliver() {
        tokio::spawn(webhook_enrich::find_lost(github.clone()));
    }
    Ok(Some((intake, secret)))
}

/// Checks the webhook secret. With a guessable secret anybody can sign a delivery; an empty one was meant to be set.
fn webhook_secret(text: &str) -> Result<WebhookSecret, CliError> {
    WebhookSecret::new(SecretString::from(text.trim())).map_err(|error| {
        CliError::new(ExitCode::Usage, format!("the webhook's secret protects nothing: {error}"))
            .hint("make one with `openssl rand -hex 32`, and set it here and at GitHub's webhook")
    })
}

fn tell_address(listener: &TcpListener) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "the page is at http://{address}/");
    }
}

/// Logs decisions as events, with ids.
fn log(told: &ReconcileReport<'_>) {
    use cml_controller::reconcile::Command;
    for order in &told.outcome.commands {
        match order {
            // The controller logs each launch under its id.
            Command::Launch { .. } => {}
            Command::Terminate { instance, cause, .. } => {
                tracing::info!(%instance, %cause, "ending a machine");
            }
            Command::RemoveRunner { runner } => {
                tracing::info!(runner, "removing a registration without a machine");
            }
            Command::Rerun { run_id, .. } => tracing::info!(run_id, "running interrupted jobs again"),
        }
    }
    for waiting in &told.outcome.waiting {
        tracing::debug!(job = waiting.job.0, why = %waiting.why, "a job waits");
    }
}

/// Sends watchdog messages to systemd: from a task of the runtime, so that a runtime that hangs sends none.
async fn signs_of_life(stop: CancellationToken) {
    loop {
        let_systemd_know(&[sd_notify::NotifyState::Watchdog]);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SIGN_OF_LIFE_EVERY) => {}
        }
    }
}

/// Notifies systemd of the stop, which waits for the launches in progress as long as the controller does.
async fn tell_of_the_end(stop: CancellationToken) {
    stop.cancelled().await;
    let most = STOP_WITHIN + STOP_SERVING_WITHIN;
    let microseconds = u32::try_from(most.as_micros()).unwrap_or(u32::MAX);
    let_systemd_know(&[
        sd_notify::NotifyState::Stopping,
        sd_notify::NotifyState::ExtendTimeoutUsec(microseconds),
    ]);
}

/// Notifies systemd. Has no effect without systemd.
fn let_systemd_know(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_secret_that_can_be_guessed_is_a_usage_error_with_how_to_make_one() {
        assert!(webhook_secret("sixteen letters.\n").is_ok());
        for short in ["", " \n", "fifteen letters\n"] {
            let trouble = webhook_secret(short).expect_err("is refused");
            assert_eq!(trouble.code, ExitCode::Usage);
            assert!(trouble.message.contains("protects nothing"), "{}", trouble.message);
            assert!(trouble.hint.as_deref().is_some_and(|hint| hint.contains("openssl rand -hex 32")));
        }
    }
}
