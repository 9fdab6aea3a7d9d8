//! `manifest.json`: what is in a bundle, as its signer states it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Nothing in it can fail to be written: no map with other keys than text, no number that is not one.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}
