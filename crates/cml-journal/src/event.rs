//! What is worth remembering. Kinds and fields are only ever added: old journals stay readable.

use cml_cloud::{Deadline, InstanceId, LaunchId, Offer, UsdPerHour};
use cml_fleet::{JobId, Refusal};
use serde::{Deserialize, Serialize};

use crate::bill::End;

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
        /// Labels of its runner.
        labels: Vec<String>,
        /// The job that it is for; none for one that is kept ready.
        job: Option<JobId>,
        /// When its machine must be gone.
        deadline: Deadline,
        /// The dearest of what is asked for.
        price: UsdPerHour,
        /// Virtual processors of the largest of what is asked for.
        vcpus: u32,
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
    /// The machine is gone: the launch is over, and is billed until now.
    InstanceGone {
        /// The launch.
        launch: LaunchId,
        /// Who ended it.
        end: End,
    },
    /// A job of this spec came.
    JobCame {
        /// The job.
        job: JobId,
        /// The spec that serves it.
        spec: String,
    },
}
