//! SDK clients, one per region, with a time limit for each call.

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

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
/// Time limit of one call: an instant fleet usually answers within seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for which a read is retried before it counts as failed.
const REPEAT_READS_FOR: Duration = Duration::from_secs(20);

/// Settings for AWS.
#[derive(Clone, Debug, Default)]
pub struct AwsSettings {
    /// Region for calls that name none; `None`: the AWS configuration's, then us-east-1. CML's aliases are accepted.
    pub default_region: Option<String>,
    /// Directory for answers that change rarely; `None`: no cache.
    pub cache_dir: Option<PathBuf>,
    /// List prices of machines and disks; spot prices are queried.
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
        // A wrong name is reported by the first call that uses it.
        let asked =
            asked.map(|name| regions::place(name).map_or_else(|_| name.to_owned(), |place| place.region));
        // Without the instance metadata: a machine that is not an EC2 instance would wait for it.
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

    /// Returns the endpoint of calls, when it is not AWS's own.
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

    /// Returns a client for the price list, which three regions serve for all.
    /// <https://docs.aws.amazon.com/general/latest/gr/billing.html>
    pub(crate) fn pricing(&self) -> signed::Client {
        let near = match self.default_region.split('-').next() {
            Some("eu" | "af" | "me" | "il") => "eu-central-1",
            Some("ap") => "ap-south-1",
            Some("cn") => "cn-northwest-1",
            _ => LAST_REGION,
        };
        self.signed(&signed::PRICING, near)
    }

    /// Returns a client for a service whose requests the program signs itself, in a region.
    pub(crate) fn signed(&self, service: &'static signed::Service, region: &str) -> signed::Client {
        signed::Client::new(service, &self.config, region)
    }

    /// Returns a client for the identity of the credentials, with the same endpoint as the rest.
    pub(crate) fn sts(&self, region: &str) -> aws_sdk_sts::Client {
        let config = aws_sdk_sts::config::Builder::from(&self.config);
        aws_sdk_sts::Client::from_conf(config.region(Region::new(region.to_owned())).build())
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }
}

/// Retries a call that changes nothing (or nothing twice) while AWS throttles or fails temporarily.
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
