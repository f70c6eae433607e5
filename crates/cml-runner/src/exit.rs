//! Exit codes and error messages: what happened, what to do next.

use cml_bootstrap::BootstrapError;
use cml_cloud::{CloudError, ErrorKind, Market};
use cml_controller::{Failure, Reason, StopError};
use cml_github::{GitHubError, GitHubErrorKind};
use cml_report::{ArtifactError, ReportError};
use serde_json::json;

/// Exit codes that scripts branch on; documented in docs/reference.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    Failed = 1,
    Usage = 2,
    NoCapacity = 3,
    Quota = 4,
    Denied = 5,
    TimedOut = 6,
    Interrupted = 7,
}

impl ExitCode {
    /// All of them, by number.
    pub(crate) const ALL: [Self; 7] = [
        Self::Failed,
        Self::Usage,
        Self::NoCapacity,
        Self::Quota,
        Self::Denied,
        Self::TimedOut,
        Self::Interrupted,
    ];

    /// Returns its meaning, as in the manual page and the book.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Failed => "It failed and says why.",
            Self::Usage => {
                "The command line or an environment variable is wrong; nothing was done. Under CML's names it is 1."
            }
            Self::NoCapacity => "No region, zone and type that was asked for had a machine.",
            Self::Quota => "The account's own limits refused every offer.",
            Self::Denied => {
                "AWS or GitHub refused the credentials, or they lack a permission. Under CML's names it is 1."
            }
            Self::TimedOut => {
                "The machine came, but its runner did not come online in time; the machine has been removed."
            }
            Self::Interrupted => {
                "A signal arrived; what had been made was removed, but for what it names as left behind."
            }
        }
    }

    /// Returns its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NoCapacity => "no_capacity",
            Self::Quota => "quota",
            Self::Denied => "denied",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Hint where something could not be removed.
const ENDS_IT: &str = "`cml-runner ls` shows a machine that is left, `cml-runner stop ID` ends it (on EC2 both with --cloud \
                       aws --region REGION)";

/// An error of the command line: message, hint and exit code.
#[derive(Clone, Debug)]
pub(crate) struct CliError {
    pub(crate) code: ExitCode,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) details: Vec<String>,
    /// The object that `--json` prints instead of the usual one.
    pub(crate) object: Option<serde_json::Value>,
    /// Output on stdout without `--json`: a result exists in spite of the error.
    pub(crate) output: Option<String>,
}

impl CliError {
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, details: Vec::new(), object: None, output: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the object that `--json` prints for an error.
    pub(crate) fn json(&self) -> serde_json::Value {
        let usual = || {
            json!({"error": {
                "kind": self.code.name(), "message": self.message, "hint": self.hint, "details": self.details,
            }})
        };
        self.object.clone().unwrap_or_else(usual)
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let is_interrupted = matches!(failure.reason, Reason::Interrupted);
        let mut trouble = Self::from(failure.reason);
        // The part about removal is then not true.
        if !failure.left_behind.is_empty() {
            if is_interrupted {
                trouble.message = "interrupted by a signal; not everything could be removed".to_owned();
            }
            let hint = trouble.hint.take().filter(|_| trouble.code != ExitCode::TimedOut);
            let before = hint.map_or_else(String::new, |hint| format!("{hint}; "));
            trouble.hint = Some(format!("{before}{ENDS_IT}"));
        }
        for left in failure.left_behind {
            trouble.details.push(format!("left behind: {left}"));
        }
        trouble
    }
}

impl From<Reason> for CliError {
    fn from(reason: Reason) -> Self {
        let message = reason.to_string();
        let quota = reason.refused_by_quota();
        match reason {
            Reason::Cloud(error) => error.into(),
            Reason::GitHub(error) => error.into(),
            Reason::NoCapacity(errors) => no_capacity(&errors, quota),
            Reason::Bootstrap(BootstrapError::TooLarge { advice, .. }) => Self::new(ExitCode::Failed, message).hint(advice),
            Reason::Journal(_) | Reason::Bootstrap(_) => Self::new(ExitCode::Failed, message),
            Reason::NoPackage(_) => Self::new(ExitCode::Failed, message)
                .hint("choose an instance type of another architecture, or name a package with --package-url and --package-sha256"),
            Reason::Clock { .. } => Self::new(ExitCode::Failed, message).hint(SET_THE_CLOCK),
            Reason::NameTaken { .. } => Self::new(ExitCode::Failed, message)
                .hint("choose another --name, leave --name out, or add --reuse to take the runner that is there"),
            Reason::NotOnline { .. } => Self::new(ExitCode::TimedOut, message).hint(
                "the machine has been removed; look at its last words above, check that its subnet has a route to the \
                 internet, or raise --boot-timeout",
            ),
            Reason::MachineEnded { .. } => Self::new(ExitCode::TimedOut, message).hint(
                "its cause is explained at https://github.com/cml-runner/cml-runner/blob/main/docs/reference.md#on-the-machine; \
                 if it had too little time, raise --boot-timeout",
            ),
            Reason::Interrupted => {
                Self::new(ExitCode::Interrupted, "interrupted by a signal; what had been made was removed")
            }
        }
    }
}

/// Hint for a wrong clock.
pub(crate) const SET_THE_CLOCK: &str =
    "set the clock: timedatectl set-ntp true (in a container: that of the host)";

fn no_capacity(errors: &[CloudError], quota: bool) -> CliError {
    let code = if quota { ExitCode::Quota } else { ExitCode::NoCapacity };
    let mut trouble = CliError::new(code, "no machine could be bought");
    for error in errors {
        trouble.details.push(error.to_string());
        for failure in &error.failures {
            let what = failure.offer.as_ref().map_or_else(|| "an offer".to_owned(), place);
            trouble.details.push(format!("  {what}: {} {}", failure.code, failure.message));
        }
    }
    trouble.hint =
        if quota { errors.iter().find_map(|error| error.hint.clone()) } else { Some(capacity_hint(errors)) };
    trouble
}

/// Returns the hint where no offer had capacity: it depends on the request.
fn capacity_hint(errors: &[CloudError]) -> String {
    let failures = || errors.iter().flat_map(|error| &error.failures);
    let tried = |market| failures().any(|it| it.offer.as_ref().is_some_and(|offer| offer.market == market));
    let own = failures().filter(|failure| failure.kind == ErrorKind::Capacity);
    if let Some(hint) = own.filter_map(|failure| failure.hint.clone()).next() {
        return hint;
    }
    match (tried(Market::Spot), tried(Market::OnDemand)) {
        (false, true) => {
            "try spot (--spot prefer), more types (--type) or regions (--region), or try again later"
        }
        (true, true) => "add regions (--region) or types (--type), or try again later",
        _ => "add regions (--region), types (--type) or on-demand (--spot prefer), or try again later",
    }
    .to_owned()
}

fn place(offer: &cml_cloud::Offer) -> String {
    format!(
        "{} {} in {}",
        offer.market,
        offer.instance_type,
        offer.zone.as_deref().unwrap_or(offer.region.as_str())
    )
}

impl From<CloudError> for CliError {
    fn from(error: CloudError) -> Self {
        let code = match error.kind {
            ErrorKind::Capacity => ExitCode::NoCapacity,
            ErrorKind::Quota => ExitCode::Quota,
            ErrorKind::Denied => ExitCode::Denied,
            ErrorKind::Throttled | ErrorKind::Invalid | ErrorKind::Transient => ExitCode::Failed,
        };
        Self {
            code,
            message: error.to_string(),
            hint: error.hint,
            details: Vec::new(),
            object: None,
            output: None,
        }
    }
}

impl From<GitHubError> for CliError {
    fn from(error: GitHubError) -> Self {
        let code = match error.kind {
            GitHubErrorKind::BadCredentials | GitHubErrorKind::Forbidden | GitHubErrorKind::NotFound => {
                ExitCode::Denied
            }
            GitHubErrorKind::Interrupted => ExitCode::Interrupted,
            _ => ExitCode::Failed,
        };
        Self {
            code,
            message: error.to_string(),
            hint: error.hint,
            details: Vec::new(),
            object: None,
            output: None,
        }
    }
}

impl From<ArtifactError> for CliError {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::GitHub(error) => error.into(),
            other => Self::new(ExitCode::Failed, other.to_string()),
        }
    }
}

impl From<ReportError> for CliError {
    fn from(error: ReportError) -> Self {
        let message = error.to_string();
        match error {
            ReportError::GitHub(error) => error.into(),
            ReportError::Shelf(error) => error.into(),
            ReportError::BadTarget(_) | ReportError::BadSection(_) => Self::new(ExitCode::Usage, message),
            ReportError::Empty => {
                Self::new(ExitCode::Failed, message).hint("look at the step that writes it")
            }
            _ => Self::new(ExitCode::Failed, message),
        }
    }
}

impl From<StopError> for CliError {
    fn from(error: StopError) -> Self {
        let message = error.to_string();
        match error {
            StopError::NotFound(_) => {
                Self::new(ExitCode::Failed, message).hint("`cml-runner ls` lists what runs")
            }
            StopError::Busy(_) => {
                Self::new(ExitCode::Failed, message).hint("add --force to end it all the same")
            }
            StopError::Cloud(error) => error.into(),
            StopError::GitHub(error) => {
                let mut trouble = Self::from(error);
                trouble.message = message;
                let cure = trouble.hint.map_or_else(String::new, |hint| format!("{hint}; "));
                trouble.hint = Some(format!("{cure}or end it all the same with --force"));
                trouble
            }
        }
    }
}
