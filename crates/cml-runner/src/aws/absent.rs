//! Replacement for EC2 and S3 in a build without them: every call returns an error.

use std::path::PathBuf;

use cml_cloud::{
    ByRegion, Cloud, CloudError, ErrorKind, Instance, InstanceFilter, InstanceId, LaunchRequest, Launched,
    MayBuy, Offer, OfferQuery, SpotPrice,
};
use cml_ec2::answers::cost_explorer::{Billed, BilledBy};
use cml_prices::{Book, OnDemandPrice, VolumePrice};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

/// Returns the error of a call.
pub(crate) fn absent(doing: &str) -> CloudError {
    CloudError::new(
        ErrorKind::Invalid,
        doing,
        "this build of cml-runner has no AWS (the feature `aws` is off)",
    )
    .hint("use a released cml-runner, or build it without --no-default-features")
}

pub(crate) const SHOWS_WITHIN: SignedDuration = SignedDuration::ZERO;

#[derive(Default)]
pub(crate) struct AwsSettings {
    pub(crate) default_region: Option<String>,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) prices: Book,
}

pub(crate) struct AwsCloud {
    default_region: String,
}

impl AwsCloud {
    pub(crate) async fn connect(settings: AwsSettings) -> Self {
        drop((settings.cache_dir, settings.prices));
        let default_region = settings.default_region.unwrap_or_else(|| cml_ec2::LAST_REGION.to_owned());
        Self { default_region }
    }

    pub(crate) fn default_region(&self) -> &str {
        &self.default_region
    }

    pub(crate) fn learn_prices(&self, _: Book) {}

    pub(crate) async fn on_demand_prices(
        &self,
        _: &str,
        _: &[String],
    ) -> Result<Vec<OnDemandPrice>, CloudError> {
        Err(absent("asking for list prices"))
    }

    pub(crate) async fn volume_price(&self, _: &str) -> Result<Option<VolumePrice>, CloudError> {
        Err(absent("asking for list prices"))
    }

    pub(crate) async fn billed(
        &self,
        _: BilledBy,
        _: (Date, Date),
        _: Timestamp,
    ) -> Result<Vec<Billed>, CloudError> {
        Err(absent("asking Cost Explorer"))
    }
}

impl Cloud for AwsCloud {
    fn name(&self) -> &'static str {
        "aws"
    }

    async fn offers(&self, _: &OfferQuery) -> Result<ByRegion<Offer>, CloudError> {
        Err(absent("looking for machines on EC2"))
    }

    async fn launch(&self, _: &LaunchRequest, _: MayBuy<'_>) -> Result<Launched, CloudError> {
        Err(absent("launching on EC2"))
    }

    fn shows_within(&self, _: &str) -> SignedDuration {
        SHOWS_WITHIN
    }

    async fn clean_up(&self, _: &LaunchRequest) -> Result<(), CloudError> {
        Err(absent("removing a launch template on EC2"))
    }

    async fn collect_garbage(
        &self,
        _: &InstanceFilter,
        _: Timestamp,
        _: bool,
    ) -> Result<ByRegion<String>, CloudError> {
        Err(absent("looking for launch templates on EC2"))
    }

    async fn spot_prices(&self, _: &str, _: &[String], _: Timestamp) -> Result<Vec<SpotPrice>, CloudError> {
        Err(absent("asking for spot prices"))
    }

    async fn instances(&self, _: &InstanceFilter) -> Result<ByRegion<Instance>, CloudError> {
        Err(absent("listing machines on EC2"))
    }

    async fn interrupted_instances(&self, _: &str) -> Result<Vec<InstanceId>, CloudError> {
        Err(absent("asking for interruptions on EC2"))
    }

    async fn terminate(&self, _: &str, _: &InstanceId) -> Result<(), CloudError> {
        Err(absent("ending a machine on EC2"))
    }

    async fn console(&self, _: &str, _: &InstanceId) -> Result<String, CloudError> {
        Err(absent("reading a console on EC2"))
    }
}

#[derive(Debug)]
pub(crate) struct Bucket;

impl Bucket {
    pub(crate) async fn connect(_: &str, _: &str, _: Option<&str>, _: bool) -> Self {
        Self
    }

    pub(crate) async fn put(&self, _: &str, _: &str, _: &[u8]) -> Result<String, CloudError> {
        Err(absent("uploading to S3"))
    }
}
