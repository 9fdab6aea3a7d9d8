//! The two secrets of the lab: one in every device's agent, one in the portal.
//!
//! Real devices sign with a secret nobody outside knows, and so does the portal. The lab only needs that a changed
//! byte is found by the side that would find it in the field, and by nobody else.

use data_encoding::BASE64;
use ring::hmac;

use crate::udi::Udi;

const DEVICE: &[u8] = b"the lab's device agent";
const PORTAL: &[u8] = b"the lab's portal";

/// The outer signature of a report: over the payload's bytes and the UDI that claims them.
pub fn report(udi: &Udi, payload: &str) -> String {
    mac(DEVICE, &["report", &udi.pid, &udi.sn, payload])
}

pub fn report_holds(udi: &Udi, payload: &str, value: &str) -> bool {
    holds(DEVICE, &["report", &udi.pid, &udi.sn, payload], value)
}

/// The signature inside a payload, which names the device and not the usage.
pub fn identity(udi: &Udi, report: u64) -> String {
    mac(DEVICE, &["identity", &udi.pid, &udi.sn, &report.to_string()])
}

/// The signature beside one part of an answer: `part` is the element's name, `text` what it covers.
pub fn answer(part: &str, text: &str) -> String {
    mac(PORTAL, &["answer", part, text])
}

pub fn answer_holds(part: &str, text: &str, value: &str) -> bool {
    holds(PORTAL, &["answer", part, text], value)
}

/// A short name for a text, for ids that must come out the same each time.
pub fn fingerprint(text: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text);
    data_encoding::HEXLOWER.encode(&digest.as_ref()[..16])
}

fn mac(secret: &[u8], parts: &[&str]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    BASE64.encode(hmac::sign(&key, &joined(parts)).as_ref())
}

fn holds(secret: &[u8], parts: &[&str], value: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    BASE64.decode(value.as_bytes()).is_ok_and(|tag| hmac::verify(&key, &joined(parts), &tag).is_ok())
}

/// Lengths stand before the parts, so that no two lists of parts join to the same bytes.
fn joined(parts: &[&str]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        all.extend_from_slice(part.as_bytes());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_byte_is_found() {
        let udi = Udi::new("C9300-48U", "LAB2601A001");
        let value = report(&udi, "{\"a\":1}");
        assert_eq!(BASE64.decode(value.as_bytes()).unwrap().len(), 32);
        assert!(report_holds(&udi, "{\"a\":1}", &value));
        assert!(!report_holds(&udi, "{\"a\":2}", &value));
        assert!(!report_holds(&Udi::new("C9300-48U", "LAB2601A002"), "{\"a\":1}", &value));
        assert!(!report_holds(&udi, "{\"a\":1}", "not base64"));
    }
}
