//! AWS's error codes as kinds, each with what the reader can do. The one place that knows the codes.
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>

use std::error::Error;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use cml_cloud::{CloudError, ErrorKind};

/// What kind of refusal a code is; none when only the HTTP status can tell.
pub(crate) fn kind_of(code: &str) -> Option<ErrorKind> {
    // Inside a fleet's answer some codes wear the old prefix.
    let code = code.trim_start_matches("Client.").trim_start_matches("Server.");
    Some(match code {
        "InsufficientInstanceCapacity"
        | "InsufficientCapacity"
        | "InsufficientHostCapacity"
        | "InsufficientReservedInstanceCapacity"
        | "UnfulfillableCapacity"
        | "SpotMaxPriceTooLow"
        | "InsufficientFreeAddressesInSubnet" => ErrorKind::Capacity,
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "EC2ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        // Cost Explorer's word for too many calls.
        | "LimitExceededException"
        | "SlowDown" => ErrorKind::Throttled,
        "UnauthorizedOperation"
        | "AuthFailure"
        | "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
        | "AccessDenied"
        | "AccessDeniedException"
        | "Blocked"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "OptInRequired"
        | "PendingVerification"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => ErrorKind::Denied,
        "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "Unavailable"
        | "ServiceUnavailable"
        | "RequestTimeout"
        | "RequestTimeoutException" => ErrorKind::Transient,
        _ if code.ends_with("LimitExceeded") || code == "MaxSpotInstanceCountExceeded" => ErrorKind::Quota,
        _ => return None,
    })
}

/// True for something that we knew from earlier and that is gone by now: an image, a subnet, a group.
pub(crate) fn is_gone(code: &str) -> bool {
    let code = code.trim_start_matches("Client.");
    [
        "InvalidAMIID.",
        "InvalidSubnetID.",
        "InvalidSubnet.",
        "InvalidGroup.",
        "InvalidGroupId.",
        "InvalidSecurityGroupID.",
    ]
    .iter()
    .any(|prefix| code.starts_with(prefix))
}

/// What the reader can do about a code.
pub(crate) fn hint_for(kind: ErrorKind, code: &str, operation: &str) -> String {
    match (kind, code) {
        (ErrorKind::Capacity, "SpotMaxPriceTooLow") => "raise or leave out --spot-price".to_owned(),
        (ErrorKind::Capacity, "InsufficientFreeAddressesInSubnet") => {
            "name other subnets (--subnet): this one has no free address left".to_owned()
        }
        (ErrorKind::Capacity, _) => {
            "add types (--type), regions (--region) or on-demand (--spot prefer), or try again later".to_owned()
        }
        (ErrorKind::Quota, _) => {
            "the account's quota is used up: ask for more under Service Quotas, Amazon EC2 (\"All … Spot Instance \
             Requests\" for spot, \"Running On-Demand … instances\" otherwise; new accounts have 0 vCPUs of G and P types): \
             https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-resource-limits.html"
                .to_owned()
        }
        (ErrorKind::Throttled, _) => {
            "the account makes too many such calls at the moment: run it again in a minute".to_owned()
        }
        (ErrorKind::Denied, "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException") => format!(
            "the credentials lack the permission {operation}: `cml-runner init --print launch-policy` prints what a launch needs"
        ),
        (ErrorKind::Denied, "ExpiredToken" | "ExpiredTokenException" | "RequestExpired") => {
            "the AWS credentials have expired: sign in again, or raise the session's duration (in a workflow: \
             role-duration-seconds)"
                .to_owned()
        }
        (ErrorKind::Denied, "OptInRequired") => {
            "the region or the image must be enabled for the account first (Account, AWS Regions)".to_owned()
        }
        (ErrorKind::Denied, "AuthFailure.ServiceLinkedRoleCreationNotPermitted") => {
            "the first spot launch of an account needs iam:CreateServiceLinkedRole, or once: aws iam \
             create-service-linked-role --aws-service-name spot.amazonaws.com"
                .to_owned()
        }
        (ErrorKind::Denied, _) => {
            "AWS does not accept these credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile or role \
             in use"
                .to_owned()
        }
        (ErrorKind::Transient, _) => "AWS or the network stumbled: run it again".to_owned(),
        (ErrorKind::Invalid, _) => "AWS does not accept the request as it is; its words say why".to_owned(),
    }
}

/// Turns a failed call of the SDK into ours. `operation` is the permission it takes: `ec2:CreateFleet`.
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
            let kind = kind_of(code).unwrap_or(by_status);
            CloudError::new(kind, doing, format!("{operation}: {code}: {message}"))
                .code(code)
                .hint(hint_for(kind, code, operation))
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

/// What to do where there are no credentials.
pub(crate) const SET_CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or let \
                                          aws-actions/configure-aws-credentials do it in the workflow";

/// That there are none, as far as the SDK says why.
pub(crate) fn no_credentials(cause: &str) -> String {
    format!("no AWS credentials: {}", in_short(cause))
}

/// True when a call failed for want of credentials: the SDK says it in several ways, all with this word.
pub(crate) fn lacks_credentials(cause: &str) -> bool {
    cause.to_ascii_lowercase().contains("credential")
}

/// What the reader can do where no answer came. A static program may stand where no certificates are.
fn hint_without_answer(cause: &str) -> &'static str {
    if cause.contains("invalid peer certificate") {
        "https needs the system's CA certificates (package ca-certificates), or a file of them named by SSL_CERT_FILE; \
         behind a proxy that opens TLS, its own certificate must be among them"
    } else {
        "no usable answer came from AWS: check the network (and AWS_ENDPOINT_URL, if it is set), then run it again"
    }
}

/// The SDK tells every source that it tried, line by line: more than anybody reads.
fn in_short(cause: &str) -> &str {
    let first = cause.lines().next().unwrap_or(cause);
    let first = first.rsplit("not enabled: ").next().unwrap_or(first);
    first.trim_end_matches(" Attempted:").trim_end_matches('.')
}

/// The HTTP status of an answer.
pub(crate) trait Status {
    fn status(&self) -> u16;
}

impl Status for aws_sdk_ec2::config::http::HttpResponse {
    fn status(&self) -> u16 {
        self.status().as_u16()
    }
}

/// AWS's words without the encoded message that only AWS can read.
pub(crate) fn readable(message: &str) -> String {
    message.split(" Encoded authorization failure message").next().unwrap_or(message).trim().to_owned()
}

/// An error and its causes on one line.
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
    fn codes_have_their_kinds_also_in_their_old_dress() {
        for (code, kind) in [
            ("InsufficientInstanceCapacity", Some(ErrorKind::Capacity)),
            ("MaxSpotInstanceCountExceeded", Some(ErrorKind::Quota)),
            ("VcpuLimitExceeded", Some(ErrorKind::Quota)),
            ("RequestLimitExceeded", Some(ErrorKind::Throttled)),
            ("Client.RequestLimitExceeded", Some(ErrorKind::Throttled)),
            ("UnauthorizedOperation", Some(ErrorKind::Denied)),
            ("Server.InternalError", Some(ErrorKind::Transient)),
            ("InvalidParameterValue", None),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }

    #[test]
    fn what_is_gone_is_told_from_what_is_wrong() {
        assert!(is_gone("InvalidSubnetID.NotFound") && is_gone("Client.InvalidAMIID.Unavailable"));
        assert!(!is_gone("InvalidParameterValue"));
    }

    #[test]
    fn a_certificate_that_nobody_vouches_for_is_told_from_a_network_that_is_down() {
        let unknown =
            "dispatch failure: io error: TLS handshake failed: invalid peer certificate: UnknownIssuer";
        assert!(hint_without_answer(unknown).contains("ca-certificates"));
        assert!(hint_without_answer("dispatch failure: connection refused").contains("AWS_ENDPOINT_URL"));
    }

    #[test]
    fn a_refusal_that_more_regions_do_not_cure_says_what_does() {
        let hint = |code| hint_for(ErrorKind::Capacity, code, "ec2:CreateFleet");
        assert!(hint("SpotMaxPriceTooLow").contains("--spot-price"));
        assert!(hint("InsufficientFreeAddressesInSubnet").contains("--subnet"));
        assert!(hint("InsufficientInstanceCapacity").contains("--region"));
    }

    #[test]
    fn an_encoded_message_is_left_out() {
        let long = "You are not authorized. Encoded authorization failure message: abcdef";
        assert_eq!(readable(long), "You are not authorized.");
    }
}
