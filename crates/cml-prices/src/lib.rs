//! Prices of machines, by place and time.
//!
//! [`Book`] answers every query for a price: from the tables that ship with the binary, and from what was fetched
//! since. Each answer is a [`Quote`], which contains the source and the age of the figure, so that a report can show
//! them.
//! [`catalog`] has the resources of instance types, [`advisor`] the savings of spot, [`hosted`] the prices of
//! GitHub-hosted runners.
//!
//! [`Store`] keeps fetched prices on disk: AWS deletes spot prices after 90 days.
//!
//! Not allowed here: calls to AWS (those are in `cml-aws`), and anything about machines that actually ran (that is in
//! `cml-cost`). No figure passes through a float.

pub mod advisor;
mod book;
pub mod catalog;
pub mod hosted;
mod quote;
mod store;
mod table;
mod volumes;

pub use book::{Book, OnDemandPrice, VolumePrice};
pub use catalog::{InstanceTypeInfo, all, find};
pub use quote::{Quote, Source};
pub use store::{Fetched, ImportStats, SpotAnswer, Store, StoreError};
