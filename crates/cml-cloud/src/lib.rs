//! The `Cloud` trait, the words it speaks, and the local provider.
//!
//! A cloud is whatever gives a job a machine: EC2 (`cml-aws`) or this very machine ([`local`]).
//! Everything above this crate sees instances, offers and error kinds, never an SDK type.
//!
//! What may not happen here: decisions (which offer, when to give up) and anything said to GitHub.

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

/// Whether a launch is still wanted: a signal may have come while the provider was asked.
pub type MayBuy<'a> = &'a (dyn Fn() -> bool + Sync);

/// One place that sells (or lends) machines.
///
/// Every call is bounded in time by the implementation. No call retries on a kind that a repeat cannot cure.
pub trait Cloud: Send + Sync {
    /// The provider's name as in `--cloud`: `aws` or `local`.
    fn name(&self) -> &'static str;

    /// Ways to buy what is asked for, best first. A region that fails as a whole is left out and named.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a region, type, GPU or image is not known or the disk is too small for the image; when
    /// no region has an offer, the reasons of all of them.
    fn offers(&self, query: &OfferQuery) -> impl Future<Output = Result<ByRegion<Offer>, CloudError>> + Send;

    /// Buys one machine from any of `request.offers`, which all lie in one region and one market.
    ///
    /// A repeat with the same `launch` and `attempt` gives the same instance, never a second one. `may_buy` is asked before
    /// each call that could buy a machine: once it says no, nothing is bought any more.
    ///
    /// # Errors
    /// [`ErrorKind::Transient`] means that the outcome is unknown: the machine may exist. Every other kind means
    /// that nothing was bought.
    fn launch(
        &self,
        request: &LaunchRequest,
        may_buy: MayBuy<'_>,
    ) -> impl Future<Output = Result<Launched, CloudError>> + Send;

    /// How late the machine of a launch call may show in [`Cloud::instances`] of this region.
    fn shows_within(&self, region: &str) -> SignedDuration;

    /// Removes what [`Cloud::launch`] left beside the instance once its machine has read it (on EC2 the launch
    /// template with the user data in it). Harmless when repeated or when there is nothing.
    ///
    /// # Errors
    /// As the provider answers.
    fn clean_up(&self, request: &LaunchRequest) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Removes what launches that were killed have left beside their instances, if it was made before `older_than`,
    /// and names it. With `dry_run` it is only named. Only the filter's regions and owner count.
    ///
    /// # Errors
    /// As the provider answers.
    fn collect_garbage(
        &self,
        filter: &InstanceFilter,
        older_than: jiff::Timestamp,
        dry_run: bool,
    ) -> impl Future<Output = Result<ByRegion<String>, CloudError>> + Send;

    /// All instances of ours that match, the ended ones too while the provider still lists them.
    ///
    /// A new instance may be missing for some seconds, and a dead one may still show.
    ///
    /// A region that could not be asked is named in the answer: nothing is known of its machines.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a region is not known.
    fn instances(
        &self,
        filter: &InstanceFilter,
    ) -> impl Future<Output = Result<ByRegion<Instance>, CloudError>> + Send;

    /// How the spot prices of these types in a region have changed since a time, the prices in force at that time included.
    /// Empty where there is no spot market.
    ///
    /// # Errors
    /// As the provider answers.
    fn spot_prices(
        &self,
        region: &str,
        types: &[String],
        since: jiff::Timestamp,
    ) -> impl Future<Output = Result<Vec<SpotPrice>, CloudError>> + Send;

    /// Machines in a region that the cloud has said it will take back, and that still run.
    ///
    /// # Errors
    /// As the provider answers.
    fn interrupted_instances(
        &self,
        region: &str,
    ) -> impl Future<Output = Result<Vec<InstanceId>, CloudError>> + Send;

    /// Ends one instance. Ending one that is gone already is a success.
    ///
    /// # Errors
    /// As the provider answers; the instance may still run.
    fn terminate(&self, region: &str, id: &InstanceId)
    -> impl Future<Output = Result<(), CloudError>> + Send;

    /// What the machine wrote to its console so far; empty when it has written nothing yet.
    ///
    /// # Errors
    /// As the provider answers.
    fn console(
        &self,
        region: &str,
        id: &InstanceId,
    ) -> impl Future<Output = Result<String, CloudError>> + Send;
}
