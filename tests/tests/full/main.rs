//! The end-to-end tests of the full run (`CML_TESTS=full`): machines are booted, whole workflows run, the program is built and
//! installed anew.

mod boot;
mod boot_vm;
mod boot_weather;
mod deb;
mod first_hour;
mod seed;
mod static_binary;
