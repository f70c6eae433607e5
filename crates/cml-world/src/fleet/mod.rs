//! A whole simulated world for the fleet: clock, market, machines, GitHub, people and trouble.
//!
//! The real controller, planner and journal run in it, in one thread and in virtual time. One seed is one history, byte for
//! byte. The laws are checked against the truth after everything that happens.
//!
//! What may not happen here: any look at the real clock, any thread, any map without an order.

mod chance;
mod cloud;
mod fault;
mod forge;
mod gate;
mod hub;
mod journal;
mod laws;
mod machine;
mod market;
mod play;
mod sabotage;
mod specs;
mod stranger;
mod trace;
mod what_if;
mod world;

pub use chance::Chance;
pub use fault::Fault;
pub use market::Kind;
pub use play::{History, Play, play};
pub use sabotage::Sabotage;
pub use trace::{ZoneTrace, v100};
pub use what_if::{Figures, Outcome, PastJob, WhatIf, Wish, what_if};
