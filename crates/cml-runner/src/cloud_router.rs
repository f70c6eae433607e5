//! All clouds of a configuration as one: each call is routed by its region.

use std::path::PathBuf;

use cml_cloud::local::{LOCAL, LocalCloud};
use cml_cloud::{
    ByRegion, Cloud, CloudError, Instance, InstanceFilter, InstanceId, LaunchRequest, Launched, MayBuy,
    Offer, OfferQuery, SpotPrice,
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;

use crate::aws::{self, AwsCloud, AwsSettings};
use crate::context;
use crate::exit::CliError;

/// EC2 and this machine, distinguished by region: this machine's is `local`.
pub(crate) struct CloudRouter {
    /// Opened on demand: its client takes megabytes, and a configuration may need none.
    aws: OnceCell<AwsCloud>,
    default_region: String,
    local: LocalCloud,
    /// File of fetched prices, if any are trusted.
    prices: Option<PathBuf>,
}

impl CloudRouter {
    /// Opens the router. Neither cloud is called before it is needed.
    pub(crate) fn open(default_region: &str, state_dir: Option<PathBuf>) -> Result<Self, CliError> {
        let prices = context::prices_file(state_dir.as_deref());
        let state_dir = state_dir.unwrap_or_else(context::default_state_dir);
        context::check_state_dir(&state_dir)?;
        let local = context::local(state_dir)?;
        Ok(Self { aws: OnceCell::new(), default_region: default_region.to_owned(), local, prices })
    }

    pub(crate) async fn aws(&self) -> &AwsCloud {
        let connect = || {
            AwsCloud::connect(AwsSettings {
                default_region: Some(self.default_region.clone()),
                cache_dir: context::cache_dir(),
                prices: context::list_prices(self.prices.as_deref()),
            })
        };
        self.aws.get_or_init(connect).await
    }

    /// Loads the list prices that are known by now into the offers.
    pub(crate) async fn learn_prices(&self) {
        let file = self.prices.clone();
        // The disk access runs on another thread.
        if let Ok(book) = tokio::task::spawn_blocking(move || context::list_prices(file.as_deref())).await {
            self.aws().await.learn_prices(book);
        }
    }

    /// Returns the part of a filter that is for this machine, and the part that is for EC2.
    fn split(filter: &InstanceFilter) -> [Option<InstanceFilter>; 2] {
        let (local, aws): (Vec<String>, Vec<String>) =
            filter.regions.iter().cloned().partition(|region| region == LOCAL);
        [local, aws]
            .map(|regions| (!regions.is_empty()).then(|| InstanceFilter { regions, ..filter.clone() }))
    }
}

fn is_local(offers: &[Offer]) -> bool {
    offers.iter().all(|offer| offer.region == LOCAL)
}

impl Cloud for CloudRouter {
    fn name(&self) -> &'static str {
        "aws and local"
    }

    async fn offers(&self, query: &OfferQuery) -> Result<ByRegion<Offer>, CloudError> {
        if query.regions.iter().all(|region| region == LOCAL) {
            self.local.offers(query).await
        } else {
            self.aws().await.offers(query).await
        }
    }

    async fn launch(&self, request: &LaunchRequest, may_buy: MayBuy<'_>) -> Result<Launched, CloudError> {
        if is_local(&request.offers) {
            self.local.launch(request, may_buy).await
        } else {
            self.aws().await.launch(request, may_buy).await
        }
    }

    fn shows_within(&self, region: &str) -> SignedDuration {
        if region == LOCAL { self.local.shows_within(region) } else { aws::SHOWS_WITHIN }
    }

    async fn clean_up(&self, request: &LaunchRequest) -> Result<(), CloudError> {
        if is_local(&request.offers) {
            self.local.clean_up(request).await
        } else {
            self.aws().await.clean_up(request).await
        }
    }

    async fn collect_garbage(
        &self,
        filter: &InstanceFilter,
        older_than: Timestamp,
        dry_run: bool,
    ) -> Result<ByRegion<String>, CloudError> {
        let mut all = ByRegion::default();
        let [local, aws] = Self::split(filter);
        if let Some(filter) = local {
            all.extend(self.local.collect_garbage(&filter, older_than, dry_run).await?);
        }
        if let Some(filter) = aws {
            all.extend(self.aws().await.collect_garbage(&filter, older_than, dry_run).await?);
        }
        Ok(all)
    }

    async fn instances(&self, filter: &InstanceFilter) -> Result<ByRegion<Instance>, CloudError> {
        let mut all = ByRegion::default();
        let [local, aws] = Self::split(filter);
        if let Some(filter) = local {
            let answer = self.local.instances(&filter).await;
            match answer {
                Ok(answer) => all.extend(answer),
                Err(error) => all.add(LOCAL, Err(error)),
            }
        }
        if let Some(filter) = aws {
            all.extend(self.aws().await.instances(&filter).await?);
        }
        Ok(all)
    }

    async fn spot_prices(
        &self,
        region: &str,
        types: &[String],
        since: Timestamp,
    ) -> Result<Vec<SpotPrice>, CloudError> {
        if region == LOCAL {
            self.local.spot_prices(region, types, since).await
        } else {
            self.aws().await.spot_prices(region, types, since).await
        }
    }

    async fn interrupted_instances(&self, region: &str) -> Result<Vec<InstanceId>, CloudError> {
        if region == LOCAL { Ok(Vec::new()) } else { self.aws().await.interrupted_instances(region).await }
    }

    async fn terminate(&self, region: &str, id: &InstanceId) -> Result<(), CloudError> {
        if region == LOCAL {
            self.local.terminate(region, id).await
        } else {
            self.aws().await.terminate(region, id).await
        }
    }

    async fn console(&self, region: &str, id: &InstanceId) -> Result<String, CloudError> {
        if region == LOCAL {
            self.local.console(region, id).await
        } else {
            self.aws().await.console(region, id).await
        }
    }
}
