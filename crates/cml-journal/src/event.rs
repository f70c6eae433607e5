//! Events of the journal. Kinds and fields are only ever added: old journals stay readable.

use cml_cloud::{Deadline, Disk, InstanceId, LaunchId, Offer, UsdPerHour};
use cml_planner::{Job, JobId, Refusal};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::billing::EndReason;

/// One fact or decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A launch was decided; the cloud is called only after this event is durable.
    LaunchIntended {
        /// The launch.
        launch: LaunchId,
        /// Name of its pool.
        spec: String,
        /// Labels that its runner is registered with.
        labels: Vec<String>,
        /// The region of the request; unknown for launches recorded before regions were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        /// The job that it is for; `None` for a machine of the warm pool.
        job: Option<JobId>,
        /// The time after which its machine must not exist.
        deadline: Deadline,
        /// The highest price among the requested offers.
        price: UsdPerHour,
        /// Its root disk; unknown for launches recorded before disks were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disk: Option<Disk>,
        /// Virtual processors of the largest requested offer.
        vcpus: u32,
        /// The process that executes it; unknown for launches recorded before writers were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        writer: Option<String>,
    },
    /// The cloud is being called: from here on a machine may exist.
    LaunchCalled {
        /// The launch.
        launch: LaunchId,
    },
    /// The name that machines of this journal are tagged with: the process that writes the journal is this controller.
    ControllerNamed {
        /// The name.
        name: String,
    },
    /// The cloud sold a machine.
    LaunchBought {
        /// The launch.
        launch: LaunchId,
        /// The machine.
        instance: InstanceId,
        /// The offer that was bought.
        offer: Offer,
    },
    /// A machine of this controller was found that no record explains: the journal was lost, or its launch was given up
    /// too early.
    InstanceFound {
        /// The launch named by its tags.
        launch: LaunchId,
        /// The pool named by its tags.
        spec: String,
        /// Labels of its runner: those that the pool has now.
        labels: Vec<String>,
        /// The time after which it must not exist.
        deadline: Deadline,
        /// The machine.
        instance: InstanceId,
        /// The offer that it corresponds to.
        offer: Offer,
        /// Time at which the cloud started it.
        started_at: Timestamp,
    },
    /// The cloud sold nothing: the launch is over.
    LaunchFailed {
        /// The launch.
        launch: LaunchId,
        /// The reason, as text.
        why: String,
    },
    /// The cloud refused an offer.
    Refused {
        /// The offer and the kind of refusal.
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
    /// The cloud announced an interruption of the machine.
    NoticeSeen {
        /// The launch.
        launch: LaunchId,
    },
    /// The machine was stopped from outside: only its disk is billed until it is started again or terminated.
    InstanceStopped {
        /// The launch.
        launch: LaunchId,
        /// Time at which it had been started, where the cloud reports it.
        started_at: Option<Timestamp>,
        /// Time at which it was stopped, where the cloud reports it.
        stopped_at: Option<Timestamp>,
    },
    /// The machine was started again from outside.
    InstanceStarted {
        /// The launch.
        launch: LaunchId,
        /// Time of the start, by the cloud's clock.
        started_at: Timestamp,
    },
    /// The cloud shows that the machine has ended. The launch is over once the prices that it is billed by are known;
    /// the cloud may not show the machine any more by then.
    InstanceEnded {
        /// The launch.
        launch: LaunchId,
        /// Which side ended it.
        end: EndReason,
        /// Time of the purchase, by the cloud's clock.
        started_at: Timestamp,
        /// Time of the end, by the cloud's clock.
        ended_at: Timestamp,
    },
    /// The machine no longer exists: the launch is over, and is billed until its end where that is known, else until
    /// now.
    InstanceGone {
        /// The launch.
        launch: LaunchId,
        /// Which side ended it.
        end: EndReason,
        /// Time of the purchase by the cloud's own clock, where it is reported: the start of the bill.
        started_at: Option<Timestamp>,
        /// Time of the end by the cloud's own clock, where it is reported.
        ended_at: Option<Timestamp>,
        /// It is billed by the known prices: its region did not report how they changed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lacks_prices: bool,
    },
    /// The spot price of a capacity pool that holds machines of this controller has changed.
    SpotPrice {
        /// Region of the capacity pool.
        region: String,
        /// Zone of the capacity pool.
        zone: Option<String>,
        /// Instance type of the capacity pool.
        instance_type: String,
        /// Time from which the price holds, by the cloud's clock.
        since: Timestamp,
        /// The new price.
        price: UsdPerHour,
    },
    /// A job of this pool arrived.
    JobCame {
        /// The job.
        job: JobId,
        /// Name of the pool that serves it.
        spec: String,
        /// Its unchanging properties, for reports and for counting its re-runs.
        facts: JobFacts,
    },
    /// A job lost its machine to an interruption, as reported by GitHub. Where the job of a machine was known, the
    /// event for the machine's end already implies it.
    JobInterrupted {
        /// The job.
        job: JobId,
    },
    /// GitHub is asked to re-run interrupted jobs.
    RerunAsked {
        /// The run.
        run_id: u64,
        /// The attempt that this makes.
        attempt: u32,
        /// The actor of the attempt before, and so of this one: GitHub names the owner of the token that asked for it.
        actor: String,
    },
    /// A job that had lost its machine needs no re-run any more: it has one, has used all that it may, or no longer
    /// exists.
    JobSettled {
        /// The job.
        job: JobId,
    },
}

/// Properties of a job that do not change.
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
    /// The actor that started the run.
    pub actor: String,
    /// The workflow's name; empty where it is unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workflow: String,
    /// The branch; empty where it is unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub branch: String,
}

impl JobFacts {
    /// Returns the facts of this job.
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
