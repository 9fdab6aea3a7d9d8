//! The facts of trust: certificates and keys that are taken, credentials that are not. **stored**, as all facts are.

use serde::{Deserialize, Serialize};

use crate::domain::digest::Sha256;
use crate::domain::instance::DeviceName;

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decider {
    /// First contact under `trust = learn`.
    FirstContact,
    /// A person, by a verb.
    Operator,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrustPinned {
    pub device: DeviceName,
    /// The type of a host key, such as `ssh-rsa`; `None` for a certificate.
    pub key_type: Option<String>,
    /// SHA-256 of the certificate (DER) or host key.
    pub fingerprint: Sha256,
    pub by: Decider,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrustRefused {
    pub device: DeviceName,
    /// As in [`TrustPinned`].
    pub key_type: Option<String>,
    pub pinned: Sha256,
    pub presented: Sha256,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CredentialRefused {
    /// The credential's name, never its value.
    pub credential: String,
    pub device: DeviceName,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpstreamRefused {
    /// The credential's name, never its value.
    pub credential: String,
    /// The upstream's name in the configuration.
    pub upstream: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CredentialReleased {
    pub credential: String,
    pub note: Option<String>,
}
