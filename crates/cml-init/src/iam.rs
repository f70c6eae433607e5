//! The files of `templates/iam`, embedded in the program, so that an installed one needs no checkout.

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// A CloudFormation template: role, boundary, and for a daemon its queue.
    CloudFormation,
    /// Permissions of `launch`.
    LaunchPolicy,
    /// Permissions of the daemon in addition to those of `launch`.
    DaemonPolicy,
    /// Trust policy of the role: workflows of one repository.
    OidcTrust,
    /// Permissions that the role can never exceed, whatever policies are attached to it.
    Boundary,
}

impl Document {
    /// Returns its text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::CloudFormation => include_str!("../../../templates/iam/cloudformation.yaml"),
            Self::LaunchPolicy => include_str!("../../../templates/iam/launch-policy.json"),
            Self::DaemonPolicy => include_str!("../../../templates/iam/daemon-policy.json"),
            Self::OidcTrust => include_str!("../../../templates/iam/github-oidc-trust.json"),
            Self::Boundary => include_str!("../../../templates/iam/permission-boundary.json"),
        }
    }
}
