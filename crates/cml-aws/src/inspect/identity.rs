//! Identity and expiry of the credentials.

use aws_sdk_sts::config::ProvideCredentials;
use cml_cloud::{CloudError, ErrorKind};
use jiff::Timestamp;

use crate::clients::repeat;
use crate::cloud::AwsCloud;
use crate::errors::failed;

/// Identity of the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `arn:aws:sts::123456789012:assumed-role/cml-runner/session`.
    pub arn: String,
    /// The account's twelve digits.
    pub account: String,
    /// Time of expiry; `None` for keys that do not expire.
    pub expires_at: Option<Timestamp>,
    /// Whether it is a user's key, which is valid until it is removed.
    pub is_long_lived: bool,
}

impl Identity {
    /// Returns whether it is the account's root user, which no policy of the account restricts.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.arn.ends_with(":root")
    }

    /// Returns the user or role whose policies apply, for queries to IAM. `None` for any other identity.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>
    #[must_use]
    pub fn principal(&self) -> Option<String> {
        let parts: Vec<&str> = self.arn.splitn(6, ':').collect();
        let [_, partition, _, _, account, whom] = parts.as_slice() else { return None };
        match whom.split('/').collect::<Vec<_>>().as_slice() {
            ["assumed-role", role, _session] => Some(format!("arn:{partition}:iam::{account}:role/{role}")),
            ["user", ..] => Some(self.arn.clone()),
            _ => None,
        }
    }
}

const ASKING: &str = "asking whose the credentials are";

impl AwsCloud {
    /// Queries the identity of the credentials, which needs no permission, in the first of these regions that answers.
    /// A region that is not enabled does not know valid credentials.
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
    ///
    /// # Errors
    /// [`Denied`](cml_cloud::ErrorKind::Denied) when there are none, or AWS does not accept them.
    pub async fn identity(&self, regions: &[String]) -> Result<Identity, CloudError> {
        let default = self.clients.default_region.clone();
        let others = regions.iter().filter(|region| **region != default).cloned();
        let mut answer = Err(CloudError::new(ErrorKind::Invalid, ASKING, "no region is named"));
        for region in std::iter::once(default.clone()).chain(others) {
            let client = self.clients.sts(&region);
            let asked = repeat(|| async {
                let sent = client.get_caller_identity().send().await;
                sent.map_err(|error| failed(ASKING, "sts:GetCallerIdentity", &error))
            });
            match asked.await {
                Ok(found) => {
                    answer = Ok(found);
                    break;
                }
                // The error of the first region is returned.
                Err(error) if region == default => answer = Err(error),
                Err(_) => {}
            }
        }
        let answer = answer?;
        let held = match self.clients.config().credentials_provider() {
            Some(provider) => provider.provide_credentials().await.ok(),
            None => None,
        };
        let expires_at = held.as_ref().and_then(|held| held.expiry());
        Ok(Identity {
            arn: answer.arn().unwrap_or_default().to_owned(),
            account: answer.account().unwrap_or_default().to_owned(),
            expires_at: expires_at.and_then(|at| Timestamp::try_from(at).ok()),
            // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
            is_long_lived: held.is_some_and(|held| held.access_key_id().starts_with("AKIA")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_behind_a_session_is_whom_iam_knows() {
        let of = |arn: &str| {
            let identity = Identity {
                arn: arn.to_owned(),
                account: String::new(),
                expires_at: None,
                is_long_lived: false,
            };
            identity.principal()
        };
        let role = of("arn:aws:sts::123456789012:assumed-role/cml-runner/GitHubActions");
        assert_eq!(role.as_deref(), Some("arn:aws:iam::123456789012:role/cml-runner"));
        let user = of("arn:aws-cn:iam::123456789012:user/team/ci");
        assert_eq!(user.as_deref(), Some("arn:aws-cn:iam::123456789012:user/team/ci"));
        assert_eq!(of("arn:aws:iam::123456789012:root"), None);
        assert_eq!(of("nonsense"), None);
    }
}
