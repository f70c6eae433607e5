#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cml_surfaces::run("aws", bytes));
