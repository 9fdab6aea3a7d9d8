//! See [`slp_collector_fuzz::show_license`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| slp_collector_fuzz::show_license(data));
