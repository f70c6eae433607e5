//! A whole simulated world for the fleet: clock, market, machines, GitHub, people and faults.
//!
//! The real controller, planner and journal run in it, in one thread and in virtual time. One seed is one history, byte
//! for byte. The laws are checked against the truth after every event.
//!
//! Forbidden here: reads of the real clock, threads, maps without an order.

mod cloud;
mod fault;
mod fault_point;
mod forge;
mod github_model;
mod journal;
mod laws;
mod machine;
mod market;
mod mutant;
mod rng;
mod run;
mod specs;
mod stranger;
mod trace;
mod what_if;
mod world;

pub use fault::Fault;
pub use market::Kind;
pub use mutant::Mutant;
pub use rng::Rng;
pub use run::{RunConfig, RunResult, run};
pub use trace::{ZoneTrace, v100};
pub use what_if::{Figures, Outcome, PastJob, WhatIf, Wish, what_if};
