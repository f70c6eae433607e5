//! The `Cloud` trait on EC2.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use cml_cloud::{
    ByRegion, Cloud, CloudError, Instance, InstanceFilter, InstanceId, LaunchRequest, Launched, MayBuy,
    Offer, OfferQuery,
};
use cml_prices::Book;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::cache::Cache;
use crate::clients::{AwsSettings, Clients};
use crate::errors::in_region;
use crate::interruptions::DeniedRegions;
use crate::template;

/// EC2 with the account of the SDK's credential chain.
pub struct AwsCloud {
    pub(crate) clients: Clients,
    pub(crate) cache: Cache,
    pub(crate) asked_again: RetriedAttempts,
    pub(crate) notices_denied: DeniedRegions,
    prices: Mutex<Arc<Book>>,
}

/// Attempts whose first version used an image, subnet or group that no longer existed: their repeats are repeats of the
/// second.
#[derive(Default)]
pub(crate) struct RetriedAttempts(Mutex<HashSet<String>>);

impl RetriedAttempts {
    pub(crate) fn contains(&self, request: &LaunchRequest) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&request.client_token())
    }

    pub(crate) fn add(&self, request: &LaunchRequest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(request.client_token());
    }
}

impl AwsCloud {
    /// Reads the SDK's configuration; AWS is not called yet.
    pub async fn connect(settings: AwsSettings) -> Self {
        let clients = Clients::connect(&settings).await;
        let cache = Cache::new(settings.cache_dir, clients.endpoint());
        let cloud = Self::of(clients, cache);
        cloud.learn_prices(settings.prices);
        cloud
    }

    /// Returns the region of calls that name none.
    #[must_use]
    pub fn default_region(&self) -> &str {
        &self.clients.default_region
    }

    /// Sets the list prices of offers from now on.
    pub fn learn_prices(&self, book: Book) {
        *self.prices.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);
    }

    pub(crate) fn prices(&self) -> Arc<Book> {
        self.prices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn of(clients: Clients, cache: Cache) -> Self {
        Self {
            clients,
            cache,
            asked_again: RetriedAttempts::default(),
            notices_denied: DeniedRegions::default(),
            prices: Mutex::default(),
        }
    }
}

/// Maximum delay of EC2's describe calls: they lag by seconds, seldom by minutes, and a call may be in progress.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
pub const SHOWS_WITHIN: SignedDuration = SignedDuration::from_mins(5);

impl Cloud for AwsCloud {
    fn name(&self) -> &'static str {
        "aws"
    }

    async fn offers(&self, query: &OfferQuery) -> Result<ByRegion<Offer>, CloudError> {
        self.find_offers(query).await
    }

    async fn launch(&self, request: &LaunchRequest, may_buy: MayBuy<'_>) -> Result<Launched, CloudError> {
        self.buy(request, may_buy).await
    }

    fn shows_within(&self, _region: &str) -> SignedDuration {
        SHOWS_WITHIN
    }

    async fn clean_up(&self, request: &LaunchRequest) -> Result<(), CloudError> {
        let Some(offer) = request.offers.first() else { return Ok(()) };
        let version = if self.asked_again.contains(request) { crate::fleet::AGAIN } else { "" };
        self.remove_template(&offer.region, &template::name(request, version)).await
    }

    async fn collect_garbage(
        &self,
        filter: &InstanceFilter,
        older_than: Timestamp,
        dry_run: bool,
    ) -> Result<ByRegion<String>, CloudError> {
        let mut swept = ByRegion::default();
        let regions = self.regions_of(filter)?;
        let owner = filter.owner.as_deref();
        let asked = regions.iter().map(|region| self.sweep_region(region, owner, older_than, dry_run));
        for (region, answer) in regions.iter().zip(join_all(asked).await) {
            swept.add(region, answer.map_err(|error| in_region(region, error)));
        }
        Ok(swept)
    }

    async fn instances(&self, filter: &InstanceFilter) -> Result<ByRegion<Instance>, CloudError> {
        self.list(filter).await
    }

    async fn spot_prices(
        &self,
        region: &str,
        types: &[String],
        since: Timestamp,
    ) -> Result<Vec<cml_cloud::SpotPrice>, CloudError> {
        self.spot_price_changes(region, types, since).await
    }

    async fn interrupted_instances(&self, region: &str) -> Result<Vec<InstanceId>, CloudError> {
        self.marked(region).await
    }

    async fn terminate(&self, region: &str, id: &InstanceId) -> Result<(), CloudError> {
        self.end(region, id).await
    }

    async fn console(&self, region: &str, id: &InstanceId) -> Result<String, CloudError> {
        self.read_console(region, id).await
    }
}
