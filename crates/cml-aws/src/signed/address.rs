//! Presigned URLs. <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use std::time::{Duration, SystemTime};

use aws_sdk_ec2::config::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::Identity;
use percent_encoding::utf8_percent_encode;

use super::{Service, UNRESERVED};

/// Returns a URL that grants read access for so long, or for as long as the credentials are valid.
///
/// # Errors
/// When the URL is invalid.
pub(crate) fn presigned(
    service: &Service,
    credentials: &Credentials,
    region: &str,
    address: &str,
    (now, good_for): (SystemTime, Duration),
) -> Result<String, BoxError> {
    let identity = Identity::from(credentials.clone());
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(good_for);
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service.signs_as)
        .time(now)
        .settings(settings)
        .build()?;
    let request = SignableRequest::new("GET", address, std::iter::empty(), SignableBody::UnsignedPayload)?;
    let (instructions, _) = sign(request, &parameters.into())?.into_parts();
    let query: Vec<String> = instructions
        .params()
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, &UNRESERVED)))
        .collect();
    Ok(format!("{address}?{}", query.join("&")))
}

#[cfg(test)]
mod tests {
    use super::super::S3;
    use super::*;

    /// AWS's own example, with its keys and its signature:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
    #[test]
    fn the_example_of_the_page_is_signed_as_the_page_says() {
        let key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", key, None, None, "example");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let address = "https://examplebucket.s3.amazonaws.com/test.txt";
        let times = (at, Duration::from_secs(86_400));
        let signed = presigned(&S3, &credentials, "us-east-1", address, times).expect("is signed");
        let end = "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(signed.contains(end), "{signed}");
        assert!(
            signed
                .contains("X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request")
        );
    }
}
