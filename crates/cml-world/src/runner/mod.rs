//! The small runner program and what the simulated GitHub tells it.
//!
//! The real runner cannot be fetched where there is no network, and nobody but GitHub speaks its protocol. This one has
//! its outside: the same files, words, hooks, signals and exit codes. What it says to the server is its own.

pub(crate) mod configuration;
mod order;
pub(crate) mod protocol;
pub(crate) mod tarball;
