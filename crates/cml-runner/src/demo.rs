//! `cml-runner demo`: the whole life of a job on this machine, with a simulated GitHub on loopback.
//!
//! Everything but GitHub is real: the launch, the local machine, the bootstrap script, the download with its SHA-256,
//! the runner process, the training.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cml_cloud::{
    Cloud, Deadline, Image, Instance, InstanceFilter, LaunchId, Network, OfferQuery, SpotPolicy,
};
use cml_controller::{Event, Failure, LaunchPlan, MachineTemplate, Reuse, RunnerMode, RunnerPackageSource};
use cml_github::{Auth, GitHub, Location, RunnerGroup};
use cml_spec::Setup;
use cml_world::{JobView, SimGitHub, SimSettings};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::actions::now;
use crate::args::{Demo, Global};
use crate::exit::{CliError, ExitCode};
use crate::launch::new_ulid;
use crate::progress::Progress;
use crate::{context, signals};

/// The workflow whose job is run.
const WORKFLOW: &str = include_str!("../../../templates/demo/workflow.yml");
/// Time limit of the job once its runner is online.
const JOB_LIMIT: Duration = Duration::from_secs(60);
/// Time limit for the end of the machine after its job.
const VANISH_LIMIT: Duration = Duration::from_secs(30);
/// Interval between checks of the machine.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) async fn demo(global: &Global, args: &Demo) -> Result<String, CliError> {
    let stop = signals::stop_token(signals::Left::default())?;
    let world = World::make(args.output.clone()).await?;
    let story = world.play(&stop).await;
    // Whatever happened, nothing may be left behind.
    let left = world.clean_up().await;
    let story = story?;
    if global.json {
        return Ok(format!("{}\n", story.as_json(&left)));
    }
    Ok(story.as_text(&left, &world.output))
}

/// The simulated GitHub, the local cloud and the directory of the results.
struct World {
    github_sim: SimGitHub,
    github: GitHub,
    cloud: cml_cloud::local::LocalCloud,
    state: PathBuf,
    output: PathBuf,
    progress: Progress,
}

/// Remains at the end; both must be zero.
struct Left {
    instances: usize,
    runners: usize,
}

/// Events of the demo.
struct Story {
    job: JobView,
    metrics: Value,
    started: Timestamp,
    events: Vec<(Timestamp, String)>,
}

impl World {
    async fn make(output: Option<PathBuf>) -> Result<Self, CliError> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            CliError::new(ExitCode::Failed, format!("{what}: {error}"))
        };
        let id = LaunchId::new(new_ulid());
        let home = std::env::temp_dir().join(format!("cml-runner-demo-{id}"));
        let output = output.unwrap_or_else(|| home.join("report"));
        std::fs::create_dir_all(&output)
            .map_err(|error| failed(&format!("cannot make {}", output.display()), &error))?;
        let token = format!("demo-{}", new_ulid());
        let settings = SimSettings { token: token.clone(), ..SimSettings::default() };
        let github_sim = SimGitHub::start(settings)
            .await
            .map_err(|error| failed("cannot start the simulated GitHub", &error))?;
        let location = Location::find(Some(&github_sim.repo_url()), &|_| None, None)
            .map_err(|error| failed("the simulated GitHub's address", &error))?;
        let github = GitHub::new(location, Auth::Token(SecretString::from(token)))?;
        let state = home.join("state");
        let cloud = context::local(state.clone())?;
        Ok(Self { github_sim, github, cloud, state, output, progress: Progress::new(false) })
    }

    async fn play(&self, stop: &CancellationToken) -> Result<Story, CliError> {
        let started = now();
        let events = std::sync::Mutex::new(Vec::new());
        let note = |text: String| {
            let at = now();
            self.progress.line(&format!("{:>6.2} s  {text}", at.duration_since(started).as_secs_f64()));
            if let Ok(mut events) = events.lock() {
                events.push((at, text));
            }
        };
        note(format!("a simulated GitHub listens on {}", self.github_sim.web_url()));
        let run = self
            .github_sim
            .queue_workflow(WORKFLOW)
            .map_err(|error| CliError::new(ExitCode::Failed, format!("the demo's workflow: {error}")))?;
        note(format!("a job is queued (run {run}), its labels: self-hosted, cml-demo"));
        let launch = LaunchId::new(new_ulid());
        let order = order(launch, now())?;
        let journal = context::journal(&self.state, launch)?;
        let tell = |event: Event| {
            if let Some(text) = timeline_words(&event) {
                note(text);
            }
        };
        let launched =
            cml_controller::launch(&order, &self.cloud, &self.github, journal, &now, &tell, stop).await;
        launched.map_err(|failure: Failure| CliError::from(failure))?;
        let job = self.wait_for_job(stop).await?;
        note(format!(
            "the job ended: {} (on {})",
            job.conclusion.as_deref().unwrap_or("?"),
            job.runner_name.as_deref().unwrap_or("?")
        ));
        if job.conclusion.as_deref() != Some("success") {
            let log = self.github_sim.log(job.id).unwrap_or_default();
            return Err(CliError::new(
                ExitCode::Failed,
                format!("the demo's job did not succeed; its log:\n{log}"),
            ));
        }
        let metrics = self.keep_results(&job)?;
        self.wait_until_gone(stop).await?;
        note("the machine is gone".to_owned());
        self.progress.finish();
        Ok(Story { job, metrics, started, events: events.into_inner().unwrap_or_default() })
    }

    async fn wait_for_job(&self, stop: &CancellationToken) -> Result<JobView, CliError> {
        let job = self.github_sim.jobs().first().map(|job| job.id).unwrap_or_default();
        tokio::select! {
            () = stop.cancelled() => Err(CliError::new(ExitCode::Interrupted, "interrupted by a signal; everything was removed")),
            ended = self.github_sim.wait_for_job(job, JOB_LIMIT) => ended.ok_or_else(|| CliError::new(
                ExitCode::TimedOut,
                format!("the job did not end within {} s", JOB_LIMIT.as_secs()),
            )),
        }
    }

    fn keep_results(&self, job: &JobView) -> Result<Value, CliError> {
        let missing = |name: &str| CliError::new(ExitCode::Failed, format!("the job left no {name}"));
        for name in ["metrics.json", "plot.svg"] {
            let bytes = self.github_sim.artifact(job.id, name).ok_or_else(|| missing(name))?;
            let file = self.output.join(name);
            std::fs::write(&file, bytes).map_err(|error| {
                CliError::new(ExitCode::Failed, format!("cannot write {}: {error}", file.display()))
            })?;
        }
        let metrics =
            self.github_sim.artifact(job.id, "metrics.json").ok_or_else(|| missing("metrics.json"))?;
        serde_json::from_slice(&metrics).map_err(|error| {
            CliError::new(ExitCode::Failed, format!("the job's metrics.json is not JSON: {error}"))
        })
    }

    async fn wait_until_gone(&self, stop: &CancellationToken) -> Result<(), CliError> {
        let gone = async {
            while !self.alive().await.is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => Err(CliError::new(ExitCode::Interrupted, "interrupted by a signal; everything was removed")),
            ended = tokio::time::timeout(VANISH_LIMIT, gone) => ended.map_err(|_| CliError::new(
                ExitCode::TimedOut,
                format!("the machine did not vanish within {} s of its job's end", VANISH_LIMIT.as_secs()),
            )),
        }
    }

    async fn alive(&self) -> Vec<Instance> {
        let mut instances = self.cloud.instances(&InstanceFilter::default()).await.unwrap_or_default().found;
        instances.retain(Instance::is_alive);
        instances
    }

    /// Counts what the product left, then ends it anyway and removes the demo's own files.
    async fn clean_up(&self) -> Left {
        let alive = self.alive().await;
        let left = Left { instances: alive.len(), runners: self.github_sim.runners().len() };
        for instance in alive {
            if let Err(error) = self.cloud.terminate(&instance.region, &instance.id).await {
                self.progress.warn(&format!("{} could not be ended: {error}", instance.id));
            }
        }
        remove(&self.state);
        left
    }
}

fn remove(state: &Path) {
    if let Err(error) = std::fs::remove_dir_all(state)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, dir = %state.display(), "the demo's files could not be removed");
    }
}

/// Returns the plan of `cml-runner launch --cloud local --single`, with limits that suit a demo.
fn order(launch: LaunchId, now: Timestamp) -> Result<LaunchPlan, CliError> {
    let deadline = now.checked_add(SignedDuration::from_mins(5)).map_err(|error| {
        CliError::new(ExitCode::Failed, format!("the clock stands at the end of time: {error}"))
    })?;
    let recipe = MachineTemplate {
        spec: "demo".to_owned(),
        labels: vec!["cml-demo".to_owned()],
        default_labels: true,
        group: RunnerGroup::Id(1),
        mode: RunnerMode::Ephemeral,
        query: OfferQuery {
            regions: Vec::new(),
            types: Vec::new(),
            needs: None,
            gpu: None,
            spot: SpotPolicy::Never,
            spot_price_max: None,
            network: Network::default(),
            image: Image::default(),
            disk_gib: None,
            cache_snapshot: None,
        },
        image: Image::default(),
        network: Network::default(),
        instance_profile: None,
        tags: BTreeMap::new(),
        boot_timeout: SignedDuration::from_secs(60),
        idle_timeout: Some(SignedDuration::from_secs(30)),
        setup: Setup::default(),
        packages: RunnerPackageSource::Latest,
    };
    Ok(LaunchPlan {
        launch,
        runner_name: launch.runner_name(),
        deadline: Deadline(deadline),
        reuse: Reuse::Never,
        template: recipe,
    })
}

fn timeline_words(event: &Event) -> Option<String> {
    Some(match event {
        Event::Registered { runner } => format!("GitHub made a single-use configuration for {runner}"),
        Event::Bought { instance, .. } => format!("the machine {instance} boots"),
        Event::Online { runner } => format!("the runner {runner} is online"),
        Event::Undoing => "removing what was made".to_owned(),
        _ => return None,
    })
}

impl Story {
    fn as_json(&self, left: &Left) -> Value {
        json!({
            "job": {"conclusion": self.job.conclusion},
            "queued_to_running_ms": self.queued_to_running_ms(),
            "instances_left": left.instances,
            "runners_left": left.runners,
            "metrics": self.metrics,
        })
    }

    fn queued_to_running_ms(&self) -> Option<i128> {
        let running = self.job.started_at?.duration_since(self.job.queued_at);
        Some(running.as_millis())
    }

    fn as_text(&self, left: &Left, output: &Path) -> String {
        let took = self.events.last().map_or(0.0, |(at, _)| at.duration_since(self.started).as_secs_f64());
        let waited = self.queued_to_running_ms().map_or_else(|| "?".to_owned(), |ms| ms.to_string());
        format!(
            "\njob          {}\nqueued for   {waited} ms until it ran\nmetrics      {}\nplot         {}\nleft behind  {} instances, {} runners\ntook         {took:.1} s\n",
            self.job.conclusion.as_deref().unwrap_or("?"),
            self.metrics,
            output.join("plot.svg").display(),
            left.instances,
            left.runners,
        )
    }
}
