//! The facts of bundles. **stored**, as all facts are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::digest::Sha256;
use crate::domain::instance::{Site, Udi};
use crate::domain::report::ReportId;

/// One report inside a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundledReport {
    pub udi: Udi,
    pub report_id: ReportId,
    pub payload_sha256: Sha256,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleMade {
    pub bundle_id: String,
    pub nonce: String,
    /// `None`: all sites.
    pub site: Option<Site>,
    pub manifest_sha256: Sha256,
    /// The name of the folder or tar that was written.
    pub name: String,
    /// Names of the files meant for upload; answers carry them with `ACK_` in front.
    pub uploads: Vec<BundleUpload>,
    pub reports: Vec<BundledReport>,
    pub previous_bundle_id: Option<String>,
}

/// A file of a bundle that a person uploads, and the instance inside when there is just one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleUpload {
    pub name: String,
    pub udi: Option<Udi>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleHandedOver {
    pub bundle_id: String,
    /// When it left; may be earlier than the event.
    pub handed_over: Timestamp,
    pub note: String,
}
