//! AWS's error codes: the kind of each, and a hint. No other file of the workspace compares a code of AWS's or a word
//! of its messages.
//!
//! Sources: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html> for EC2, the common errors of
//! the other services (<https://docs.aws.amazon.com/awssupport/latest/APIReference/CommonErrors.html>), and for the
//! codes that an instant fleet puts inside its 200 also Karpenter (aws/karpenter-provider-aws pkg/errors/errors.go),
//! which encounters them every day.

use cml_cloud::ErrorKind::{self, Capacity, Denied, Invalid, Quota, Throttled, Transient};

/// Hint of a code, where it depends on the code and not only on its kind.
pub(super) enum Advice {
    /// The same hint as for every other code of the kind.
    OfKind,
    /// This hint.
    Words(&'static str),
}
use Advice::{OfKind, Words};

const VCPUS: Advice = Words(
    "the account's vCPU quota for these types is used up: ask for more under Service Quotas, Amazon EC2 (\"All … Spot Instance \
     Requests\" for spot, \"Running On-Demand … instances\" otherwise; new accounts have 0 vCPUs of G and P types): \
     https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-quotas.html",
);
const EXPIRED: Advice = Words(
    "the AWS credentials have expired: sign in again, or raise the session's duration (in a workflow: \
     role-duration-seconds)",
);
const TEMPLATE: Advice =
    Words("EC2 does not know the launch template that was made a moment ago: run it again");
const DISK_PLACE: Advice =
    Words("add zones or regions (--region), or try again later: EBS has no room there now");

/// Codes with their kind and hint, by kind. A code that is missing here is classified by [`kind_in_fleet`] or by its
/// HTTP status.
const CODES: &[(&str, ErrorKind, Advice)] = &[
    ("InsufficientInstanceCapacity", Capacity, OfKind),
    ("InsufficientCapacity", Capacity, OfKind),
    ("InsufficientHostCapacity", Capacity, OfKind),
    ("InsufficientReservedInstanceCapacity", Capacity, OfKind),
    ("InsufficientCapacityOnHost", Capacity, OfKind),
    ("InsufficientAddressCapacity", Capacity, OfKind),
    ("InsufficientVolumeCapacity", Capacity, DISK_PLACE),
    ("UnfulfillableCapacity", Capacity, OfKind),
    ("SpotMaxPriceTooLow", Capacity, Words("raise or leave out --spot-price")),
    (
        "InsufficientFreeAddressesInSubnet",
        Capacity,
        Words("name other subnets (--subnet): this one has no free address left"),
    ),
    ("VcpuLimitExceeded", Quota, VCPUS),
    ("MaxSpotInstanceCountExceeded", Quota, VCPUS),
    (
        "InstanceLimitExceeded",
        Quota,
        Words(
            "the account's limit of running instances is reached: end some, or ask for more under Service Quotas, Amazon EC2",
        ),
    ),
    (
        "MaxFleetCountExceeded",
        Quota,
        Words(
            "the account's limit of EC2 Fleets is reached: delete some, or ask for more under Service Quotas, EC2 Fleet",
        ),
    ),
    (
        "VolumeLimitExceeded",
        Quota,
        Words(
            "the account's EBS storage quota is used up: delete volumes, take a smaller disk (--disk), or ask for more under \
               Service Quotas, Amazon EBS",
        ),
    ),
    (
        "MaxIOPSLimitExceeded",
        Quota,
        Words(
            "the account's EBS IOPS quota is used up: delete volumes, or ask for more under Service Quotas, Amazon EBS",
        ),
    ),
    (
        "MaxTemplateLimitExceeded",
        Quota,
        Words(
            "the region's limit of launch templates is reached: `cml-runner reap` removes leftovers of its own",
        ),
    ),
    (
        "SecurityGroupLimitExceeded",
        Quota,
        Words(
            "the VPC's limit of security groups is reached: delete some, or name one with --security-group",
        ),
    ),
    (
        "NetworkInterfaceLimitExceeded",
        Quota,
        Words(
            "the region's limit of network interfaces is reached: delete unused ones, or ask for more under Service Quotas, \
               Amazon VPC",
        ),
    ),
    ("RequestLimitExceeded", Throttled, OfKind),
    ("Throttling", Throttled, OfKind),
    ("ThrottlingException", Throttled, OfKind),
    ("ThrottledException", Throttled, OfKind),
    ("EC2ThrottledException", Throttled, OfKind),
    ("RequestThrottled", Throttled, OfKind),
    ("RequestThrottledException", Throttled, OfKind),
    ("TooManyRequestsException", Throttled, OfKind),
    // Cost Explorer's code for too many calls.
    ("LimitExceededException", Throttled, OfKind),
    ("SlowDown", Throttled, OfKind),
    ("UnauthorizedOperation", Denied, OfKind),
    ("AccessDenied", Denied, OfKind),
    ("AccessDeniedException", Denied, OfKind),
    ("AuthFailure", Denied, OfKind),
    (
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
        Denied,
        Words(
            "the first spot launch of an account needs iam:CreateServiceLinkedRole, or once: aws iam \
               create-service-linked-role --aws-service-name spot.amazonaws.com",
        ),
    ),
    ("Blocked", Denied, Words("AWS has blocked this account: ask AWS Support")),
    ("ExpiredToken", Denied, EXPIRED),
    ("ExpiredTokenException", Denied, EXPIRED),
    ("RequestExpired", Denied, EXPIRED),
    ("IncompleteSignature", Denied, OfKind),
    ("InvalidAccessKeyId", Denied, OfKind),
    ("InvalidClientTokenId", Denied, OfKind),
    ("MissingAuthenticationToken", Denied, OfKind),
    ("SignatureDoesNotMatch", Denied, OfKind),
    ("UnrecognizedClientException", Denied, OfKind),
    (
        "OptInRequired",
        Denied,
        Words(
            "the region or the image must be enabled for the account first: Account, AWS Regions for a region; AWS Marketplace \
               for an image",
        ),
    ),
    (
        "RegionDisabledException",
        Denied,
        Words(
            "the region is not enabled for the account: enable it (AWS console: Account, AWS Regions), or use another one (--region)",
        ),
    ),
    (
        "PendingVerification",
        Denied,
        Words(
            "AWS is still validating the account for this region: wait (it takes minutes, at most four hours), or use another \
               region (--region)",
        ),
    ),
    ("InternalError", Transient, OfKind),
    ("InternalFailure", Transient, OfKind),
    ("InternalServerError", Transient, OfKind),
    ("ServerInternal", Transient, OfKind),
    ("Unavailable", Transient, OfKind),
    ("ServiceUnavailable", Transient, OfKind),
    ("RequestTimeout", Transient, OfKind),
    ("RequestTimeoutException", Transient, OfKind),
    (
        "InvalidBlockDeviceMapping",
        Invalid,
        Words(
            "the disk is smaller than the image's snapshot, or the disks do not fit the image: give at least the size that AWS \
               names (--disk N, or `disk: NGiB` in cml.yaml)",
        ),
    ),
    (
        "TagLimitExceeded",
        Invalid,
        Words(
            "a resource takes 50 tags at most, the program's own 7 included: give fewer (--tag, or `tags` in cml.yaml)",
        ),
    ),
    (
        "InvalidKMSKey.InvalidState",
        Invalid,
        Words(
            "the KMS key that encrypts EBS volumes by default is disabled or gone: choose another one (EC2, Settings, EBS \
               encryption)",
        ),
    ),
    ("InvalidLaunchTemplateName.NotFoundException", Invalid, TEMPLATE),
    ("InvalidLaunchTemplateId.NotFound", Invalid, TEMPLATE),
];

/// Codes with one meaning in an answer about the whole call and another one about a single offer, where the next offer
/// may still succeed: "Your requested instance type is not supported in your requested Availability Zone".
const OF_ONE_WAY: &[(&str, ErrorKind)] = &[
    ("Unsupported", Capacity),
    ("InvalidFleetConfiguration", Capacity),
    ("VolumeTypeNotAvailableInZone", Capacity),
];

/// Returns the code without the old prefix that codes have inside a fleet's answer and in an instance's reason.
fn bare(code: &str) -> &str {
    code.strip_prefix("Client.").or_else(|| code.strip_prefix("Server.")).unwrap_or(code)
}

fn row(code: &str) -> Option<&'static (&'static str, ErrorKind, Advice)> {
    CODES.iter().find(|(known, ..)| *known == bare(code))
}

/// Returns the kind of a code; `None` when only the HTTP status can decide.
pub(crate) fn kind_of(code: &str) -> Option<ErrorKind> {
    row(code).map(|(_, kind, _)| *kind)
}

/// Returns the kind of a code inside the 200 of a fleet, where there is no status. A failure of AWS's own is transient;
/// an unknown code counts as a refusal of the request.
pub(crate) fn kind_in_fleet(code: &str) -> ErrorKind {
    let of_one_way = OF_ONE_WAY.iter().find(|(known, _)| *known == bare(code)).map(|(_, kind)| *kind);
    let by_prefix = || if code.starts_with("Server.") { Transient } else { Invalid };
    of_one_way.or_else(|| kind_of(code)).unwrap_or_else(by_prefix)
}

/// Returns the hint of this very code, where it has one of its own.
pub(crate) fn advice(code: &str) -> Option<&'static str> {
    match row(code) {
        Some((.., Words(words))) => Some(words),
        _ => None,
    }
}

/// Returns true for the code of a fleet that bought nothing. Another code of the same answer may contain the reason.
/// <https://github.com/aws/karpenter-provider-aws/issues/5283>
pub(crate) fn says_only_that_nothing_was_bought(code: &str) -> bool {
    bare(code) == "UnfulfillableCapacity"
}

/// Returns true when the account may not use the image: no fault of the credentials, though EC2 has one code for both.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
pub(crate) fn is_foreign_image(code: &str, message: &str) -> bool {
    bare(code) == "AuthFailure" && message.contains("Not authorized for images")
}

/// Hint about an image of another account.
pub(crate) const FOREIGN_IMAGE: &str = "the account may not use this image: name another one (--image, or `image:` in cml.yaml), or \
                                        have its owner share it with the account";

/// Returns true when a permission is missing, or a policy forbids the call.
pub(crate) fn is_unauthorized(code: &str) -> bool {
    ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException"].contains(&bare(code))
}

/// Returns true when AWS does not know the credentials: a region that is not enabled reports this for valid ones too.
/// <https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html>
pub(crate) fn is_unknown_to_region(code: &str) -> bool {
    ["AuthFailure", "UnrecognizedClientException", "InvalidClientTokenId"].contains(&bare(code))
}

/// Returns the policy that forbids the call by the message of the refusal; `None` where no policy grants the
/// permission. <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
pub(super) fn forbidden_by(message: &str) -> Option<&'static str> {
    const POLICIES: [(&str, &str); 5] = [
        ("service control policy", "a service control policy of your AWS organization"),
        ("resource control policy", "a resource control policy of your AWS organization"),
        ("permissions boundary", "the permissions boundary of the role or user"),
        ("session policy", "the session's policy"),
        ("VPC endpoint policy", "the policy of the VPC endpoint"),
    ];
    let by_policy = POLICIES.iter().find(|(words, _)| message.contains(words)).map(|(_, policy)| *policy);
    by_policy.or_else(|| message.contains("explicit deny").then_some("a policy with an explicit deny"))
}

/// Returns true for a missing resource that was known earlier: an image, a subnet, a group.
pub(crate) fn is_gone(code: &str) -> bool {
    [
        "InvalidAMIID.",
        "InvalidSubnetID.",
        "InvalidSubnet.",
        "InvalidGroup.",
        "InvalidGroupId.",
        "InvalidSecurityGroupID.",
    ]
    .iter()
    .any(|prefix| bare(code).starts_with(prefix))
}

/// Returns true when EC2 does not know a launch template: for a moment after its creation, or because it was removed.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
pub(crate) fn is_unknown_template(code: &str) -> bool {
    let code = bare(code);
    code.starts_with("InvalidLaunchTemplate") && code.contains("NotFound")
}

/// Returns true for a client token or a name that was used before with other parameters.
pub(crate) fn is_taken(code: &str) -> bool {
    code == "IdempotentParameterMismatch" || code.contains("AlreadyExists")
}

/// Returns true when another call has created a security group of this name.
pub(crate) fn is_duplicate_group(code: &str) -> bool {
    code == "InvalidGroup.Duplicate"
}

/// Returns true when EC2 does not know the instance, or not yet.
pub(crate) fn is_unknown_instance(code: &str) -> bool {
    code == "InvalidInstanceID.NotFound"
}

/// Returns true when SSM has no such parameter.
pub(crate) fn is_unknown_parameter(code: &str) -> bool {
    code == "ParameterNotFound"
}

/// Returns true when the region has no such quota.
pub(crate) fn is_unknown_quota(code: &str) -> bool {
    code == "NoSuchResourceException"
}

/// Returns true for a dry run that would have succeeded.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>
pub(crate) fn would_succeed(code: &str) -> bool {
    code == "DryRunOperation"
}

/// Returns true when the zone does not sell the type.
pub(crate) fn is_not_sold(code: &str) -> bool {
    bare(code) == "Unsupported"
}

/// Returns true when this type does not support the request.
pub(crate) fn is_unsupported_here(code: &str) -> bool {
    code == "UnsupportedOperation"
}

/// Returns true when the reason of an instance's end is an interruption by EC2.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html>
pub(crate) fn is_interruption(reason: &str) -> bool {
    ["Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"].contains(&reason)
}

/// Reason why S3 refused a file. <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BucketRefusal {
    /// There is no such bucket.
    NoBucket,
    /// A permission is missing.
    Denied,
    /// The bucket is in another region than the one that was called.
    OtherRegion,
    /// A reason without a hint of its own.
    Other,
}

/// Classifies S3's code.
pub(crate) fn bucket_refusal(code: &str) -> BucketRefusal {
    match code {
        "NoSuchBucket" => BucketRefusal::NoBucket,
        "AccessDenied" | "AllAccessDisabled" => BucketRefusal::Denied,
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            BucketRefusal::OtherRegion
        }
        _ => BucketRefusal::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_kinds_also_in_their_old_dress() {
        for (code, kind) in [
            ("InsufficientInstanceCapacity", Some(Capacity)),
            ("Server.InsufficientInstanceCapacity", Some(Capacity)),
            ("InsufficientVolumeCapacity", Some(Capacity)),
            ("MaxSpotInstanceCountExceeded", Some(Quota)),
            ("VcpuLimitExceeded", Some(Quota)),
            ("VolumeLimitExceeded", Some(Quota)),
            ("MaxFleetCountExceeded", Some(Quota)),
            ("RequestLimitExceeded", Some(Throttled)),
            ("Client.RequestLimitExceeded", Some(Throttled)),
            ("UnauthorizedOperation", Some(Denied)),
            ("PendingVerification", Some(Denied)),
            ("Server.InternalError", Some(Transient)),
            ("TagLimitExceeded", Some(Invalid)),
            ("InvalidParameterValue", None),
            // No code is classified by its suffix.
            ("SomethingNewLimitExceeded", None),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }

    #[test]
    fn inside_the_200_of_a_fleet_a_failure_of_awss_own_may_pass_and_an_unknown_refusal_stays_one() {
        for (code, kind) in [
            ("ServerInternal", Transient),
            ("Server.SomethingNew", Transient),
            ("InternalFailure", Transient),
            ("Unavailable", Transient),
            ("Unsupported", Capacity),
            ("Client.Unsupported", Capacity),
            ("InvalidFleetConfiguration", Capacity),
            ("SomethingNew", Invalid),
            ("Client.SomethingNew", Invalid),
            ("InvalidBlockDeviceMapping", Invalid),
        ] {
            assert_eq!(kind_in_fleet(code), kind, "{code}");
        }
    }

    #[test]
    fn every_code_stands_once_in_the_table() {
        for (at, (code, ..)) in CODES.iter().enumerate() {
            assert!(CODES[..at].iter().all(|(earlier, ..)| earlier != code), "{code}");
        }
    }

    #[test]
    fn vcpus_are_named_where_they_are_what_is_lacking_and_nowhere_else() {
        for (code, ..) in CODES {
            let told = advice(code).is_some_and(|words| words.contains("vCPU"));
            assert_eq!(told, ["VcpuLimitExceeded", "MaxSpotInstanceCountExceeded"].contains(code), "{code}");
        }
    }

    #[test]
    fn what_is_gone_is_told_from_what_is_wrong() {
        assert!(is_gone("InvalidSubnetID.NotFound") && is_gone("Client.InvalidAMIID.Unavailable"));
        assert!(!is_gone("InvalidParameterValue"));
        assert!(is_unknown_template("InvalidLaunchTemplateName.NotFoundException"));
        assert!(is_unknown_template("InvalidLaunchTemplateId.NotFound"));
        assert!(!is_unknown_template("InvalidLaunchTemplateName.AlreadyExistsException"));
    }

    #[test]
    fn an_interruption_is_read_from_the_reason_that_ec2_gives() {
        assert!(
            is_interruption("Server.SpotInstanceTermination")
                && is_interruption("Server.SpotInstanceShutdown")
        );
        assert!(
            !is_interruption("Server.InternalError") && !is_interruption("Client.InstanceInitiatedShutdown")
        );
    }

    #[test]
    fn a_policy_that_forbids_is_told_from_a_permission_that_is_missing() {
        let scp = "User: x is not authorized to perform: ec2:CreateFleet with an explicit deny in a service control policy";
        assert!(forbidden_by(scp).is_some_and(|policy| policy.contains("organization")));
        assert_eq!(forbidden_by("You are not authorized to perform this operation."), None);
        assert_eq!(forbidden_by("because no identity-based policy allows the ec2:CreateFleet action"), None);
        assert!(forbidden_by("with an explicit deny in an identity-based policy").is_some());
    }
}
