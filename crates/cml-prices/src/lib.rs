//! What a machine costs, where and when.
//!
//! [`Book`] is the answer to every question about a price: the tables that ship with the binary, and what was fetched
//! since. Each answer is a [`Quote`], which says where the figure comes from and how old it is, so that a report can.
//! [`catalog`] is what instance types have, [`advisor`] what spot saves, [`hosted`] what GitHub's own machines cost.
//!
//! [`Store`] keeps on disk what was fetched: AWS forgets spot prices after 90 days.
//!
//! What may not happen here: asking AWS (that is `cml-aws`'s), and anything about machines that really ran (that is
//! `cml-cost`'s). No figure passes through a float.

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
