//! `manifest.json`: what is in a bundle, as its signer states it.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::domain::digest::Sha256;
use crate::domain::instance::{Account, DeviceName, Site, Udi};
use crate::domain::report::{EntitlementTag, ReportId};

/// The schema of version 1; it also says what the signature is for.
pub const SCHEMA: &str = "slp-collector/bundle-manifest/v1";

/// **signed**, version 1: the signature is over the bytes of the file, which are never written again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: String,
    pub bundle_id: String,
    pub nonce: String,
    pub created: Timestamp,
    pub collector: String,
    /// `null`: all sites.
    pub site: Option<Site>,
    pub accounts: Vec<Account>,
    /// Every file but the manifest and its signature.
    pub members: Vec<ManifestMember>,
    pub reports: Vec<ManifestReport>,
    /// The kinds of data that leave the site.
    pub contains: Vec<String>,
    pub previous_bundle_id: Option<String>,
}

/// One file of the bundle. **signed**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestMember {
    pub path: String,
    pub size: u64,
    pub sha256: Sha256,
}

/// One report of the bundle. **signed**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestReport {
    pub udi: Udi,
    pub report_id: ReportId,
    pub payload_sha256: Sha256,
    pub entitlement_tag: Option<EntitlementTag>,
    pub device: Option<DeviceName>,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
}

impl Manifest {
    /// JSON with each member and each report on one line. A signature wants all bytes at once, and with every field on a
    /// line of its own they would be twice as many.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = self.serialize(&mut Serializer::with_formatter(&mut bytes, Lines { inside: 0 }));
        debug_assert!(written.is_ok(), "there is no map with other keys than text, no number that is not one");
        bytes.push(b'\n');
        bytes
    }
}

/// Begins a line at each field of the outermost object, and at each element of its lists.
struct Lines {
    /// So many objects deep.
    inside: usize,
}

impl Lines {
    fn separate<W: Write + ?Sized>(&self, to: &mut W, first: bool) -> io::Result<()> {
        to.write_all(if first { b"" } else { b"," })?;
        to.write_all(if self.inside == 1 { b"\n" } else { b"" })
    }
}

impl Formatter for Lines {
    fn begin_object<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.inside += 1;
        to.write_all(b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.inside -= 1;
        to.write_all(b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.separate(to, first)
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.separate(to, first)
    }
}
