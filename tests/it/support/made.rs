//! Facts made up for tests: what a test is about is said, all else is as plain as can be.

use slp_collector::domain::event::{DeviceIdentified, Fact};
use slp_collector::domain::instance::{Site, Udi};

/// A device of that site told who it is: alone, and of IOS XE.
pub fn identified(device: &str, site: &str, udi: Udi) -> Fact {
    Fact::DeviceIdentified(DeviceIdentified {
        device: device.into(),
        site: Site::from(site),
        udi,
        uuid: None,
        members: Vec::new(),
        os: "ios-xe".to_owned(),
        software: None,
        hostname: None,
        clock_skew_seconds: None,
    })
}
