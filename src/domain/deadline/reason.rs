//! Why an obligation stands as it does, in one sentence.

use std::fmt;

use jiff::Timestamp;

use super::classes::Classes;
use crate::domain::fleet::Retirement;
use crate::domain::policy::Policy;

/// What a standing rests on; written as a sentence where it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason<'a> {
    NotSlp,
    Retired(&'a Retirement),
    /// The policy asks for no ACK.
    HandedOver {
        on: Timestamp,
    },
    AfterHandover {
        on: Timestamp,
        days: i64,
    },
    Stated {
        read: Option<Timestamp>,
        /// What our own rule gives, where that is more than a day away.
        differs: Option<Timestamp>,
    },
    AfterAck {
        ack: Timestamp,
        told: AckBy,
        days: i64,
        policy: &'a Policy,
        classes: Classes,
    },
    AfterInstallation {
        installed: Timestamp,
        days: i64,
        policy: &'a Policy,
        classes: Classes,
    },
    FirstReport {
        start: Timestamp,
        /// `start` is when we saw a licence in use for the first time.
        estimate: bool,
        days: i64,
        policy: &'a Policy,
        classes: Classes,
    },
    Change {
        change: Timestamp,
        days: i64,
        policy: &'a Policy,
        classes: Classes,
    },
    /// License On-Prem's own duty.
    Synchronised {
        on: Timestamp,
        days: i64,
    },
    NeverUsed,
    NoNumber,
    Unknown,
}

/// Who told of the last ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckBy {
    /// The device itself.
    Device,
    /// Nobody; it is when we learned of it.
    Seen,
    /// A person who installed it, on a device on which nobody here can look.
    Person,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotSlp => f.write_str("the device does not run Smart Licensing Using Policy"),
            Reason::Retired(retired) => {
                write!(f, "retired on {}", day(retired.at))?;
                if let Some(by) = &retired.replaced_by {
                    write!(f, ", replaced by {by}")?;
                }
                retired.note.as_ref().map_or(Ok(()), |note| write!(f, ": {}", note.escape_debug()))
            }
            Reason::HandedOver { on } => {
                write!(f, "the policy asks for no ACK, and the reports were handed over on {}", day(*on))
            }
            Reason::AfterHandover { on, days } => {
                write!(f, "handed over {} + {days} days; the policy asks for no ACK", day(*on))
            }
            Reason::Stated { read, differs } => {
                f.write_str("stated by the device")?;
                if let Some(read) = read {
                    write!(f, ", read {}", day(*read))?;
                }
                differs.map_or(Ok(()), |own| write!(f, "; by our own rule it would be {}", day(own)))
            }
            Reason::AfterAck { ack, told, days, policy, classes } => {
                let seen = match told {
                    AckBy::Device => "",
                    AckBy::Seen => " (an estimate: when it was seen here)",
                    AckBy::Person => " (by a person's word)",
                };
                write!(f, "last ACK {}{seen} + {days} days of {}, {classes}", day(*ack), Named(policy))
            }
            Reason::AfterInstallation { installed, days, policy, classes } => {
                let (installed, named) = (day(*installed), Named(policy));
                write!(f, "first report {days} days after {named} was installed {installed}, {classes}")
            }
            Reason::FirstReport { start, estimate, days, policy, classes } => {
                let estimate = if *estimate { " (an estimate: the first time we saw a licence in use)" } else { "" };
                let (start, named) = (day(*start), Named(policy));
                write!(f, "first report {days} days after {start}{estimate} by {named}, {classes}")
            }
            Reason::Change { change, days, policy, classes } => {
                let (change, named) = (day(*change), Named(policy));
                write!(f, "use changed {change} + {days} days for a change by {named}, {classes}")
            }
            Reason::Synchronised { on, days } => {
                write!(f, "License On-Prem synchronised with Cisco on {} + {days} days", day(*on))
            }
            Reason::NeverUsed => f.write_str("no licence was ever seen in use, so no report is owed"),
            Reason::NoNumber => f.write_str("every number of the policy that applies is 0"),
            Reason::Unknown => f.write_str("neither a policy nor a deadline is known"),
        }
    }
}

/// A policy as a sentence names it.
struct Named<'a>(&'a Policy);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.name {
            Some(name) => write!(f, "policy '{}'", name.escape_debug()),
            None => write!(f, "the {} policy", self.0.source.as_deref().unwrap_or("stated")),
        }
    }
}

/// A day as sentences name it.
pub(in crate::domain) fn day(at: Timestamp) -> impl fmt::Display {
    at.strftime("%Y-%m-%d")
}
