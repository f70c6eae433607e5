//! The small runner program and its side of the simulated GitHub.
//!
//! The real runner cannot be downloaded without a network, and only GitHub implements its protocol. This one has the
//! same interface: the same files, messages, hooks, signals and exit codes. Its protocol with the server is its own.

pub(crate) mod configuration;
mod order;
pub(crate) mod protocol;
pub(crate) mod tarball;
