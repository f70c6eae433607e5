//! A look at what GitHub lets us do before anything depends on it: whose the credentials are and until when, which webhooks come,
//! and who may have code run on runners. Everything here asks; nothing is made, changed or removed.

mod credentials;
mod hooks;
mod openness;

pub use credentials::{AppFacts, CredentialFacts, TokenKind};
pub use hooks::{DeliveryFacts, HookFacts};
pub use openness::{GroupFacts, Openness, PrivateForks};
