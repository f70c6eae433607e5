//! The `Cloud` trait, its types, and the local provider.
//!
//! A cloud provides machines for jobs: EC2 (`cml-aws`) or this very machine ([`local`]). Everything above this crate
//! uses instances, offers and error kinds, never an SDK type.
//!
//! Not allowed here: decisions (which offer, when to give up) and calls to GitHub.

pub mod by_region;
pub mod error;
pub mod ids;
pub mod local;
pub mod money;
pub mod private;
pub mod types;

use std::future::Future;

use jiff::SignedDuration;

pub use by_region::{ByRegion, RegionFailure};
pub use error::{CloudError, ErrorKind, OfferFailure};
pub use ids::{Deadline, InstanceId, LaunchId};
pub use money::{Disk, Usd, UsdPerGibMonth, UsdPerHour};
pub use types::{
    Arch, Driver, Gpu, Image, Instance, InstanceFilter, InstanceRequirements, InstanceState, LaunchRequest,
    Launched, Market, Network, Offer, OfferQuery, Range, Resources, SpotPolicy, SpotPrice, UserData, tag,
};

/// Returns whether a launch is still wanted: a signal may have arrived while the provider was called.
pub type MayBuy<'a> = &'a (dyn Fn() -> bool + Sync);

/// A provider that sells (or lends) machines.
///
/// Every call is bounded in time by the implementation. No call retries on a kind that a repeat cannot fix.
pub trait Cloud: Send + Sync {
    /// Returns the provider's name as in `--cloud`: `aws` or `local`.
    fn name(&self) -> &'static str;

    /// Returns the offers that match a query, best first. A region that fails as a whole is left out and named.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a region, type, GPU or image is unknown or the disk is too small for the image; when
    /// no region has an offer, the reasons of all of them.
    fn offers(&self, query: &OfferQuery) -> impl Future<Output = Result<ByRegion<Offer>, CloudError>> + Send;

    /// Buys one machine from any of `request.offers`, which are all in one region and one market.
    ///
    /// A repeat with the same `launch` and `attempt` returns the same instance, never a second one. `may_buy` is called
    /// before each call that could buy a machine: once it returns false, nothing is bought any more.
    ///
    /// # Errors
    /// [`ErrorKind::Transient`] means that the outcome is unknown: the machine may exist. Every other kind means
    /// that nothing was bought.
    fn launch(
        &self,
        request: &LaunchRequest,
        may_buy: MayBuy<'_>,
    ) -> impl Future<Output = Result<Launched, CloudError>> + Send;

    /// Returns the maximum delay after which the machine of a launch call appears in [`Cloud::instances`] of this
    /// region.
    fn shows_within(&self, region: &str) -> SignedDuration;

    /// Removes what [`Cloud::launch`] created in addition to the instance once its machine has read it (on EC2 the
    /// launch template with the user data in it). Harmless when repeated or when there is nothing.
    ///
    /// # Errors
    /// As the provider answers.
    fn clean_up(&self, request: &LaunchRequest) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Removes what killed launches have left besides their instances, if it was created before `older_than`, and
    /// returns its names. With `dry_run` nothing is removed. Only the filter's regions and owner count.
    ///
    /// # Errors
    /// As the provider answers.
    fn collect_garbage(
        &self,
        filter: &InstanceFilter,
        older_than: jiff::Timestamp,
        dry_run: bool,
    ) -> impl Future<Output = Result<ByRegion<String>, CloudError>> + Send;

    /// Returns all matching instances of this program, the ended ones too while the provider still lists them.
    ///
    /// A new instance may be missing for some seconds, and an ended one may still be listed.
    ///
    /// A region that did not answer is named in the result: nothing is known of its machines.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a region is unknown.
    fn instances(
        &self,
        filter: &InstanceFilter,
    ) -> impl Future<Output = Result<ByRegion<Instance>, CloudError>> + Send;

    /// Returns the changes of the spot prices of these types in a region since a time, the prices in force at that time
    /// included. Empty where there is no spot market.
    ///
    /// # Errors
    /// As the provider answers.
    fn spot_prices(
        &self,
        region: &str,
        types: &[String],
        since: jiff::Timestamp,
    ) -> impl Future<Output = Result<Vec<SpotPrice>, CloudError>> + Send;

    /// Returns the machines of a region whose interruption the cloud has announced, and that still run.
    ///
    /// # Errors
    /// As the provider answers.
    fn interrupted_instances(
        &self,
        region: &str,
    ) -> impl Future<Output = Result<Vec<InstanceId>, CloudError>> + Send;

    /// Terminates one instance. Terminating one that no longer exists is a success.
    ///
    /// # Errors
    /// As the provider answers; the instance may still run.
    fn terminate(&self, region: &str, id: &InstanceId)
    -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Returns the machine's console output so far; empty when it has written nothing yet.
    ///
    /// # Errors
    /// As the provider answers.
    fn console(
        &self,
        region: &str,
        id: &InstanceId,
    ) -> impl Future<Output = Result<String, CloudError>> + Send;
}
