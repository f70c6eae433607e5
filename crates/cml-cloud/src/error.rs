//! Errors of a cloud as kinds that a caller can branch on.

use crate::types::Offer;

/// What kind of trouble it is; each has its own cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// No machine of that type in that zone and market now: try another offer.
    Capacity,
    /// The account's own limit: ask for more, or wait until usage falls.
    Quota,
    /// Too many calls: wait.
    Throttled,
    /// Credentials are missing, expired or lack a permission.
    Denied,
    /// The request can never work as it is.
    Invalid,
    /// Network, time-out or a 5xx. After a launch call the outcome is unknown.
    Transient,
}

/// One offer that was refused, and why.
#[derive(Clone, Debug)]
pub struct OfferFailure {
    /// What was asked for; the zone may be unknown.
    pub offer: Option<Offer>,
    /// The kind of refusal.
    pub kind: ErrorKind,
    /// The provider's own code, such as `InsufficientInstanceCapacity`.
    pub code: String,
    /// The provider's own words.
    pub message: String,
    /// What you can do about this very refusal; none where its kind says all.
    pub hint: Option<String>,
}

/// A cloud said no, or said nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{doing}: {cause}")]
pub struct CloudError {
    /// The kind, to branch on.
    pub kind: ErrorKind,
    /// What we were doing: `launching in us-east-1`.
    pub doing: String,
    /// What happened, with the provider's code where there is one.
    pub cause: String,
    /// The provider's error code, where there is one.
    pub code: Option<String>,
    /// What the reader can do about it.
    pub hint: Option<String>,
    /// The offers that were tried, each with its own reason; empty when the call failed as a whole.
    pub failures: Vec<OfferFailure>,
}

impl CloudError {
    /// An error without code, hint or failures.
    pub fn new(kind: ErrorKind, doing: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { kind, doing: doing.into(), cause: cause.into(), code: None, hint: None, failures: Vec::new() }
    }

    /// The cause, and where the request itself is at fault what you can do about it.
    #[must_use]
    pub fn cause_and_cure(&self) -> String {
        match &self.hint {
            Some(hint) if self.kind == ErrorKind::Invalid => format!("{}; {hint}", self.cause),
            _ => self.cause.clone(),
        }
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the provider's code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds the single refusals behind this error.
    #[must_use]
    pub fn failures(mut self, failures: Vec<OfferFailure>) -> Self {
        self.failures = failures;
        self
    }
}
