//! The archives of the portal: `UD_SA_….tar.gz` and what is in it.
//!
//! ```text
//! UD_SA_<time>.tar.gz         one Smart Account
//!   manifest.mf               names the accounts
//!   UD_VA_<time>.tar.gz       one Virtual Account
//!     dev_<id>_<time>.txt     one product instance: a RUM text file
//! ```
//!
//! The outer gzip stores what is in it, which is compressed already. The answer mirrors the upload with `ACK_` before
//! every name. The form is known from Cisco's sample code for IOS XE alone (`xe-sip-api-code`), not from a specification.

mod account;
mod read;
mod write;
mod zip;

use std::time::Duration;

use jiff::Timestamp;

pub use self::account::AccountArchive;
pub use self::read::{Step, is_archive, open, walk, walk_outermost};
pub use self::write::{END, TarGzWriter, TarWriter, gzip, header, tar};
use crate::domain::digest::Sha256;

/// What the parts of a tar are multiples of.
pub const BLOCK: u64 = 512;

/// How much a foreign archive may ask of us before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members, folders included, over all archives in it.
    pub members: usize,
    /// Bytes of one file, and of a zip: what is in memory at once. Other archives are read as they come.
    pub member_bytes: u64,
    /// Bytes over everything unpacked, nested archives included.
    pub total_bytes: u64,
    /// How often its own size a gzip stream may become …
    pub ratio: u64,
    /// … once it is above this many bytes.
    pub ratio_free_bytes: u64,
    /// Archives in archives; the portal's have two levels, a tar of our own bundle three.
    pub depth: usize,
    /// How long reading it may take.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            members: 50_000,
            member_bytes: 64 << 20,
            total_bytes: 512 << 20,
            ratio: 250,
            ratio_free_bytes: 8 << 20,
            depth: 3,
            time: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// For bundles that we made: as many members as the largest fleet has instances.
    pub fn own() -> Limits {
        let time = Duration::from_secs(30 * 60);
        Limits { members: 500_000, total_bytes: 16 << 30, time, ..Limits::default() }
    }
}

/// A file on its way into an archive or bundle: its name there, and its bytes.
pub type NamedBytes = (String, Vec<u8>);

/// A file out of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name as it stands there; to show, not to open.
    pub name: String,
    pub size: u64,
    pub sha256: Sha256,
    /// Its content; nothing, when it is an archive itself.
    pub bytes: Vec<u8>,
    /// What is in it, when it is an archive itself.
    pub inside: Option<Vec<Member>>,
}

/// Every member and those inside members, outer ones first, each with its names joined by `/`.
pub fn flatten(members: &[Member]) -> Vec<(String, &Member)> {
    let mut all = Vec::new();
    for member in members {
        all.push((member.name.clone(), member));
        for (name, inner) in flatten(member.inside.as_deref().unwrap_or_default()) {
            all.push((format!("{}/{name}", member.name), inner));
        }
    }
    all
}

/// Why an archive was refused as a whole; `place` is its name, with the member's where there is one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{place}: expected a tar, tar.gz or zip archive, got something else")]
    NotAnArchive { place: String },
    #[error("{place}: cut off or damaged: {cause}")]
    Damaged { place: String, cause: String },
    #[error("{place}: something follows where the {what} ends")]
    Trailing { place: String, what: &'static str },
    #[error("{place}: more than {limit} members")]
    TooMany { place: String, limit: usize },
    #[error("{place}: more than {limit} bytes {what}")]
    TooLarge { place: String, what: &'static str, limit: u64 },
    #[error("{place}: becomes more than {limit} times its size when unpacked")]
    Bomb { place: String, limit: u64 },
    #[error("{place}: not read within {} s", limit.as_secs())]
    TooSlow { place: String, limit: Duration },
    #[error("{place}: archives nested deeper than {limit}")]
    TooDeep { place: String, limit: usize },
    #[error("{place}: expected a plain file, got {got}")]
    NotAFile { place: String, got: String },
    #[error("{place}: a member's name {why}: {name:?}")]
    Name { place: String, name: String, why: &'static str },
}

/// A time as the sample writes it into names: `21Apr20_20_56_13_123`, in UTC.
pub fn name_time(at: Timestamp) -> String {
    at.strftime("%y%b%d_%H_%M_%S_%3f").to_string()
}

/// What the answer to an uploaded file is called.
pub fn answer_name(uploaded: &str) -> String {
    format!("ACK_{uploaded}")
}

#[cfg(test)]
mod tests;
