//! What IOS XE, IOS XR and NX-OS print of their licensing, read into [`DeviceState`].
//!
//! One tolerant reader for `show license all|status|usage|summary|udi|authorization|tech support|rum id …|history
//! message|eventlog`, `show license platform`, the licence tables and files of NX-OS and classic IOS, `show version`
//! and `show inventory`: one output or a whole terminal session. What it knows of forms comes from recorded outputs
//! of Smart Agents 5.1 to 6.3 on IOS XE; IOS XR and NX-OS run the same agent, and of their SLP outputs only the
//! usage of NX-OS 10 was seen, so everything else there is expected, not confirmed. Reservations under SLP are read
//! as Cisco's guides show them; no recorded output had one.
//!
//! Nothing here fails or panics: what is missing is `None`, what could not be read is told in the problems. Every
//! text takes time in proportion to its length.

mod authorization;
mod chassis;
mod complaint;
mod deadline;
mod identity;
mod licence_errors;
mod lines;
mod model;
mod platform;
mod reader;
mod reports;
mod section;
mod stamp;
mod status;
mod traditional;
mod usage;
mod whole;

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

pub use self::complaint::{Complaint, ComplaintKind, complaint};
pub use self::deadline::{CrossCheck, cross_check};
pub use self::identity::{Identity, identity};
pub use self::platform::{Platform, PlatformRow, Span};
pub use self::traditional::Traditional;
use super::instance::Udi;
use super::problem::Problems;
use super::state::{DeviceState, ListedReport, Stamp};

/// What a text turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    ShowLicense,
    ShowVersion,
    ShowInventory,
    /// Nothing but refusals of commands; see [`Reading::complaints`].
    Refusal,
    #[default]
    Unknown,
}

/// A refusal within a session, with the command that it answers where that was echoed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub command: Option<String>,
    pub complaint: Complaint,
}

/// What was read out of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    pub kind: Kind,
    /// `ios-xe`, `ios-xr`, `nx-os`, where the text tells it.
    pub os: Option<&'static str>,
    /// Of `show version`, else of a prompt.
    pub hostname: Option<String>,
    pub software: Option<String>,
    /// The licensing; without anything when the text is of another kind.
    pub state: DeviceState,
    /// The chassis by `show version` or `show inventory`.
    pub chassis: Option<Udi>,
    /// Is the chassis told by its product id, and not by the name of its processor, which may lack a part of it?
    pub chassis_certain: bool,
    /// The device's clock, as printed before the last output or by `show clock`.
    pub clock: Option<Stamp>,
    pub traditional: BTreeSet<Traditional>,
    /// NX-OS `show license host-id`: the chassis' serial.
    pub host_id: Option<String>,
    pub platform: Option<Platform>,
    pub complaints: Vec<Refused>,
    pub problems: Problems,
}

/// Reads the output of one command, of several, or a terminal session. `zone` is the device's configured time
/// zone: without it local zone names have no UTC.
pub fn read(text: &str, zone: Option<&TimeZone>) -> Reading {
    reader::read(text, zone)
}

/// The reports that `show license rum id all`, or one record, lists; in the order printed.
pub fn rum_ids(text: &str) -> Vec<ListedReport> {
    read(text, None).state.rum_ids
}
