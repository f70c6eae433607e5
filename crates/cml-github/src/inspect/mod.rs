//! Inspection of GitHub before anything depends on it: identity and expiry of the credentials, delivered webhooks, and
//! who can run code on runners. All calls are read-only; nothing is created, changed or removed.

mod credentials;
mod exposure;
mod hooks;

pub use credentials::{AppFacts, CredentialFacts, TokenKind};
pub use exposure::{Exposure, GroupFacts, PrivateForks};
pub use hooks::{DeliveryFacts, HookFacts};
