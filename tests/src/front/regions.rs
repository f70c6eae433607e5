//! Regions that fail as a whole: not enabled for the account, down, or closed by a policy of the organization.

use super::wire::{Answer, Ask, Refusal};
use super::{Front, Inner};

/// A failure of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The account has not opted in: every regional endpoint refuses the credentials.
    /// <https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html>
    NotEnabled,
    /// Every call ends in a 503.
    Down,
    /// A service control policy denies this action, or every action of EC2 for `*`.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
    DeniedByPolicy(&'static str),
    /// SSM lacks the public parameters with this prefix.
    NoParameter(&'static str),
}

impl Front {
    /// Adds a failure to the region; several may be active at once.
    pub fn trouble(&self, region: &str, trouble: Trouble) {
        self.inner.sky().troubles.push((region.to_owned(), trouble));
    }

    /// Removes all failures of the region.
    pub fn recover(&self, region: &str) {
        self.inner.sky().troubles.retain(|(of, _)| of != region);
    }
}

impl Inner {
    /// Returns the answer of a region that fails; `None` where this call is served.
    pub(super) fn troubled(&self, ask: &Ask) -> Option<Answer> {
        let sky = self.sky();
        let of_here = sky.troubles.iter().filter(|(region, _)| *region == ask.region);
        of_here
            .filter_map(|(_, trouble)| trouble.refusal(ask))
            .next()
            .map(|refusal| refusal.answer(&ask.service))
    }
}

impl Trouble {
    fn refusal(&self, ask: &Ask) -> Option<Refusal> {
        let is_ec2 = ask.service == "ec2";
        // IAM and billing are for the whole account, whatever region is in the signature.
        let is_regional = !["iam", "ce", "pricing"].contains(&ask.service.as_str());
        match self {
            Self::NotEnabled if is_ec2 => Some(Refusal::bad_keys()),
            Self::NotEnabled if ask.service == "sts" => {
                let words = "The security token included in the request is invalid";
                Some(Refusal::new(403, "InvalidClientTokenId", words))
            }
            Self::NotEnabled if is_regional => {
                let words = "The security token included in the request is invalid.";
                Some(Refusal::new(400, "UnrecognizedClientException", words))
            }
            Self::Down if is_ec2 => {
                let words = "The service is unavailable. Please try again shortly.";
                Some(Refusal::new(503, "Unavailable", words))
            }
            Self::Down if is_regional => {
                let words = "Service is unable to process the request at this time.";
                Some(Refusal::new(503, "ServiceUnavailableException", words))
            }
            Self::DeniedByPolicy(action) if is_ec2 && (*action == "*" || *action == ask.action) => {
                Some(Refusal::denied_by_policy(&ask.action))
            }
            Self::NoParameter(prefix) if ask.service == "ssm" && ask.get("Name").starts_with(prefix) => {
                Some(Refusal::new(400, "ParameterNotFound", ""))
            }
            _ => None,
        }
    }
}
