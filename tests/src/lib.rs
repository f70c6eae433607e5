//! End-to-end harness: the EC2 emulator behind our front, the simulated GitHub, and the built binaries as processes.
//!
//! Nothing here may need the world outside: the one thing that is fetched is the emulator's Python packages, once.

pub mod boot;
pub mod daemon;
pub mod desk;
pub mod edge;
pub mod front;
pub mod moto;
pub mod paths;
pub mod processes;
pub mod relay;
pub mod runner;
pub mod secrets;
pub mod sim;
pub mod wait;
