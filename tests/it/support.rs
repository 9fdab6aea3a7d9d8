//! What tests share: where recorded files are, which programs are there, golden files.

pub mod alertmanager;
pub mod bare_ssh;
pub mod made;
pub mod nginx;
pub mod receiver;
pub mod site;
pub mod sshd;
pub mod witness;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use slp_collector::domain::digest::Sha256;

/// The folder of recorded files that `SLP_CAPTURES` names. Without it the caller returns early.
#[allow(clippy::print_stdout)]
pub fn captures() -> Option<PathBuf> {
    match std::env::var_os("SLP_CAPTURES") {
        Some(folder) => Some(PathBuf::from(folder)),
        None => {
            assert!(!required("captures"), "SLP_REQUIRE asks for captures, but SLP_CAPTURES is not set");
            println!("skipped: SLP_CAPTURES is not set");
            None
        }
    }
}

/// A program of the system that a test runs against. Without it the caller returns early.
#[allow(clippy::print_stdout)]
pub fn peer(program: &str, probe: &[&str]) -> Option<Command> {
    match Command::new(program).args(probe).output() {
        Ok(output) if output.status.success() => Some(Command::new(program)),
        _ => {
            assert!(!required("peers"), "SLP_REQUIRE asks for peers, but {program} cannot be run");
            println!("skipped: {program} cannot be run");
            None
        }
    }
}

/// Does `SLP_REQUIRE` name it?
pub fn required(what: &str) -> bool {
    std::env::var("SLP_REQUIRE").is_ok_and(|words| words.split([',', ' ']).any(|word| word == what))
}

/// A file of the project's own fixtures.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Compares with a golden file; `UPDATE_GOLDEN=1` writes it instead.
pub fn golden(name: &str, got: &str) {
    let path = data(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, got).expect("the golden file can be written");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == got, "{name} differs from what is printed now (UPDATE_GOLDEN=1 accepts it):\n{got}");
}

/// A leaf certificate for `host` signed by an authority of its own: chain PEM, digest, key PEM, authority PEM.
pub fn certificate(host: &str) -> (String, Sha256, String, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    // OpenSSL takes a leaf with its authority's name for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, format!("authority of {host}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    (leaf.pem(), Sha256::of(leaf.der()), key.serialize_pem(), authority_certificate.pem())
}

/// Python with the packages that `.ci/run` puts there.
#[allow(clippy::print_stdout)]
pub fn python() -> Option<OsString> {
    let python = std::env::var_os("SLP_PYTHON");
    if python.is_none() {
        assert!(!required("python"), "SLP_REQUIRE asks for python, but SLP_PYTHON is not set");
        println!("skipped: SLP_PYTHON is not set");
    }
    python
}
