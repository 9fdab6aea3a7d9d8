//! What goes into an SSH connection and what is agreed upon in it.

use std::time::Duration;

use crate::domain::digest::Sha256;

/// Where a device is and how to get in. Lives as long as one session.
#[derive(Clone, Debug)]
pub struct SshTarget {
    /// `host:port`, an IPv6 address in brackets.
    pub authority: String,
    pub trust: HostTrust,
    pub login: SshLogin,
    pub limits: SshLimits,
    /// Also group1 and 3DES, for devices that know nothing better.
    pub legacy: bool,
}

/// Which host key to believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostTrust {
    /// None is known yet: take what is shown, and say what it was. The caller pins it.
    Learn,
    /// Only this one.
    Pinned(HostPin),
}

/// A host key as it was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPin {
    /// SHA-256 of the key blob (RFC 4253 §6.6), as OpenSSH takes it.
    pub fingerprint: Sha256,
    /// The key's type, such as `ssh-ed25519`, where it is known: then this type is asked for first,
    /// so that a device that got a further key of another type is still recognised.
    pub key_type: Option<String>,
}

/// A user name and what proves it. Prints without the secrets.
#[derive(Clone, Default)]
pub struct SshLogin {
    pub username: String,
    /// Tried only where there is no key.
    pub password: Option<String>,
    /// The text of an unencrypted private key file (OpenSSH, PKCS#8, PKCS#1).
    pub private_key: Option<String>,
}

impl std::fmt::Debug for SshLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "<secret>");
        f.debug_struct("SshLogin")
            .field("username", &self.username)
            .field("password", &hidden(&self.password))
            .field("private_key", &hidden(&self.private_key))
            .finish()
    }
}

/// What a connection may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SshLimits {
    /// Until TCP is through.
    pub connect: Duration,
    /// From there until logged in: old devices take seconds for one key exchange, AAA servers their own time.
    pub login: Duration,
    /// Until a channel is open.
    pub open: Duration,
    /// Silence of the whole connection; a third of it passes before the peer is asked for a sign of life.
    pub silence: Duration,
}

impl Default for SshLimits {
    fn default() -> Self {
        SshLimits {
            connect: Duration::from_secs(5),
            login: Duration::from_secs(30),
            open: Duration::from_secs(10),
            silence: Duration::from_secs(90),
        }
    }
}

/// What the two sides agreed upon, for `device probe` and the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The server's version line, such as `SSH-2.0-Cisco-1.25`.
    pub server: String,
    pub kex: String,
    /// How the host key signs, such as `rsa-sha2-512`.
    pub host_key_algorithm: String,
    /// What the host key is, such as `ssh-rsa`.
    pub host_key_type: String,
    pub fingerprint: Sha256,
    pub cipher: String,
    /// Of what we send; empty where the cipher has one of its own.
    pub mac_out: String,
    /// Of what we receive.
    pub mac_in: String,
}

impl Negotiated {
    /// The fingerprint as OpenSSH prints it.
    pub fn openssh_fingerprint(&self) -> String {
        format!("SHA256:{}", data_encoding::BASE64_NOPAD.encode(&self.fingerprint.0))
    }

    /// The host key to expect next time.
    pub fn pin(&self) -> HostPin {
        HostPin { fingerprint: self.fingerprint, key_type: Some(self.host_key_type.clone()) }
    }

    /// Those agreed algorithms that should no longer be used, where the device is the reason.
    pub fn outdated(&self) -> Vec<&str> {
        let all = [&self.kex, &self.host_key_algorithm, &self.cipher, &self.mac_out, &self.mac_in];
        let old = |name: &&str| name.ends_with("-sha1") || name.contains("hmac-sha1") || name.ends_with("-cbc");
        let mut outdated: Vec<&str> =
            all.into_iter().map(String::as_str).filter(|name| old(name) || *name == "ssh-rsa").collect();
        outdated.dedup();
        outdated
    }
}
