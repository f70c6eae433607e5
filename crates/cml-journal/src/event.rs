//! What is worth remembering. Kinds and fields are only ever added: old journals stay readable.

use cml_cloud::{Deadline, Disk, InstanceId, LaunchId, Offer, UsdPerHour};
use cml_planner::{Job, JobId, Refusal};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::billing::EndReason;

/// One thing that was decided or learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A launch was decided; the call comes after this is durable.
    LaunchIntended {
        /// The launch.
        launch: LaunchId,
        /// Its spec.
        spec: String,
        /// Labels that its runner is registered with.
        labels: Vec<String>,
        /// The region that is asked; not known of launches that were written down before regions were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        /// The job that it is for; none for one that is kept ready.
        job: Option<JobId>,
        /// When its machine must be gone.
        deadline: Deadline,
        /// The dearest of what is asked for.
        price: UsdPerHour,
        /// Its root disk; not known of launches that were written down before disks were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disk: Option<Disk>,
        /// Virtual processors of the largest of what is asked for.
        vcpus: u32,
        /// Who carries it out; not known of launches that were written down before writers were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        writer: Option<String>,
    },
    /// The cloud is called now: from here on it may have sold something.
    LaunchCalled {
        /// The launch.
        launch: LaunchId,
    },
    /// What the machines of this journal are tagged with: whoever writes it is this controller.
    ControllerNamed {
        /// The name.
        name: String,
    },
    /// The cloud sold it.
    LaunchBought {
        /// The launch.
        launch: LaunchId,
        /// The machine.
        instance: InstanceId,
        /// What was bought.
        offer: Offer,
    },
    /// A machine of ours was found that no line here explains: the journal was lost, or its launch was given up too early.
    InstanceFound {
        /// The launch that its tags name.
        launch: LaunchId,
        /// The spec that its tags name.
        spec: String,
        /// Labels of its runner: the spec's of now.
        labels: Vec<String>,
        /// When it must be gone.
        deadline: Deadline,
        /// The machine.
        instance: InstanceId,
        /// What it is.
        offer: Offer,
        /// When the cloud started it.
        started_at: Timestamp,
    },
    /// The cloud sold nothing: the launch is over.
    LaunchFailed {
        /// The launch.
        launch: LaunchId,
        /// Why, in words.
        why: String,
    },
    /// The cloud refused an offer.
    Refused {
        /// What and how.
        refusal: Refusal,
    },
    /// The runner is online, without a job.
    RunnerIdle {
        /// The launch.
        launch: LaunchId,
    },
    /// The runner has a job.
    RunnerBusy {
        /// The launch.
        launch: LaunchId,
        /// The job, where it is known.
        job: Option<JobId>,
    },
    /// The cloud announced to take the machine back.
    NoticeSeen {
        /// The launch.
        launch: LaunchId,
    },
    /// Somebody has stopped the machine: it costs its disk only, until it is started again or gone.
    InstanceStopped {
        /// The launch.
        launch: LaunchId,
        /// When it had been started, where the cloud says so.
        started_at: Option<Timestamp>,
        /// When it was stopped, where the cloud says so.
        stopped_at: Option<Timestamp>,
    },
    /// Somebody has started it again.
    InstanceStarted {
        /// The launch.
        launch: LaunchId,
        /// When, by the cloud's clock.
        started_at: Timestamp,
    },
    /// The cloud shows that the machine has ended. The launch is over once the prices are known that it is billed by; the
    /// cloud may not show the machine any more by then.
    InstanceEnded {
        /// The launch.
        launch: LaunchId,
        /// Who ended it.
        end: EndReason,
        /// When it was bought, by the cloud's clock.
        started_at: Timestamp,
        /// When it ended, by the cloud's clock.
        ended_at: Timestamp,
    },
    /// The machine is gone: the launch is over, and is billed until its end where that is known, else until now.
    InstanceGone {
        /// The launch.
        launch: LaunchId,
        /// Who ended it.
        end: EndReason,
        /// When it was bought by the cloud's own clock, where it says so: what is billed.
        started_at: Option<Timestamp>,
        /// When it ended by the cloud's own clock, where it says so.
        ended_at: Option<Timestamp>,
        /// It is billed by the prices that are known: its region did not say how they changed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lacks_prices: bool,
    },
    /// The spot price of a pool that machines of ours are in has changed.
    SpotPrice {
        /// Region of the pool.
        region: String,
        /// Zone of the pool.
        zone: Option<String>,
        /// Type of the pool.
        instance_type: String,
        /// Since when, by the cloud's clock.
        since: Timestamp,
        /// The new price.
        price: UsdPerHour,
    },
    /// A job of this spec came.
    JobCame {
        /// The job.
        job: JobId,
        /// The spec that serves it.
        spec: String,
        /// What it is, for reports and for counting its re-runs.
        facts: JobFacts,
    },
    /// A job lost its machine because the cloud took it back, as GitHub tells. Where it was known which job a machine had, the
    /// machine's end says the same.
    JobInterrupted {
        /// The job.
        job: JobId,
    },
    /// GitHub is asked to run interrupted jobs again.
    RerunAsked {
        /// The run.
        run_id: u64,
        /// The attempt that it makes.
        attempt: u32,
        /// Who started the attempt before, and so this one: GitHub names whose token asked for it.
        actor: String,
    },
    /// A job that had lost its machine needs no re-run any more: it has one, has used all it may, or is gone.
    JobSettled {
        /// The job.
        job: JobId,
    },
}

/// What stays the same of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFacts {
    /// `owner/name`.
    pub repository: String,
    /// Its run.
    pub run_id: u64,
    /// Its name, the same in every attempt of the run.
    pub name: String,
    /// `push`, `pull_request`, …
    pub event: String,
    /// Who started the run.
    pub actor: String,
    /// The workflow's name; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workflow: String,
    /// The branch; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub branch: String,
}

impl JobFacts {
    /// Of this job.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        Self {
            repository: job.repository.clone(),
            run_id: job.run_id,
            name: job.name.clone(),
            event: job.event.clone(),
            actor: job.actor.clone(),
            workflow: job.workflow.clone(),
            branch: job.branch.clone(),
        }
    }
}
