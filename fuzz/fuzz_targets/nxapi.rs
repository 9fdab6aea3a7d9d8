//! See [`slp_collector_fuzz::nxapi`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| slp_collector_fuzz::nxapi(data));
