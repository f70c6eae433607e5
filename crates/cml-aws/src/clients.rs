//! SDK clients, one per region, each call bounded in time.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use backoff::ExponentialBackoff;
use cml_cloud::{CloudError, ErrorKind};
use cml_ec2::{LAST_REGION, regions};
use cml_prices::Book;

use crate::signed;

/// Limit for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
/// Limit for one call: an instant fleet answers within seconds, but is given time.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a read is repeated before it counts as failed.
const REPEAT_READS_FOR: Duration = Duration::from_secs(20);

/// What the caller decides about AWS.
#[derive(Clone, Debug, Default)]
pub struct AwsSettings {
    /// Region for calls that name none; none: the AWS configuration's, then us-east-1. CML's aliases are understood.
    pub default_region: Option<String>,
    /// Where answers that change rarely are kept; none: nowhere.
    pub cache_dir: Option<PathBuf>,
    /// What machines and disks cost by the list; spot prices are asked for.
    pub prices: Book,
}

pub(crate) struct Clients {
    config: SdkConfig,
    pub(crate) default_region: String,
    ec2: Mutex<HashMap<String, aws_sdk_ec2::Client>>,
}

impl Clients {
    pub(crate) async fn connect(settings: &AwsSettings) -> Self {
        let asked = settings.default_region.as_deref();
        // A wrong name is told by the first call that uses it.
        let asked =
            asked.map(|name| regions::place(name).map_or_else(|_| name.to_owned(), |place| place.region));
        // Without the instance metadata: a machine that is no EC2 instance would wait for it.
        let region = RegionProviderChain::first_try(asked.map(Region::new))
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(Region::new(LAST_REGION));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(CALL_TIMEOUT)
            .operation_attempt_timeout(CALL_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .load()
            .await;
        Self::with(config)
    }

    pub(crate) fn with(config: SdkConfig) -> Self {
        let default_region = config.region().map_or(LAST_REGION, |region| region.as_ref()).to_owned();
        Self { config, default_region, ec2: Mutex::default() }
    }

    /// Where calls go, when not to AWS itself.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.config.endpoint_url()
    }

    pub(crate) fn ec2(&self, region: &str) -> aws_sdk_ec2::Client {
        let mut clients = self.ec2.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let config = aws_sdk_ec2::config::Builder::from(&self.config)
                .region(Region::new(region.to_owned()))
                .build();
            aws_sdk_ec2::Client::from_conf(config)
        };
        clients.entry(region.to_owned()).or_insert_with(make).clone()
    }

    /// The price list, which three regions serve for all. <https://docs.aws.amazon.com/general/latest/gr/billing.html>
    pub(crate) fn pricing(&self) -> signed::Client {
        let near = match self.default_region.split('-').next() {
            Some("eu" | "af" | "me" | "il") => "eu-central-1",
            Some("ap") => "ap-south-1",
            Some("cn") => "cn-northwest-1",
            _ => LAST_REGION,
        };
        self.signed(&signed::PRICING, near)
    }

    /// A service that the program signs its own requests to, as a region has it.
    pub(crate) fn signed(&self, service: &'static signed::Service, region: &str) -> signed::Client {
        signed::Client::new(service, &self.config, region)
    }

    /// Whose the credentials are, asked where the rest is asked.
    pub(crate) fn sts(&self, region: &str) -> aws_sdk_sts::Client {
        let config = aws_sdk_sts::config::Builder::from(&self.config);
        aws_sdk_sts::Client::from_conf(config.region(Region::new(region.to_owned())).build())
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }
}

/// Repeats a call that changes nothing (or nothing twice) while AWS throttles or stumbles.
pub(crate) async fn repeat<T, F: Future<Output = Result<T, CloudError>>>(
    call: impl Fn() -> F,
) -> Result<T, CloudError> {
    let policy = ExponentialBackoff {
        initial_interval: Duration::from_millis(300),
        max_interval: Duration::from_secs(4),
        max_elapsed_time: Some(REPEAT_READS_FOR),
        ..ExponentialBackoff::default()
    };
    let once = || async {
        call().await.map_err(|error| match error.kind {
            ErrorKind::Throttled | ErrorKind::Transient => backoff::Error::transient(error),
            _ => backoff::Error::permanent(error),
        })
    };
    backoff::future::retry_notify(policy, once, |error: CloudError, wait: Duration| {
        tracing::debug!(%error, milliseconds = wait.as_millis(), "trying again");
    })
    .await
}
