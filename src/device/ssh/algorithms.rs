//! Which algorithms, in which order, and what to do where there is none in common.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{AlgorithmKind, Preferred, cipher, compression, kex, mac};

use super::super::Error;
use super::peer::shortened;
use super::{CONNECT, HostPin, HostTrust};

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::DH_GEX_SHA256,
    kex::DH_G18_SHA512,
];
const OLD_KEX: &[kex::Name] = &[kex::DH_G14_SHA1, kex::DH_GEX_SHA1];
const LEGACY_KEX: &[kex::Name] = &[kex::DH_G1_SHA1];
const KEX_SIGNALS: &[kex::Name] = &[kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];

const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
const OLD_CIPHERS: &[cipher::Name] = &[cipher::AES_256_CBC, cipher::AES_192_CBC, cipher::AES_128_CBC];
const LEGACY_CIPHERS: &[cipher::Name] = &[cipher::TRIPLE_DES_CBC];

const MACS: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM, mac::HMAC_SHA512, mac::HMAC_SHA256];
const OLD_MACS: &[mac::Name] = &[mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

const HOST_KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    Algorithm::Rsa { hash: None },
];

/// Modern first, the old set last, group1 and 3DES only where they are asked for.
pub(super) fn preferred(legacy: bool, trust: &HostTrust) -> Preferred {
    let legacy_kex = if legacy { LEGACY_KEX } else { &[] };
    let legacy_ciphers = if legacy { LEGACY_CIPHERS } else { &[] };
    let mut host_keys = HOST_KEYS.to_vec();
    if let HostTrust::Pinned(HostPin { key_type: Some(pinned), .. }) = trust {
        // Stable, so the order within a type stays.
        host_keys.sort_by_key(|algorithm| key_type(algorithm) != *pinned);
    }
    Preferred {
        kex: Cow::Owned([KEX, OLD_KEX, legacy_kex, KEX_SIGNALS].concat()),
        key: Cow::Owned(host_keys),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Owned([CIPHERS, OLD_CIPHERS, legacy_ciphers].concat()),
        mac: Cow::Owned([MACS, OLD_MACS].concat()),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// The name that stands in the key blob: an RSA key is one key, however it signs.
pub(super) fn key_type(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa".to_owned(),
        other => other.to_string(),
    }
}

pub(super) fn no_common_algorithm(legacy: bool, kind: &AlgorithmKind, ours: &[String], theirs: &[String]) -> Error {
    let list = |names: &[String]| names.iter().take(32).map(|name| shortened(name)).collect::<Vec<_>>().join(",");
    let has = |name: &str| !legacy && theirs.iter().any(|their| their == name);
    let (kind, remedy) = match kind {
        AlgorithmKind::Kex if has("diffie-hellman-group1-sha1") => (
            "key exchange",
            "set `legacy = true` for this device, or give it a larger DH group (IOS: `ip ssh dh min size 2048`)",
        ),
        AlgorithmKind::Kex => ("key exchange", "mend it on the device (IOS: `ip ssh server algorithm kex`)"),
        AlgorithmKind::Key => (
            "host key algorithm",
            "give the device an RSA key of at least 2048 bits (IOS: `crypto key generate rsa modulus 3072`)",
        ),
        AlgorithmKind::Cipher if has("3des-cbc") => (
            "cipher",
            "set `legacy = true` for this device, or allow AES on it (IOS: `ip ssh server algorithm encryption`)",
        ),
        AlgorithmKind::Cipher => ("cipher", "mend it on the device (IOS: `ip ssh server algorithm encryption`)"),
        AlgorithmKind::Mac => ("MAC", "mend it on the device (IOS: `ip ssh server algorithm mac`)"),
        AlgorithmKind::Compression => ("compression", "the device must allow none"),
    };
    Error::NoCommonAlgorithm { step: CONNECT, kind, ours: list(ours), theirs: list(theirs), remedy }
}
