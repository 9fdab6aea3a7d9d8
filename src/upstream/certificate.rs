//! What a server's certificates say of themselves: who, by whom, until when.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use crate::domain::digest::Sha256;
use crate::domain::problem::{excerpt, printable};

/// One certificate of the chain that a server showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    pub from: Timestamp,
    pub until: Timestamp,
    /// Its subject is its issuer; the signature is not looked at, for whoever trusts it decides by other means.
    pub self_issued: bool,
    /// SHA-256 of the DER, as a pin names it.
    pub sha256: Sha256,
}

impl Certificate {
    /// Reads a certificate in DER; `None` where it is none, or one of times that do not exist.
    pub fn read(der: &[u8]) -> Option<Certificate> {
        let (rest, certificate) = parse_x509_certificate(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let name = |name: &x509_parser::x509::X509Name<'_>| printable(&excerpt(&name.to_string()));
        let time = |time: ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        Some(Certificate {
            subject: name(certificate.subject()),
            issuer: name(certificate.issuer()),
            from: time(certificate.validity().not_before)?,
            until: time(certificate.validity().not_after)?,
            self_issued: certificate.subject().as_raw() == certificate.issuer().as_raw(),
            sha256: Sha256::of(der),
        })
    }
}

/// The chain as it was shown, the server's own first; what cannot be read is left out.
pub fn chain(shown: &[Vec<u8>]) -> Vec<Certificate> {
    shown.iter().filter_map(|der| Certificate::read(der)).collect()
}

/// From so long before its end a certificate is told of.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Does it end within 30 days, or did it?
pub fn ends_soon(until: Timestamp, now: Timestamp) -> bool {
    until.duration_since(now) < SOON
}

/// Until when all of a chain is valid; `None` without one.
pub fn until(chain: &[Certificate]) -> Option<Timestamp> {
    chain.iter().map(|certificate| certificate.until).min()
}
