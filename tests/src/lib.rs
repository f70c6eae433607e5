//! End-to-end harness: the EC2 emulator behind our front, the simulated GitHub, and the built binaries as processes.
//!
//! Nothing here may need the Internet except package indexes: the emulator's Python packages are downloaded once, and
//! the guide's workflows ([`seed`]) install their own.

pub mod action;
pub mod bare;
pub mod book;
pub mod boot;
pub mod browser;
pub mod daemon;
pub mod desk;
pub mod dns;
pub mod edge;
pub mod front;
pub mod iam;
pub mod moto;
pub mod paths;
pub mod processes;
pub mod relay;
pub mod release;
pub mod runner;
pub mod secrets;
pub mod seed;
pub mod sim;
pub mod terminal;
pub mod tier;
pub mod venv;
pub mod wait;
