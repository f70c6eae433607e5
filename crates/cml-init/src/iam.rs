//! The files of `templates/iam` that come with the program, so that an installed one needs no checkout.

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// A CloudFormation template: role, boundary, and for a daemon its queue.
    CloudFormation,
    /// What `launch` may do.
    LaunchPolicy,
    /// What the daemon may do beside what `launch` may.
    DaemonPolicy,
    /// Who may become the role: workflows of one repository.
    OidcTrust,
    /// What the role can never do, whatever is attached to it.
    Boundary,
}

impl Document {
    /// Its text.
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
