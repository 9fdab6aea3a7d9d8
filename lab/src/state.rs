//! The truth about a device at one moment, all times by the device's own clock.

use serde::Serialize;

use crate::account::Account;
use crate::licence::Licence;
use crate::policy::Policy;
use crate::report::ReportState;
use crate::udi::{Member, Udi};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    pub now: i64,
    pub name: String,
    pub udi: Udi,
    pub uuid: Option<String>,
    pub members: Vec<Member>,
    pub software: String,
    pub product: String,
    pub licences: Vec<Licence>,
    pub policy: Policy,
    pub policy_installed: Option<i64>,
    pub account: Option<Account>,
    /// When a trust code was installed.
    pub trusted: Option<i64>,
    /// When the last acknowledgement or policy was installed.
    pub last_ack: Option<i64>,
    /// When the next acknowledgement is owed; `None` when nothing is.
    pub due: Option<i64>,
    /// When a licence was first used.
    pub first_use: Option<i64>,
    /// Every report the device remembers, by id.
    pub reports: Vec<Known>,
    pub files: Vec<String>,
    /// Bytes left on flash.
    pub free: u64,
    /// When usage was last saved to a file.
    pub last_save: Option<i64>,
    /// When it was first switched on.
    pub started: i64,
    pub reloads: u32,
}

/// A report the device knows of, whatever its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known {
    pub id: u64,
    /// Short name of the licence, or `TELEMETRY`.
    pub licence: String,
    /// The licence's tag; telemetry has none.
    pub tag: Option<String>,
    /// The member that signed it, or would.
    pub udi: Udi,
    pub state: ReportState,
    pub start: i64,
    pub end: Option<i64>,
    /// The neighbours in the licence's chain; 0 for none.
    pub previous: u64,
    pub next: u64,
}
