//! See [`slp_collector_fuzz::shell`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| slp_collector_fuzz::shell(data));
