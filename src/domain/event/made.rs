//! Facts made up for tests: what a test is about is said, all else is as plain as can be.

use super::DeviceIdentified;
use crate::domain::instance::{Site, Udi};

/// Alone, of no site, and of IOS XE.
pub fn identified(device: &str, udi: Udi) -> DeviceIdentified {
    DeviceIdentified {
        device: device.into(),
        site: Site::default(),
        udi,
        uuid: None,
        members: Vec::new(),
        os: "ios-xe".to_owned(),
        software: None,
        hostname: None,
        clock_skew_seconds: None,
    }
}
