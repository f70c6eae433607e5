//! Progress events of a launch; the command line prints them.

use cml_cloud::{CloudError, InstanceId, InstanceState, Offer, OfferFailure};
use cml_github::RunnerDownload;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// An existing runner fits: nothing is launched.
    Reusing {
        /// Its name.
        runner: String,
    },
    /// A region is skipped; the others are asked.
    RegionSkipped {
        /// Its error.
        error: CloudError,
    },
    /// Offers were found.
    Offers {
        /// How many.
        count: usize,
    },
    /// GitHub was asked for its runner packages.
    Packages {
        /// Its answer.
        packages: Vec<RunnerDownload>,
    },
    /// The runner is registered at GitHub.
    Registered {
        /// Its name.
        runner: String,
    },
    /// The cloud is about to be called.
    Buying {
        /// The offers: one region, one market.
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
    /// A machine was launched.
    Bought {
        /// Its id.
        instance: InstanceId,
        /// Its offer.
        offer: Offer,
    },
    /// Another process has launched the same id: its machine is adopted.
    Adopted {
        /// Its id.
        instance: InstanceId,
    },
    /// Still waiting for the runner to come online.
    Waiting {
        /// Seconds since the machine was launched.
        seconds: u64,
        /// The instance's state.
        state: Option<InstanceState>,
    },
    /// The runner is online, or has taken its job already.
    Online {
        /// Its name.
        runner: String,
    },
    /// The undo has begun.
    Undoing,
}
