//! Errors of a cloud as kinds that a caller can branch on.

use crate::types::Offer;

/// Kind of an error; each has its own remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// No machine of that type in that zone and market now: another offer may succeed.
    Capacity,
    /// The account's own limit: request a higher one, or wait until usage falls.
    Quota,
    /// Too many calls: wait.
    Throttled,
    /// Credentials are missing, expired or lack a permission.
    Denied,
    /// The request can never succeed as it is.
    Invalid,
    /// Network, time-out or a 5xx. After a launch call the outcome is unknown.
    Transient,
}

/// A refused offer, and the reason.
#[derive(Clone, Debug)]
pub struct OfferFailure {
    /// The offer; the zone may be unknown.
    pub offer: Option<Offer>,
    /// The kind of refusal.
    pub kind: ErrorKind,
    /// The provider's own code, such as `InsufficientInstanceCapacity`.
    pub code: String,
    /// The provider's own message.
    pub message: String,
    /// A hint about this very refusal; `None` where its kind is sufficient.
    pub hint: Option<String>,
}

/// A cloud refused, or did not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{doing}: {cause}")]
pub struct CloudError {
    /// The kind, to branch on.
    pub kind: ErrorKind,
    /// The operation: `launching in us-east-1`.
    pub doing: String,
    /// The cause, with the provider's code where there is one.
    pub cause: String,
    /// The provider's error code, where there is one.
    pub code: Option<String>,
    /// A hint: what the reader can do about it.
    pub hint: Option<String>,
    /// The offers that were tried, each with its own reason; empty when the call failed as a whole.
    pub failures: Vec<OfferFailure>,
}

impl CloudError {
    /// Creates an error without code, hint or failures.
    pub fn new(kind: ErrorKind, doing: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { kind, doing: doing.into(), cause: cause.into(), code: None, hint: None, failures: Vec::new() }
    }

    /// Returns the cause, and the hint where the request itself is at fault.
    #[must_use]
    pub fn cause_and_cure(&self) -> String {
        match &self.hint {
            Some(hint) if self.kind == ErrorKind::Invalid => format!("{}; {hint}", self.cause),
            _ => self.cause.clone(),
        }
    }

    /// Adds a hint.
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

    /// Adds the refusals behind this error.
    #[must_use]
    pub fn failures(mut self, failures: Vec<OfferFailure>) -> Self {
        self.failures = failures;
        self
    }
}
