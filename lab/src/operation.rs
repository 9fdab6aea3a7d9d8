//! What can be done to a device, and what it says.

use serde::Serialize;

use crate::state::State;
use crate::udi::Udi;

/// One thing done to a device, whatever the face it came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Nothing but time.
    Advance,
    /// The licence, by short name or tag, is used so many times from now on.
    SetCount {
        licence: String,
        count: u32,
    },
    /// Ends every open report and opens the next one of its chain.
    Close,
    /// Ids and times of what could be fetched.
    List,
    /// Fetches every stored report; they count as requested from now on.
    AllReports,
    /// Fetches the reports that ended in the last so many days.
    Days(u32),
    /// Takes an answer file: acknowledgements, policy, account.
    Import(Vec<u8>),
    State,
    Reload,
    /// The device's clock jumps by so many seconds.
    ClockStep(i64),
    /// Drops what is acknowledged, then the oldest until storage is within its limit.
    Purge,
    /// The standby becomes active.
    SwitchOver,
    /// A chassis is stacked with the others: the second one of all as standby, others as members.
    Join(Udi),
    /// A chassis is taken out. If it was the active one, the next takes its place.
    Leave(Udi),
    WriteFile {
        name: String,
        bytes: Vec<u8>,
    },
    ReadFile(String),
    DeleteFile(String),
    /// Ends the running reports, then writes reports to a file on flash.
    SaveUsage {
        which: Saved,
        name: String,
    },
    /// [`Operation::Import`] of a file on flash.
    ImportFile(String),
}

/// Which reports a saved file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    All,
    /// Those never requested before.
    Unreported,
    Days(u32),
    One(u64),
}

/// The device's answer to an [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Done,
    /// Ids of the reports that ended.
    Closed(Vec<u64>),
    List(Vec<Listed>),
    Reports(Vec<Fetched>),
    Imported(Imported),
    State(Box<State>),
    /// Ids of the reports that are gone.
    Purged(Vec<u64>),
    File(Vec<u8>),
    Refused(Refusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub report_id: u64,
    /// When the report ended, by the device's clock.
    pub timestamp: i64,
}

/// A signed report as it leaves the device: the JSON object of `usage` and of `<RUMReport>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub report_id: u64,
    pub json: String,
}

/// What an import changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Imported {
    /// Reports this import acknowledged; empty when they all were already.
    pub acknowledged: Vec<u64>,
    /// Listed ids of which the device knows nothing.
    pub unknown: Vec<u64>,
    pub policy: Option<String>,
    pub account: bool,
}

/// A licence-level refusal, with the number and name of Cisco's table of errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    pub code: u16,
    pub name: &'static str,
    pub message: String,
}

impl Refusal {
    pub fn not_found(what: impl Into<String>) -> Refusal {
        Refusal { code: 9, name: "notfound", message: what.into() }
    }

    pub fn not_supported(what: impl Into<String>) -> Refusal {
        Refusal { code: 10, name: "notsupported", message: what.into() }
    }

    pub fn parse(what: impl Into<String>) -> Refusal {
        Refusal { code: 17, name: "msgparse", message: what.into() }
    }

    pub fn storage(what: impl Into<String>) -> Refusal {
        Refusal { code: 25, name: "storagefailtostore", message: what.into() }
    }

    pub fn identifier(found: &Udi, own: &Udi) -> Refusal {
        let message = format!("the answer is for {found}, this is {own}");
        Refusal { code: 28, name: "matchidentifier", message }
    }

    pub fn signature(part: &str) -> Refusal {
        Refusal { code: 45, name: "verifysignaturefailed", message: format!("the signature of {part} does not hold") }
    }
}

/// Numbers, names and sentences of Cisco's table of licensing errors, those that the lab can meet. The command line
/// prints the sentence alone.
const SENTENCES: [(u16, &str, &str); 12] = [
    (9, "notfound", "The requested item was not found"),
    (10, "notsupported", "The requested operation is not supported"),
    (17, "msgparse", "message parsing error"),
    (19, "notenabled", "Smart Agent not enabled"),
    (25, "storagefailtostore", "Smart Agent Trusted Storage failed to store*"),
    (28, "matchidentifier", "Product Instance identifier failed to match"),
    (30, "matchnonce", "nonce failed to match"),
    (45, "verifysignaturefailed", "Signature Verification failed "),
    (52, "standby", "Smart agent is running on a standby RP "),
    (71, "storageobjdoesnotexist", "trusted storage object/file does not exist"),
    (73, "codevalidationfailed", "Validation of the authorization key failed"),
    (103, "base64decoding", "Base64 decoding failed "),
];

impl Refusal {
    /// The refusal of this number; one that the lab has no sentence for becomes "not supported".
    pub fn numbered(code: u16) -> Refusal {
        let known = SENTENCES.into_iter().find(|(number, _, _)| *number == code).unwrap_or(SENTENCES[1]);
        Refusal { code: known.0, name: known.1, message: known.2.trim_end().to_string() }
    }

    /// What the command line says.
    pub fn sentence(&self) -> &'static str {
        SENTENCES.into_iter().find(|(number, _, _)| *number == self.code).map_or("Internal error", |(_, _, text)| text)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error {} {}: {}", self.code, self.name, self.message)
    }
}

impl Reply {
    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Reply::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The fetched reports; empty for every other reply.
    pub fn into_reports(self) -> Vec<Fetched> {
        match self {
            Reply::Reports(reports) => reports,
            _ => Vec::new(),
        }
    }
}
