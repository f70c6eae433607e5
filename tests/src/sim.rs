//! The simulated GitHub of one test. At its end every exchange is validated against GitHub's own API description.

use std::ops::Deref;
use std::time::Duration;

use cml_world::{JobView, Posture, RunId, SimGitHub, SimSettings, Webhook};
use serde_json::Value;

use crate::daemon::WEBHOOK_SECRET;
use crate::runner::Runner;
use crate::secrets::TOKEN;

/// Time limit of a job of these suites, from queued to completed.
const JOB_LIMIT: Duration = Duration::from_secs(45);

/// A simulated GitHub that accepts [`TOKEN`].
pub struct Sim {
    github: SimGitHub,
}

impl Deref for Sim {
    type Target = SimGitHub;

    fn deref(&self) -> &SimGitHub {
        &self.github
    }
}

impl Sim {
    /// Starts one on a free loopback port.
    pub async fn start() -> Self {
        Self::start_with(SimSettings::default()).await
    }

    /// Starts one that sends webhooks to a daemon on this port.
    pub async fn start_with_webhook(port: u16) -> Self {
        Self::start_with_hook(port, Posture::default()).await
    }

    /// The same, set up in another way.
    pub async fn start_with_hook(port: u16, posture: Posture) -> Self {
        let url = format!("http://127.0.0.1:{port}/webhook");
        let webhook = Some(Webhook { url, secret: WEBHOOK_SECRET.to_owned() });
        Self::start_with(SimSettings { webhook, posture, ..SimSettings::default() }).await
    }

    /// Starts one with these settings and [`TOKEN`].
    pub async fn start_with(settings: SimSettings) -> Self {
        let settings = SimSettings { token: TOKEN.to_owned(), ..settings };
        Self { github: SimGitHub::start(settings).await.expect("the simulated GitHub starts") }
    }

    /// A user whose environment points here.
    #[must_use]
    pub fn user(&self) -> Runner {
        Runner::new().on_github(&self.web_url(), &self.api_url(), "acme/vision")
    }

    /// Queues a job with this label and this shell script, and returns its id.
    #[must_use]
    pub fn queue(&self, label: &str, script: &str) -> u64 {
        self.latest_job(self.queue_workflow(&workflow(label, script)).expect("the workflow is good"))
    }

    /// The same for a pull request that this login opens from a fork (`owner/name`).
    #[must_use]
    pub fn queue_of_fork(&self, label: &str, script: &str, fork: &str, actor: &str) -> u64 {
        let workflow = workflow(label, script);
        self.latest_job(self.queue_from_fork(&workflow, fork, actor).expect("the workflow is good"))
    }

    /// The run that a job belongs to.
    #[must_use]
    pub fn run_of(&self, job: u64) -> RunId {
        self.jobs().iter().find(|one| one.id == job).expect("the job is listed").run_id
    }

    /// The job of a run's latest attempt, where each has one.
    #[must_use]
    pub fn latest_job(&self, run: RunId) -> u64 {
        self.jobs().iter().rfind(|job| job.run_id == run).expect("the job is listed").id
    }

    /// Waits for a job's end.
    pub async fn ended(&self, job: u64) -> JobView {
        self.ended_within(job, JOB_LIMIT).await
    }

    async fn ended_within(&self, job: u64, limit: Duration) -> JobView {
        self.wait_for_job(job, limit)
            .await
            .unwrap_or_else(|| panic!("job {job} did not end within {limit:?}; it is {:#?}", self.jobs()))
    }

    /// Waits for a job's success.
    pub async fn succeeds(&self, job: u64) -> JobView {
        self.succeeds_within(job, JOB_LIMIT).await
    }

    /// Waits for a job's success with this time limit.
    pub async fn succeeds_within(&self, job: u64, limit: Duration) -> JobView {
        let view = self.ended_within(job, limit).await;
        assert_eq!(
            view.conclusion.as_deref(),
            Some("success"),
            "{view:#?}\n{}",
            self.log(job).unwrap_or_default()
        );
        view
    }

    /// Returns the values that must stay secret: the token, and every JIT configuration and registration token so far.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![TOKEN.to_owned()];
        for exchange in self.exchanges() {
            let body: Value = serde_json::from_slice(exchange.response_body.as_ref()).unwrap_or_default();
            let fields = ["encoded_jit_config", "token"];
            secrets.extend(fields.iter().filter_map(|field| Some(body[*field].as_str()?.to_owned())));
        }
        secrets
    }

    /// Returns the API calls of the product, without the runner program's own protocol.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.exchanges().iter().map(|exchange| format!("{} {}", exchange.method, exchange.path)).collect()
    }
}

/// A workflow file of one job.
fn workflow(label: &str, script: &str) -> String {
    let indented: String = script.lines().map(|line| format!("          {line}\n")).collect();
    format!(
        "name: test\non: push\njobs:\n  work:\n    runs-on: [{label}]\n    steps:\n      - run: |\n{indented}"
    )
}

impl Drop for Sim {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let exchanges = self.exchanges();
            let violations = cml_world::contract::violations(&exchanges);
            assert!(
                violations.is_empty(),
                "exchanges that GitHub's API description does not allow: {violations:#?}"
            );
        }
    }
}
