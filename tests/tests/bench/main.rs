//! Benchmarks that start the built program. They are ignored but where they are asked for: `just bench`, `just bench-boot`.
#![allow(clippy::print_stdout, reason = "a benchmark's output is its result")]

mod boot;
mod daemon;
mod local;
mod report;
mod scale;
