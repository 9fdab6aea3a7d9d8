//! Signing what leaves the house, and checking it: Ed25519 with a self-signed X.509 certificate.
//!
//! The signature is a plain one over the exact bytes of the file, so that whoever carries the
//! bundle can check it with OpenSSL 3 alone:
//!
//! ```text
//! openssl pkeyutl -verify -rawin -certin -inkey signer.pem -in manifest.json -sigfile manifest.sig
//! ```
//!
//! Nobody vouches for the certificate: it is known by its fingerprint.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, tz::TimeZone};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, KeyUsagePurpose, PKCS_ED25519};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use x509_parser::pem::parse_x509_pem;

use crate::domain::digest::Sha256;

/// File names in the signer's folder.
const KEY_FILE: &str = "signer.key";
const CERTIFICATE_FILE: &str = "signer.pem";
/// Nothing that we read here is near that size.
const LARGEST: u64 = 64 << 10;
/// The longest common name that certificates allow.
const LONGEST_NAME: usize = 64;
/// Bundles are kept as evidence for longer than any device lives.
const YEARS: i16 = 30;

/// Why signing, or checking a signature, is not possible.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("cannot {doing} {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} can be read by others (mode {mode:o}); expected 600")]
    OpenToOthers { path: PathBuf, mode: u32 },
    #[error("expected an Ed25519 key in PKCS#8, got something else: {cause}")]
    Key { cause: String },
    #[error("expected one X.509 certificate with an Ed25519 key, got {got}")]
    Certificate { got: String },
    #[error("{path} is not the certificate of the key beside it")]
    Mismatch { path: PathBuf },
    #[error("the signature does not fit the bytes and the certificate {fingerprint}")]
    Signature { fingerprint: Sha256 },
}

/// The collector's own key and certificate.
pub struct Signer {
    key: Ed25519KeyPair,
    certificate: Certificate,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("key", &"<secret>").field("certificate", &self.certificate.fingerprint).finish()
    }
}

impl Signer {
    /// A new key, nowhere stored. `collector` becomes the certificate's common name.
    pub fn generate(collector: &str, now: Timestamp) -> Result<Signer, SealError> {
        Signer::of(&new_key()?, &|key| certify(key, collector, now))
    }

    /// The signer kept in `folder`; made there, when there is none yet.
    pub fn open_or_create(folder: &Path, collector: &str, now: Timestamp) -> Result<Signer, SealError> {
        let key_path = folder.join(KEY_FILE);
        let certificate_path = folder.join(CERTIFICATE_FILE);
        let key = match read_secret(&key_path)? {
            Some(key) => key,
            None => {
                let key = new_key()?;
                make_private(folder)?;
                store(&key_path, &key, 0o600)?;
                key
            }
        };
        Signer::of(&key, &|key| match read_small(&certificate_path)? {
            Some(pem) => Ok(pem),
            None => {
                let pem = certify(key, collector, now)?;
                store(&certificate_path, &pem, 0o644)?;
                Ok(pem)
            }
        })
        .map_err(|error| match error {
            SealError::Mismatch { .. } => SealError::Mismatch { path: certificate_path.clone() },
            other => other,
        })
    }

    fn of(pem: &[u8], certificate: &dyn Fn(&KeyPair) -> Result<Vec<u8>, SealError>) -> Result<Signer, SealError> {
        let broken = |cause: &dyn ToString| SealError::Key { cause: cause.to_string() };
        let text = std::str::from_utf8(pem).map_err(|error| broken(&error))?;
        let pair = KeyPair::from_pkcs8_pem_and_sign_algo(text, &PKCS_ED25519).map_err(|error| broken(&error))?;
        let key = Ed25519KeyPair::from_pkcs8(pair.serialized_der()).map_err(|error| broken(&error))?;
        let certificate = Certificate::read(&certificate(&pair)?)?;
        if certificate.key != ring::signature::KeyPair::public_key(&key).as_ref() {
            return Err(SealError::Mismatch { path: PathBuf::new() });
        }
        Ok(Signer { key, certificate })
    }

    /// The plain Ed25519 signature, 64 bytes.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.key.sign(bytes).as_ref().to_vec()
    }

    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// Makes the signer's folder, for its owner alone.
fn make_private(folder: &Path) -> Result<(), SealError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| SealError::Io { doing: "create", path: folder.to_owned(), source })
}

/// A signer's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub pem: Vec<u8>,
    /// SHA-256 of the certificate in DER, as `openssl x509 -fingerprint -sha256` prints it.
    pub fingerprint: Sha256,
    pub common_name: Option<String>,
    key: Vec<u8>,
}

impl Certificate {
    /// Reads exactly one certificate in PEM.
    pub fn read(pem: &[u8]) -> Result<Certificate, SealError> {
        let not = |got: &str| SealError::Certificate { got: got.to_owned() };
        if pem.len() as u64 > LARGEST {
            return Err(not("a file too large to be one"));
        }
        let (rest, block) = parse_x509_pem(pem).map_err(|_| not("no PEM"))?;
        if block.label != "CERTIFICATE" {
            return Err(not("PEM of another kind"));
        }
        if !rest.iter().all(u8::is_ascii_whitespace) {
            return Err(not("something behind the certificate"));
        }
        let (rest, certificate) =
            x509_parser::parse_x509_certificate(&block.contents).map_err(|_| not("PEM that holds no certificate"))?;
        if !rest.is_empty() {
            return Err(not("something behind the certificate"));
        }
        let public = certificate.public_key();
        if public.algorithm.algorithm.to_id_string() != "1.3.101.112" || public.subject_public_key.data.len() != 32 {
            return Err(not("a certificate with another kind of key"));
        }
        let common_name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        Ok(Certificate {
            pem: pem.to_vec(),
            fingerprint: Sha256::of(&block.contents),
            common_name: common_name.map(str::to_owned),
            key: public.subject_public_key.data.to_vec(),
        })
    }

    /// Is `signature` this signer's over `bytes`?
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> Result<(), SealError> {
        UnparsedPublicKey::new(&ED25519, &self.key)
            .verify(bytes, signature)
            .map_err(|_| SealError::Signature { fingerprint: self.fingerprint })
    }
}

fn new_key() -> Result<Vec<u8>, SealError> {
    let pair = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| SealError::Key { cause: error.to_string() })?;
    Ok(pair.serialize_pem().into_bytes())
}

fn certify(key: &KeyPair, collector: &str, now: Timestamp) -> Result<Vec<u8>, SealError> {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    let printable: String = collector.chars().filter(|character| !character.is_control()).take(LONGEST_NAME).collect();
    name.push(DnType::CommonName, printable);
    params.distinguished_name = name;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // A day early: the clocks of those who check need not agree with ours.
    let today = now.to_zoned(TimeZone::UTC).date();
    let first = today.yesterday().unwrap_or(today);
    let date = |year: i16| rcgen::date_time_ymd(year.into(), first.month() as u8, (first.day() as u8).min(28));
    params.not_before = date(first.year());
    params.not_after = date(first.year() + YEARS);
    let certificate = params.self_signed(key).map_err(|error| SealError::Certificate { got: error.to_string() })?;
    Ok(certificate.pem().into_bytes())
}

/// A secret that others may read is no secret: refused.
fn read_secret(path: &Path) -> Result<Option<Vec<u8>>, SealError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.mode() & 0o077 != 0 => {
            Err(SealError::OpenToOthers { path: path.to_owned(), mode: metadata.mode() & 0o7777 })
        }
        Ok(_) => read_small(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SealError::Io { doing: "look at", path: path.to_owned(), source }),
    }
}

fn read_small(path: &Path) -> Result<Option<Vec<u8>>, SealError> {
    let failed = |source| SealError::Io { doing: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Writes a file that is there whole or not at all, and never over another one.
fn store(path: &Path, bytes: &[u8], mode: u32) -> Result<(), SealError> {
    let failed = |source| SealError::Io { doing: "write", path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let written = (|| {
        // Left over from a run that died here; process ids come again in containers.
        if let Err(error) = fs::remove_file(&aside)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::hard_link(&aside, path)
    })();
    let removed = fs::remove_file(&aside);
    written.map_err(failed)?;
    removed.map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn what_was_signed_is_verified_and_nothing_else() {
        let signer =
            Signer::generate("collector \u{1b}[1m of a very long name that goes on and on and on and on", now())
                .unwrap();
        let certificate = Certificate::read(&signer.certificate().pem).unwrap();
        assert_eq!(certificate.common_name.as_deref().map(str::len), Some(64));
        let signature = signer.sign(b"bytes");
        certificate.verify(b"bytes", &signature).unwrap();
        assert!(certificate.verify(b"Bytes", &signature).is_err());
        assert!(certificate.verify(b"bytes", &signature[..63]).is_err());
        let other = Signer::generate("other", now()).unwrap();
        assert!(other.certificate().verify(b"bytes", &signature).is_err());
        assert!(format!("{signer:?}").contains("<secret>"));
    }

    #[test]
    fn the_key_stays_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Signer::open_or_create(folder.path(), "c", now()).unwrap();
        let again = Signer::open_or_create(folder.path(), "renamed", now()).unwrap();
        assert_eq!(first.certificate(), again.certificate());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let key = folder.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);

        fs::remove_file(folder.path().join(CERTIFICATE_FILE)).unwrap();
        let certified_anew = Signer::open_or_create(folder.path(), "c", now()).unwrap();
        certified_anew.certificate().verify(b"x", &first.sign(b"x")).unwrap();

        let other = Signer::generate("other", now()).unwrap();
        fs::write(folder.path().join(CERTIFICATE_FILE), &other.certificate().pem).unwrap();
        let error = Signer::open_or_create(folder.path(), "c", now()).unwrap_err();
        assert!(matches!(error, SealError::Mismatch { .. }), "{error}");

        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Signer::open_or_create(folder.path(), "c", now()).unwrap_err();
        assert!(error.to_string().contains("mode 640"), "{error}");
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let pem = Signer::generate("c", now()).unwrap().certificate().pem.clone();
        let refused = |bytes: &[u8]| Certificate::read(bytes).unwrap_err().to_string();
        assert!(refused(b"").contains("no PEM"));
        assert!(refused(&[pem.clone(), pem.clone()].concat()).contains("something behind"));
        assert!(refused(&pem[..pem.len() / 2]).contains("no PEM"));
        let ecdsa = KeyPair::generate().unwrap();
        let other = CertificateParams::default().self_signed(&ecdsa).unwrap().pem();
        assert!(refused(other.as_bytes()).contains("another kind of key"));
        assert!(refused(ecdsa.serialize_pem().as_bytes()).contains("another kind"));
    }
}
