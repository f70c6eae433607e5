//! A look at what GitHub lets us do before anything depends on it: whose the credentials are and until when, which webhooks come,
//! and who may have code run on runners. Everything here asks; nothing is made, changed or removed.

mod credentials;
mod exposure;
mod hooks;

pub use credentials::{AppFacts, CredentialFacts, TokenKind};
pub use exposure::{Exposure, GroupFacts, PrivateForks};
pub use hooks::{DeliveryFacts, HookFacts};
