//! Services of which the program calls one or two operations. Their requests are built here instead of by an SDK crate
//! for each, which would cost minutes of compile time. The SDK's own machinery resolves credentials, signs, connects
//! and enforces time limits.

mod address;
mod answer;
mod endpoint;

use std::fmt::Write;

use aws_config::retry::RetryConfig;
use aws_config::{Region, SdkConfig};
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::SdkError;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use cml_cloud::CloudError;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::clients::repeat;
use crate::errors::failed;

pub(crate) use address::presigned;
pub(crate) use answer::Refused;
use endpoint::Variant;
pub(crate) use endpoint::of_bucket;

const AGENT: &str = concat!("cml-runner/", env!("CARGO_PKG_VERSION"));
/// Characters that need no escaping in a query. <https://www.rfc-editor.org/rfc/rfc3986#section-2.3>
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A service, as AWS's service models describe it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// `Cost Explorer`: names the endpoint in `AWS_ENDPOINT_URL_COST_EXPLORER` and in profiles.
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
    pub(crate) id: &'static str,
    /// `api.pricing`.
    host: &'static str,
    /// `pricing`: the service name in signatures, and the prefix of its permissions.
    signs_as: &'static str,
    /// Prefix of `X-Amz-Target`; empty for a service without a JSON protocol.
    target: &'static str,
    home: endpoint::Home,
}

/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>
pub(crate) const SSM: Service =
    Service { id: "SSM", host: "ssm", signs_as: "ssm", target: "AmazonSSM", home: endpoint::Home::Region };
/// <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html>
pub(crate) const SERVICE_QUOTAS: Service = Service {
    id: "Service Quotas",
    host: "servicequotas",
    signs_as: "servicequotas",
    target: "ServiceQuotasV20190624",
    home: endpoint::Home::Region,
};
/// <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html>
pub(crate) const PRICING: Service = Service {
    id: "Pricing",
    host: "api.pricing",
    signs_as: "pricing",
    target: "AWSPriceListService",
    home: endpoint::Home::Region,
};
/// <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html>
pub(crate) const COST_EXPLORER: Service = Service {
    id: "Cost Explorer",
    host: "ce",
    signs_as: "ce",
    target: "AWSInsightsIndexService",
    home: endpoint::Home::CostExplorer,
};
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>
pub(crate) const IAM: Service =
    Service { id: "IAM", host: "iam", signs_as: "iam", target: "", home: endpoint::Home::Iam };
/// Version of IAM's API.
const IAM_VERSION: &str = "2010-05-08";
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
pub(crate) const S3: Service =
    Service { id: "S3", host: "s3", signs_as: "s3", target: "", home: endpoint::Home::Region };

/// One request, without its signature.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    /// Path below the endpoint, percent-encoded, with its leading slash.
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// A service in a region, with the account's credentials.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    service: &'static Service,
    operation: Operation<Request, Vec<u8>, Refused>,
}

impl Client {
    /// Creates a client for the endpoint that is responsible for this region.
    pub(crate) fn new(service: &'static Service, config: &SdkConfig, region: &str) -> Self {
        let (default, signing_region) = endpoint::of(service, region, Variant::of(config));
        let endpoint = endpoint::configured(service, config).unwrap_or(default);
        Self::at(service, config, &endpoint, &signing_region)
    }

    /// Creates a client for this endpoint.
    pub(crate) fn at(service: &'static Service, config: &SdkConfig, endpoint: &str, region: &str) -> Self {
        let mut operation = Operation::builder()
            .service_name(service.id)
            .operation_name("request")
            .standard_retry(&config.retry_config().cloned().unwrap_or_else(RetryConfig::disabled))
            .retry_classifier(TransientErrorClassifier::<Refused>::new())
            .retry_classifier(AwsErrorCodeClassifier::<Refused>::new())
            .retry_classifier(HttpStatusCodeClassifier::default())
            .endpoint_url(endpoint)
            .runtime_plugin(signing(service, config, region));
        if let Some(timeouts) = config.timeout_config() {
            operation = operation.timeout_config(timeouts.clone());
        }
        if let Some(version) = config.behavior_version() {
            operation = operation.behavior_version(version);
        }
        Self { service, operation: operation.serializer(written).deserializer(answer::read).build() }
    }

    /// Sends one request, with the configured retries; returns the body of the answer.
    pub(crate) async fn send(&self, request: Request) -> Result<Vec<u8>, SdkError<Refused, HttpResponse>> {
        self.operation.invoke(request).await
    }

    /// Calls a JSON service, with retries while it throttles or fails temporarily; returns the body of the answer.
    ///
    /// # Errors
    /// As AWS answers.
    pub(crate) async fn ask(
        &self,
        operation: &str,
        parameters: &Value,
        doing: &str,
    ) -> Result<Vec<u8>, CloudError> {
        let request = Request {
            method: "POST",
            path: "/".to_owned(),
            headers: vec![
                ("content-type", "application/x-amz-json-1.1".to_owned()),
                ("x-amz-target", format!("{}.{operation}", self.service.target)),
            ],
            body: parameters.to_string().into_bytes(),
        };
        self.repeated(operation, request, doing).await
    }

    /// Calls IAM, which uses the query protocol; returns the body of the answer.
    ///
    /// # Errors
    /// As AWS answers.
    pub(crate) async fn ask_iam(
        &self,
        operation: &str,
        parameters: &[(String, String)],
        doing: &str,
    ) -> Result<Vec<u8>, CloudError> {
        let mut form = format!("Action={operation}&Version={IAM_VERSION}");
        for (key, value) in parameters {
            let escaped = utf8_percent_encode(value, &UNRESERVED);
            let _ = write!(form, "&{key}={escaped}");
        }
        let request = Request {
            method: "POST",
            path: "/".to_owned(),
            headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
            body: form.into_bytes(),
        };
        self.repeated(operation, request, doing).await
    }

    async fn repeated(&self, operation: &str, request: Request, doing: &str) -> Result<Vec<u8>, CloudError> {
        let permission = format!("{}:{operation}", self.service.signs_as);
        repeat(|| async {
            self.send(request.clone()).await.map_err(|error| failed(doing, &permission, &error))
        })
        .await
    }
}

/// Configures signing, sending and time limits as the SDK's own clients do with the same configuration.
fn signing(service: &Service, config: &SdkConfig, region: &str) -> StaticRuntimePlugin {
    // Keys are signed as they are in the URL.
    // https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    let is_s3 = *service == S3;
    let mut options = SigningOptions::default();
    options.double_uri_encode = !is_s3;
    options.normalize_uri_path = !is_s3;
    options.content_sha256_header = is_s3;
    let mut layer = Layer::new("signing");
    layer.store_put(SigV4OperationSigningConfig {
        region: Some(SigningRegion::from(Region::new(region.to_owned()))),
        region_set: None,
        name: Some(SigningName::from_static(service.signs_as)),
        signing_options: options,
    });
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    let mut components = RuntimeComponentsBuilder::new("signing");
    components.push_auth_scheme(SigV4AuthScheme::new());
    components.set_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID])));
    if let Some(provider) = config.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, SharedIdentityResolver::new(provider));
    }
    if let Some(cache) = config.identity_cache() {
        components.set_identity_cache(Some(cache));
    }
    if let Some(client) = config.http_client() {
        components.set_http_client(Some(client));
    }
    if let Some(sleep) = config.sleep_impl() {
        components.set_sleep_impl(Some(sleep));
    }
    if let Some(time) = config.time_source() {
        components.set_time_source(Some(time));
    }
    StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components)
}

fn written(request: Request) -> Result<HttpRequest, BoxError> {
    let mut http = HttpRequest::new(SdkBody::from(request.body));
    http.set_method(request.method)?;
    http.set_uri(request.path)?;
    http.headers_mut().try_insert("user-agent", AGENT)?;
    for (name, value) in request.headers {
        http.headers_mut().try_insert(name, value)?;
    }
    Ok(http)
}
