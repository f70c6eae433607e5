//! Files in an S3 bucket, or in one of the many S3-compatible stores.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use base64::Engine;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::clock::wall_clock;
use crate::errors::codes::{self, BucketRefusal};
use crate::errors::{SET_CREDENTIALS, chain, lacks_credentials, no_credentials};
use crate::signed::{self, Refused, Request, S3};

/// Validity of a presigned URL: the maximum of S3.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html>
const SIGNED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Time before their expiry at which credentials are renewed.
const EXPIRES_SOON: Duration = Duration::from_secs(300);
/// Time limit of one call, an upload included.
const CALL_TIMEOUT: Duration = Duration::from_secs(300);

/// Characters that need no escaping in a path of a URL.
const PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A bucket and a prefix in it.
#[derive(Clone, Debug)]
pub struct Bucket {
    name: String,
    prefix: String,
    public_url: Option<String>,
    endpoint: String,
    region: String,
    client: signed::Client,
    provider: Option<SharedCredentialsProvider>,
    held: Arc<Mutex<Option<Credentials>>>,
}

/// Error: S3 refused.
#[derive(Debug, thiserror::Error)]
#[error("s3://{bucket}/{key}: {cause}; {hint}")]
pub struct BucketError {
    bucket: String,
    key: String,
    cause: String,
    hint: String,
}

impl Bucket {
    /// Returns the bucket with the credentials of the environment. Addresses begin with `public_url`; without one they
    /// are presigned, valid for seven days, or for as long as the credentials.
    ///
    /// `is_elsewhere`: the store is not AWS's own, and rarely has a host name for each bucket.
    pub async fn connect(name: &str, prefix: &str, public_url: Option<&str>, is_elsewhere: bool) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(6))
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).load().await;
        let region = config.region().map_or("us-east-1", Region::as_ref).to_owned();
        let endpoint = signed::of_bucket(name, &config, &region, is_elsewhere);
        Self {
            name: name.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
            client: signed::Client::at(&S3, &config, &endpoint, &region),
            endpoint,
            region,
            provider: config.credentials_provider(),
            held: Arc::default(),
        }
    }

    /// Uploads a file unless it exists, and returns its address.
    ///
    /// # Errors
    /// [`BucketError`] with S3's message and a hint.
    pub async fn put(&self, path: &str, mime: &str, bytes: &[u8]) -> Result<String, BucketError> {
        let key = if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) };
        // Credentials without read access may still have write access.
        let request = |method, headers, body| {
            let path = format!("/{}", escaped(&key));
            self.client.send(Request { method, path, headers, body })
        };
        let there = request("HEAD", Vec::new(), Vec::new()).await.is_ok();
        if !there {
            // A bucket with object lock accepts no object without a checksum.
            // https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
            let checksum = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(bytes));
            let mut headers = vec![("content-type", mime.to_owned()), ("x-amz-checksum-sha256", checksum)];
            headers.extend(disposition(mime).map(|how| ("content-disposition", how.to_owned())));
            request("PUT", headers, bytes.to_vec()).await.map_err(|error| self.refused(&key, &error))?;
        }
        if let Some(base) = &self.public_url {
            return Ok(format!("{base}/{}", escaped(&key)));
        }
        let failed = |cause: String| BucketError {
            bucket: self.name.clone(),
            key: key.clone(),
            cause,
            hint: "use --public-url for a bucket that readers may read".to_owned(),
        };
        let address = format!("{}/{}", self.endpoint, escaped(&key));
        let credentials = self.credentials().await.map_err(|error| failed(chain(&*error)))?;
        let times = (wall_clock(), SIGNED_FOR);
        let signed = signed::presigned(&S3, &credentials, &self.region, &address, times);
        signed.map_err(|error| failed(chain(&*error)))
    }

    /// Returns the credentials, resolved again only when they are about to expire.
    async fn credentials(&self) -> Result<Credentials, Box<dyn Error + Send + Sync>> {
        let mut held = self.held.lock().await;
        let soon = wall_clock() + EXPIRES_SOON;
        if let Some(credentials) = &*held
            && credentials.expiry().is_none_or(|expiry| expiry > soon)
        {
            return Ok(credentials.clone());
        }
        let provider = self.provider.as_ref().ok_or("no credentials are configured")?;
        Ok(held.insert(provider.provide_credentials().await?).clone())
    }

    fn refused(&self, key: &str, error: &SdkError<Refused, HttpResponse>) -> BucketError {
        let code = error.code().unwrap_or_default().to_owned();
        let cause = match error.message() {
            Some(message) if !code.is_empty() => format!("{code}: {message}"),
            _ => chain(error),
        };
        if code.is_empty() && lacks_credentials(&cause) {
            let (cause, hint) = (no_credentials(&cause), SET_CREDENTIALS.to_owned());
            return BucketError { bucket: self.name.clone(), key: key.to_owned(), cause, hint };
        }
        let cause = cause.lines().next().unwrap_or_default().to_owned();
        let hint = match codes::bucket_refusal(&code) {
            BucketRefusal::NoBucket => "make the bucket, or correct its name in --to".to_owned(),
            BucketRefusal::Denied => format!(
                "the credentials need s3:PutObject (and s3:GetObject for signed addresses) on arn:aws:s3:::{}/{}*",
                self.name,
                if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) }
            ),
            BucketRefusal::OtherRegion => "set AWS_REGION to the region of the bucket".to_owned(),
            BucketRefusal::Other => {
                "are the credentials and AWS_REGION set, and is the store reachable?".to_owned()
            }
        };
        BucketError { bucket: self.name.clone(), key: key.to_owned(), cause, hint }
    }
}

/// Returns how a browser handles a file that is opened by its own address. Types that could run a script there (HTML,
/// SVG, XML, and unknown ones) are downloaded instead: S3 sets no Content-Security-Policy, and other reports may be
/// under the same host. In a page's `<img>` this header has no effect. <https://www.rfc-editor.org/rfc/rfc6266>
fn disposition(mime: &str) -> Option<&'static str> {
    let kind = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_inert = match kind.split_once('/') {
        Some(("image", subtype)) => subtype != "svg+xml" && !subtype.ends_with("xml"),
        Some(("video" | "audio", _)) => true,
        _ => matches!(
            kind.as_str(),
            "text/plain" | "text/csv" | "text/markdown" | "application/json" | "application/pdf"
        ),
    };
    if is_inert { None } else { Some("attachment") }
}

/// Escapes a key for a URL.
fn escaped(key: &str) -> String {
    percent_encoding::utf8_percent_encode(key, &PATH).to_string()
}

#[cfg(test)]
mod tests {
    use aws_config::SdkConfig;

    use super::*;
    use crate::test_server;

    /// Creates a bucket at this service, with a separate public address.
    fn bucket(config: &SdkConfig) -> Bucket {
        let endpoint = config.endpoint_url().expect("is set").to_owned();
        Bucket {
            name: "plots".to_owned(),
            prefix: "reports".to_owned(),
            public_url: Some("https://plots.example.com".to_owned()),
            client: signed::Client::at(&S3, config, &endpoint, "us-east-1"),
            endpoint,
            region: "us-east-1".to_owned(),
            provider: None,
            held: Arc::default(),
        }
    }

    #[tokio::test]
    async fn a_file_that_could_run_a_script_is_put_as_one_to_be_saved() {
        let files = [
            ("plot.svg", "image/svg+xml", true),
            ("page.html", "text/html; charset=utf-8", true),
            ("plot.png", "image/png", false),
        ];
        // Each file is looked up, does not exist, and is uploaded.
        let (config, asked) = test_server::silent([404, 200].repeat(files.len())).await;
        let bucket = bucket(&config);
        for (path, mime, _) in files {
            let url = bucket.put(path, mime, b"<svg/>").await.expect("is put");
            assert_eq!(url, format!("https://plots.example.com/reports/{path}"));
        }
        let heads = asked.lock().expect("never poisoned").clone();
        assert_eq!(heads.len(), 2 * files.len(), "{heads:#?}");
        for ((path, mime, is_saved), put) in files.into_iter().zip(heads.iter().skip(1).step_by(2)) {
            let has = |line: &str| put.lines().any(|it| it == line);
            assert!(put.starts_with(&format!("put /reports/{path} ")), "{put}");
            assert!(has(&format!("content-type: {mime}")), "{put}");
            assert_eq!(has("content-disposition: attachment"), is_saved, "{put}");
        }
    }

    #[tokio::test]
    async fn an_upload_that_s3_stumbles_over_is_made_again() {
        let (config, asked) = test_server::silent(vec![404, 503, 500, 200]).await;
        let url = bucket(&config).put("plot.png", "image/png", b"png").await;
        assert!(url.is_ok(), "{url:?}");
        assert_eq!(asked.lock().expect("never poisoned").len(), 4);
    }

    #[test]
    fn what_could_run_a_script_on_the_buckets_domain_is_saved_and_not_opened() {
        for shown in [
            "image/png",
            "image/webp",
            "video/mp4",
            "text/plain",
            "text/csv; charset=utf-8",
            "application/json",
        ] {
            assert_eq!(disposition(shown), None, "{shown}");
        }
        for active in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            " image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "image/x+xml",
            "",
            "x",
        ] {
            assert_eq!(disposition(active), Some("attachment"), "{active}");
        }
    }
}
