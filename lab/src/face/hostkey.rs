//! The SSH host key of a device.
//!
//! RSA keys are the fixtures that certificates use (`data/`), shared by many devices; an Ed25519 key is made from the
//! serial number and is the device's own. They protect nothing: everything here listens on loopback.

use std::sync::atomic::{AtomicU32, Ordering};

use russh::keys::pkcs8::decode_pkcs8;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{HashAlg, PrivateKey};

use crate::face::certificate::KEYS;
use crate::spec::{HostKey, Spec};

/// A device's host key, by how often it was changed.
#[derive(Debug, Default)]
pub struct HostKeys(AtomicU32);

impl HostKeys {
    /// Its key of a kind; `foreign` is one it never had.
    pub fn of(&self, spec: &Spec, kind: HostKey, foreign: bool) -> PrivateKey {
        let turns = self.0.load(Ordering::SeqCst) * 2 + u32::from(foreign);
        match kind {
            HostKey::Rsa => {
                let own = spec.udi().sn.bytes().map(usize::from).sum::<usize>();
                decode_pkcs8(KEYS[(own + turns as usize) % KEYS.len()], None).expect("the fixture is an RSA key")
            }
            HostKey::Ed25519 => {
                let seed = format!("host key of {} {turns}", spec.udi());
                let seed = ring::digest::digest(&ring::digest::SHA256, seed.as_bytes());
                let seed = seed.as_ref().try_into().expect("SHA-256 has 32 bytes");
                PrivateKey::from(Ed25519Keypair::from_seed(seed))
            }
        }
    }

    /// The public half, as a line of `known_hosts` has it.
    pub fn line(&self, spec: &Spec) -> String {
        self.of(spec, spec.ssh.host_key, false)
            .public_key()
            .to_openssh()
            .expect("a host key can be written")
            .trim()
            .to_string()
    }

    /// `SHA256:` and base64, as OpenSSH prints it.
    pub fn fingerprint(&self, spec: &Spec) -> String {
        self.of(spec, spec.ssh.host_key, false).public_key().fingerprint(HashAlg::Sha256).to_string()
    }

    pub fn rotate(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specs;

    #[test]
    fn a_key_stays_until_it_is_changed() {
        for spec in [specs::switch("edge-001"), specs::xr("core-001")] {
            let keys = HostKeys::default();
            let own = keys.line(&spec);
            assert_eq!(HostKeys::default().line(&spec), own);
            assert_ne!(keys.of(&spec, spec.ssh.host_key, true).public_key().to_openssh().unwrap(), own);
            keys.rotate();
            assert_ne!(keys.line(&spec), own);
        }
        let line = |name| HostKeys::default().line(&specs::xr(name));
        assert_ne!(line("core-001"), line("core-002"));
    }
}
