//! All clouds that a configuration names, as one: each call goes where its region is.

use cml_cloud::local::LOCAL;
use cml_cloud::{
    Cloud, CloudError, Instance, InstanceFilter, InstanceId, LaunchRequest, Launched, Offer, OfferQuery,
    SpotPrice,
};
use jiff::Timestamp;

use crate::args::CloudName;
use crate::exit::Trouble;
use crate::place::AnyCloud;

/// EC2 and this machine, told apart by their regions: this machine's is `local`.
pub(crate) struct Clouds {
    aws: AnyCloud,
    local: AnyCloud,
}

impl Clouds {
    /// Connects to both; nothing is asked of either before it is needed.
    pub(crate) async fn open(
        aws_regions: &[String],
        state_dir: Option<std::path::PathBuf>,
    ) -> Result<Self, Trouble> {
        Ok(Self {
            aws: AnyCloud::open(CloudName::Aws, aws_regions, None).await?,
            local: AnyCloud::open(CloudName::Local, &[], state_dir).await?,
        })
    }

    fn of(&self, region: &str) -> &AnyCloud {
        if region == LOCAL { &self.local } else { &self.aws }
    }

    fn of_all(&self, regions: &[String]) -> &AnyCloud {
        regions.first().map_or(&self.aws, |region| self.of(region))
    }

    /// The clouds that a filter asks for, each with its own regions.
    fn split(&self, filter: &InstanceFilter) -> Vec<(&AnyCloud, InstanceFilter)> {
        let (local, aws): (Vec<String>, Vec<String>) =
            filter.regions.iter().cloned().partition(|region| region == LOCAL);
        let of = |regions: Vec<String>| InstanceFilter { regions, ..filter.clone() };
        let mut all = Vec::new();
        if !local.is_empty() {
            all.push((&self.local, of(local)));
        }
        if !aws.is_empty() {
            all.push((&self.aws, of(aws)));
        }
        all
    }
}

impl Cloud for Clouds {
    fn name(&self) -> &'static str {
        "aws and local"
    }

    async fn offers(&self, query: &OfferQuery) -> Result<Vec<Offer>, CloudError> {
        self.of_all(&query.regions).offers(query).await
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Launched, CloudError> {
        self.of(request.offers.first().map_or(LOCAL, |offer| &offer.region)).launch(request).await
    }

    async fn tidy(&self, request: &LaunchRequest) -> Result<(), CloudError> {
        self.of(request.offers.first().map_or(LOCAL, |offer| &offer.region)).tidy(request).await
    }

    async fn sweep(
        &self,
        filter: &InstanceFilter,
        older_than: Timestamp,
        dry_run: bool,
    ) -> Result<Vec<String>, CloudError> {
        let mut all = Vec::new();
        for (cloud, filter) in self.split(filter) {
            all.extend(cloud.sweep(&filter, older_than, dry_run).await?);
        }
        Ok(all)
    }

    /// Never a part: when one cloud cannot say, the answer is an error.
    async fn instances(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, CloudError> {
        let mut all = Vec::new();
        for (cloud, filter) in self.split(filter) {
            all.extend(cloud.instances(&filter).await?);
        }
        Ok(all)
    }

    async fn spot_prices(
        &self,
        region: &str,
        types: &[String],
        since: Timestamp,
    ) -> Result<Vec<SpotPrice>, CloudError> {
        self.of(region).spot_prices(region, types, since).await
    }

    async fn terminate(&self, region: &str, id: &InstanceId) -> Result<(), CloudError> {
        self.of(region).terminate(region, id).await
    }

    async fn console(&self, region: &str, id: &InstanceId) -> Result<String, CloudError> {
        self.of(region).console(region, id).await
    }
}
