//! AWS's refusals as this program's errors, each with a hint.

pub(crate) mod codes;

use std::error::Error;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use cml_cloud::{CloudError, ErrorKind, RegionFailure};

use cml_ec2::regions;

/// Returns the hint for a refusal of AWS's.
pub(crate) fn hint_for(kind: ErrorKind, code: &str, message: &str, operation: &str) -> String {
    if codes::is_unauthorized(code) {
        return match codes::forbidden_by(message) {
            Some(policy) => format!(
                "{policy} forbids {operation}: ask who manages it to allow it, or use a region or an account that it does not cover"
            ),
            None => format!(
                "the credentials lack the permission {operation}: `cml-runner init --print launch-policy` prints what a launch needs"
            ),
        };
    }
    if let Some(words) = codes::advice(code) {
        return words.to_owned();
    }
    match kind {
        ErrorKind::Capacity => {
            "add types (--type), regions (--region) or on-demand (--spot prefer), or try again later"
        }
        ErrorKind::Quota => "a limit of the account is reached: ask for more under Service Quotas in the AWS console",
        ErrorKind::Throttled => "the account makes too many such calls at the moment: run it again in a minute",
        ErrorKind::Denied => {
            "AWS does not accept these credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile or role \
             in use"
        }
        ErrorKind::Transient => "AWS or the network stumbled: run it again",
        ErrorKind::Invalid => "AWS does not accept the request as it is; its words say why",
    }
    .to_owned()
}

/// Limits a failure to its region: valid credentials are unknown to a region that the account has not enabled.
pub(crate) fn in_region(region: &str, error: CloudError) -> CloudError {
    let is_unknown =
        error.kind == ErrorKind::Denied && error.code.as_deref().is_some_and(codes::is_unknown_to_region);
    if !is_unknown || !regions::needs_opt_in(region) {
        return error;
    }
    error.hint(format!(
        "{region} is not enabled for the account (AWS console: Account, AWS Regions), or the session token is one of the global \
         STS endpoint, which this region does not take (set AWS_STS_REGIONAL_ENDPOINTS=regional where you sign in)"
    ))
}

/// Combines the failures of all regions: one error with all reasons, of the kind that passes soonest.
pub(crate) fn all_failed(doing: &str, failed: &[RegionFailure]) -> CloudError {
    let order = [
        ErrorKind::Capacity,
        ErrorKind::Throttled,
        ErrorKind::Transient,
        ErrorKind::Quota,
        ErrorKind::Denied,
        ErrorKind::Invalid,
    ];
    if let [one] = failed {
        return one.error.clone();
    }
    let first = order.iter().find_map(|kind| failed.iter().find(|failure| failure.error.kind == *kind));
    let kind = first.map_or(ErrorKind::Invalid, |failure| failure.error.kind);
    let causes: Vec<String> =
        failed.iter().map(|failure| format!("{}: {}", failure.region, failure.error.cause)).collect();
    let mut hints: Vec<(String, Vec<&str>)> = Vec::new();
    for failure in failed {
        let Some(hint) = &failure.error.hint else { continue };
        match hints.iter_mut().find(|(known, _)| known == hint) {
            Some((_, regions)) => regions.push(&failure.region),
            None => hints.push((hint.clone(), vec![&failure.region])),
        }
    }
    let mut error = CloudError::new(kind, doing, causes.join("; "));
    error.code = first.and_then(|failure| failure.error.code.clone());
    error.failures = failed.iter().flat_map(|failure| failure.error.failures.clone()).collect();
    match hints.as_slice() {
        [] => error,
        [(hint, _)] => error.hint(hint.clone()),
        several => {
            let of_each = |(hint, regions): &(String, Vec<&str>)| format!("{}: {hint}", regions.join(", "));
            error.hint(several.iter().map(of_each).collect::<Vec<_>>().join("; "))
        }
    }
}

/// Converts a failed call of the SDK. `operation` is the permission it needs: `ec2:CreateFleet`.
pub(crate) fn failed<E, R>(doing: &str, operation: &str, error: &SdkError<E, R>) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + Status,
{
    match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or("Unknown");
            let message = readable(service.err().message().unwrap_or_default());
            let by_status =
                if service.raw().status() >= 500 { ErrorKind::Transient } else { ErrorKind::Invalid };
            if codes::is_foreign_image(code, &message) {
                return CloudError::new(ErrorKind::Invalid, doing, format!("{operation}: {code}: {message}"))
                    .code(code)
                    .hint(codes::FOREIGN_IMAGE);
            }
            let kind = codes::kind_of(code).unwrap_or(by_status);
            CloudError::new(kind, doing, format!("{operation}: {code}: {message}"))
                .code(code)
                .hint(hint_for(kind, code, &message, operation))
        }
        other => {
            let cause = chain(other);
            if lacks_credentials(&cause) {
                return CloudError::new(ErrorKind::Denied, doing, no_credentials(&cause))
                    .hint(SET_CREDENTIALS);
            }
            CloudError::new(ErrorKind::Transient, doing, format!("{operation}: {cause}"))
                .hint(hint_without_answer(&cause))
        }
    }
}

/// Hint for missing credentials.
pub(crate) const SET_CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or let \
                                          aws-actions/configure-aws-credentials do it in the workflow";

/// Describes missing credentials, with the SDK's reason as far as there is one.
pub(crate) fn no_credentials(cause: &str) -> String {
    format!("no AWS credentials: {}", in_short(cause))
}

/// Returns true when a call failed for lack of credentials: the SDK reports it in several ways, all with this word.
pub(crate) fn lacks_credentials(cause: &str) -> bool {
    cause.to_ascii_lowercase().contains("credential")
}

/// Returns the hint for a missing answer. A static program may run where no certificates are installed.
fn hint_without_answer(cause: &str) -> &'static str {
    if cause.contains("invalid peer certificate") {
        "https needs the system's CA certificates (package ca-certificates), or a file of them named by SSL_CERT_FILE; \
         behind a proxy that opens TLS, its own certificate must be among them"
    } else {
        "no usable answer came from AWS: check the network (and AWS_ENDPOINT_URL, if it is set), then run it again"
    }
}

/// Shortens the cause: the SDK lists every source that it tried, line by line, which is too long to read.
fn in_short(cause: &str) -> &str {
    let first = cause.lines().next().unwrap_or(cause);
    let first = first.rsplit("not enabled: ").next().unwrap_or(first);
    first.trim_end_matches(" Attempted:").trim_end_matches('.')
}

/// HTTP status of an answer.
pub(crate) trait Status {
    fn status(&self) -> u16;
}

impl Status for aws_sdk_ec2::config::http::HttpResponse {
    fn status(&self) -> u16 {
        self.status().as_u16()
    }
}

/// Returns AWS's message without the encoded part that only AWS can decode.
pub(crate) fn readable(message: &str) -> String {
    message.split(" Encoded authorization failure message").next().unwrap_or(message).trim().to_owned()
}

/// Formats an error and its causes on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let line = error.to_string();
        if !words.contains(&line) {
            words.push_str(": ");
            words.push_str(&line);
        }
        next = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_nobody_vouches_for_is_told_from_a_network_that_is_down() {
        let unknown =
            "dispatch failure: io error: TLS handshake failed: invalid peer certificate: UnknownIssuer";
        assert!(hint_without_answer(unknown).contains("ca-certificates"));
        assert!(hint_without_answer("dispatch failure: connection refused").contains("AWS_ENDPOINT_URL"));
    }

    #[test]
    fn a_refusal_that_more_regions_do_not_cure_says_what_does() {
        let hint = |code| hint_for(ErrorKind::Capacity, code, "", "ec2:CreateFleet");
        assert!(hint("SpotMaxPriceTooLow").contains("--spot-price"));
        assert!(hint("InsufficientFreeAddressesInSubnet").contains("--subnet"));
        assert!(hint("InsufficientInstanceCapacity").contains("--region"));
    }

    #[test]
    fn what_a_policy_forbids_is_no_missing_permission() {
        let hint = |message| hint_for(ErrorKind::Denied, "UnauthorizedOperation", message, "ec2:CreateFleet");
        let scp =
            "not authorized to perform: ec2:CreateFleet with an explicit deny in a service control policy";
        assert!(hint(scp).contains("service control policy") && !hint(scp).contains("lack the permission"));
        assert!(hint("You are not authorized to perform this operation.").contains("lack the permission"));
    }

    #[test]
    fn credentials_that_a_region_does_not_know_may_be_good_where_it_must_be_enabled_first() {
        let error = |code: &str| CloudError::new(ErrorKind::Denied, "looking", "no").code(code).hint("other");
        let hint = |region, code| in_region(region, error(code)).hint.unwrap_or_default();
        assert!(hint("ap-east-1", "AuthFailure").contains("ap-east-1 is not enabled"));
        assert_eq!(hint("us-east-1", "AuthFailure"), "other");
        assert_eq!(hint("ap-east-1", "ExpiredToken"), "other");
    }

    #[test]
    fn when_all_regions_have_failed_every_reason_is_told() {
        let of = |region: &str, kind, cause: &str, hint: &str| RegionFailure {
            region: region.to_owned(),
            error: CloudError::new(kind, "looking", cause).hint(hint),
        };
        let down = of("us-west-2", ErrorKind::Transient, "503", "again");
        let closed = of("ap-east-1", ErrorKind::Denied, "AuthFailure", "enable it");
        let error = all_failed("looking for offers", &[closed, down]);
        assert_eq!(error.kind, ErrorKind::Transient);
        assert_eq!(error.cause, "ap-east-1: AuthFailure; us-west-2: 503");
        assert_eq!(error.hint.as_deref(), Some("ap-east-1: enable it; us-west-2: again"));
    }

    #[test]
    fn an_encoded_message_is_left_out() {
        let long = "You are not authorized. Encoded authorization failure message: abcdef";
        assert_eq!(readable(long), "You are not authorized.");
    }
}
