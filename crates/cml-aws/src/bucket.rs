//! Files in an S3 bucket, or in one of the many stores that speak as S3 does.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use crate::errors::codes::{self, BucketRefusal};
use crate::errors::{SET_CREDENTIALS, chain, lacks_credentials, no_credentials};

/// How long an address that was signed is good: the longest that S3 takes.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html>
const SIGNED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Limit for one call, an upload included.
const CALL_TIMEOUT: Duration = Duration::from_secs(300);

/// What may stay as it is in a path of a URL.
const PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A bucket and a place in it.
#[derive(Clone, Debug)]
pub struct Bucket {
    name: String,
    prefix: String,
    public_url: Option<String>,
    client: aws_sdk_s3::Client,
}

/// S3 said no.
#[derive(Debug, thiserror::Error)]
#[error("s3://{bucket}/{key}: {cause}; {hint}")]
pub struct BucketError {
    bucket: String,
    key: String,
    cause: String,
    hint: String,
}

impl Bucket {
    /// The bucket with the credentials of the environment. Addresses begin with `public_url`; without one they are signed,
    /// good for seven days, or for as long as the credentials.
    ///
    /// `is_elsewhere`: the store is not AWS's own, and rarely has a host name for each bucket.
    pub async fn connect(name: &str, prefix: &str, public_url: Option<&str>, is_elsewhere: bool) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(6))
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).load().await;
        let region = config.region().cloned().unwrap_or(Region::from_static("us-east-1"));
        let config = config.into_builder().region(region).build();
        let path_style = is_elsewhere || config.endpoint_url().is_some();
        let builder = aws_sdk_s3::config::Builder::from(&config).force_path_style(path_style);
        Self {
            name: name.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
            client: aws_sdk_s3::Client::from_conf(builder.build()),
        }
    }

    /// Puts a file there, unless it is there; where it can be seen.
    ///
    /// # Errors
    /// [`BucketError`] with S3's own words and what to do.
    pub async fn put(&self, path: &str, mime: &str, bytes: &[u8]) -> Result<String, BucketError> {
        let key = if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) };
        // Whoever may not look may still write.
        let there = self.client.head_object().bucket(&self.name).key(&key).send().await.is_ok();
        if !there {
            let body = ByteStream::from(bytes.to_vec());
            let put = self.client.put_object().bucket(&self.name).key(&key).content_type(mime).body(body);
            let put = put.set_content_disposition(disposition(mime).map(str::to_owned));
            put.send().await.map_err(|error| self.refused(&key, &error))?;
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
        let signing = PresigningConfig::expires_in(SIGNED_FOR).map_err(|error| failed(error.to_string()))?;
        let request = self.client.get_object().bucket(&self.name).key(&key).presigned(signing).await;
        request
            .map(|request| request.uri().to_owned())
            .map_err(|error| failed(DisplayErrorContext(&error).to_string()))
    }

    fn refused<E>(&self, key: &str, error: &SdkError<E>) -> BucketError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
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

/// How a browser is to take a file that is opened by its own address. What could run a script there (HTML, SVG, XML, and what
/// nobody knows) is saved instead: S3 sets no Content-Security-Policy, and other reports may lie under the same host. In a page's
/// `<img>` this header means nothing. <https://www.rfc-editor.org/rfc/rfc6266>
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

/// A key as it stands in a URL.
fn escaped(key: &str) -> String {
    percent_encoding::utf8_percent_encode(key, &PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

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
