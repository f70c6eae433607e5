//! What a launch tells while it works; the command line turns it into words.

use cml_cloud::{CloudError, InstanceId, InstanceState, Offer, OfferFailure};
use cml_github::RunnerDownload;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A fitting runner is there already: nothing is launched.
    Reusing {
        /// Its name.
        runner: String,
    },
    /// A region is left out, and why: the others are asked.
    RegionSkipped {
        /// What it said.
        error: CloudError,
    },
    /// So many ways to buy were found.
    Offers {
        /// How many.
        count: usize,
    },
    /// GitHub was asked for its runner packages.
    Packages {
        /// Its answer.
        packages: Vec<RunnerDownload>,
    },
    /// GitHub knows the runner.
    Registered {
        /// Its name.
        runner: String,
    },
    /// A call for capacity goes out.
    Buying {
        /// What would do: one region, one market.
        offers: Vec<Offer>,
        /// Which try, from 1.
        attempt: u32,
    },
    /// The cloud refused some offers.
    Refused {
        /// Each with its reason.
        failures: Vec<OfferFailure>,
    },
    /// The call's outcome is unknown or the cloud asked to slow down: the same call is made again.
    Repeating {
        /// Why.
        cause: String,
    },
    /// A machine was bought.
    Bought {
        /// Its id.
        instance: InstanceId,
        /// Where and what it is.
        offer: Offer,
    },
    /// Another process launched the same id: its machine is taken.
    Adopted {
        /// Its id.
        instance: InstanceId,
    },
    /// Still waiting for the runner to come online.
    Waiting {
        /// Seconds since the machine was bought.
        seconds: u64,
        /// What the cloud says of it.
        state: Option<InstanceState>,
    },
    /// The runner is online, or has taken its job already.
    Online {
        /// Its name.
        runner: String,
    },
    /// What was made is being removed.
    Undoing,
}
