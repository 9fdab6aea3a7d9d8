//! What is told to people: a message, its rows, and who has it already.
//!
//! A message is composed once and kept until every sink has taken it, so that it says the same to all of them and
//! survives a restart. Each way of telling writes it in its own form.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::deadline::ObligationState;
use super::instance::{Account, DeviceName, Site, Udi};
use super::settings::words;
use super::violation::{Kind, Severity, ViolationId};

/// What a message is about. **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Deadlines come near.
    Reminder,
    /// Deadlines are past; told daily.
    Overdue,
    /// Obligations of which was told before are met.
    Met,
    /// Violations were found.
    Violation,
    /// Violations are resolved.
    Resolved,
    /// The weekly summary, also when all is well.
    Digest,
    /// Somebody tries whether messages arrive.
    Test,
}
words!(Topic {
    Reminder = "reminder",
    Overdue = "overdue",
    Met = "met",
    Violation = "violation",
    Resolved = "resolved",
    Digest = "digest",
    Test = "test",
});

/// One obligation or violation in a message. **stored**
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// How it is called: the device's name, else its UDI, or the On-Prem server's name.
    pub name: String,
    pub device: Option<DeviceName>,
    pub udi: Option<Udi>,
    pub site: Site,
    pub account: Account,
    pub state: Option<ObligationState>,
    pub due: Option<Timestamp>,
    pub leave_by: Option<Timestamp>,
    pub violation: Option<ViolationId>,
    pub kind: Option<Kind>,
    /// One sentence for a person.
    pub what: String,
    pub remedy: Option<String>,
}

/// Something that is told once. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `m-` and ten hex digits; the same wherever it arrives, so that a second copy can be known.
    pub id: String,
    pub at: Timestamp,
    pub topic: Topic,
    pub severity: Severity,
    /// `None`: not about one site.
    pub site: Option<Site>,
    /// One line: how many, what, where.
    pub title: String,
    /// A few sentences before the table; often empty.
    pub text: String,
    /// Soonest deadline first.
    pub lines: Vec<Line>,
}

/// A message on its way. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    pub message: Message,
    /// The sinks, by name, that have not taken it yet.
    pub waiting: BTreeSet<String>,
}
