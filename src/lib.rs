//! slp-collector.
