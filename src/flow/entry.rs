//! What is known of the way into a device: addresses, trust, login and limits, put together for one session.

use super::House;
use crate::config::Device;
use crate::device::own_file::Written;
use crate::device::ssh::{HostPin, HostTrust, SshLimits, SshLogin, SshTarget};
use crate::device::tape::Tape;
use crate::device::{Error, Limits, Login, Target, Terms};
use crate::domain::event::{Learned, Write};
use crate::domain::fleet::Device as Known;
use crate::domain::settings::{Os, Trust as TrustSetting, Word};
use crate::secret::Secret;
use crate::tls::{Roots, Trust};

const PREPARE: &str = "prepare";

fn ours(cause: impl Into<String>) -> Error {
    Error::Ours { step: PREPARE, cause: cause.into() }
}

impl House {
    /// Nothing is sent yet; the secrets are read.
    pub(super) async fn terms(&self, device: &Device) -> Result<Terms, Error> {
        // Looked up once: whoever holds the fleet must not ask for it again.
        let (known, os, software) = {
            let fleet = self.ledger.fleet();
            let instance = fleet.of_device(&device.name);
            let os = instance.and_then(|instance| instance.os.as_deref()).and_then(|os| Os::of_word(os).ok());
            let software = instance.and_then(|instance| instance.software.clone());
            (fleet.devices.get(&device.name).map(|known| (**known).clone()).unwrap_or_default(), os, software)
        };
        let credential = device
            .credential
            .as_ref()
            .and_then(|name| self.config.credentials.get(&**name))
            .ok_or_else(|| ours("no credential is set for this device"))?;
        let secrets = credential.resolve().await.map_err(|error| ours(error.to_string()))?;
        let authority = device.authority().ok_or_else(|| ours("no address is set for this device"))?;
        let poll = &self.config.poll;
        let limits = Limits {
            connect: poll.connect_timeout,
            read: poll.read_timeout,
            slow: Limits::default().slow.max(poll.read_timeout),
            body: poll.body_limit.0,
            requests_per_connection: poll.requests_per_connection,
        };
        let text = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        let password = text(&secrets.password);
        let login = Login { username: credential.username.clone(), password: password.clone().unwrap_or_default() };
        let https = certificate_trust(device, &known)?.map(|trust| Target { authority, trust, login, limits });
        let ssh = |port: u16| -> Option<SshTarget> {
            Some(SshTarget {
                authority: device.authority_at(port)?,
                trust: host_trust(device, &known)?,
                login: SshLogin {
                    username: credential.username.clone(),
                    password: password.clone(),
                    private_key: text(&secrets.private_key),
                },
                limits: SshLimits {
                    connect: poll.connect_timeout,
                    login: SshLimits::default().login.min(poll.read_timeout),
                    ..SshLimits::default()
                },
                legacy: device.legacy,
            })
        };
        let learned =
            if known.learned_on.as_deref() == software.as_deref() { known.learned.clone() } else { Learned::default() };
        Ok(Terms {
            access: device.access,
            os: device.os.or(os),
            address: device.host(),
            https,
            ssh: ssh(device.ports.ssh),
            netconf: ssh(device.ports.netconf),
            enable: text(&secrets.enable),
            overrides: self.config.commands.of(device.commands.as_deref()),
            zone: device.timezone.clone(),
            limits,
            budget: self.budget.clone(),
            learned,
            written: written(&known),
            tape: Tape::default(),
        })
    }
}

/// The files of ours on the device's record: each is one that this collector saved or copied there.
pub(super) fn written(known: &Known) -> Vec<Written> {
    let mut files: Vec<Written> = Vec::new();
    for record in &known.writes {
        let Some((folder, file)) = Written::named(&record.detail) else { continue };
        match record.write {
            Write::SaveUsage | Write::SaveReport | Write::CopyFile => {
                files.push(Written { folder, file, deleted: false });
            }
            Write::DeleteOwnFile if record.refused.is_none() => {
                files.iter_mut().filter(|known| known.file == file).for_each(|known| known.deleted = true);
            }
            Write::DeleteOwnFile | Write::CloseReports | Write::FetchReports | Write::ImportFile => {}
        }
    }
    files
}

fn certificate_trust(device: &Device, known: &Known) -> Result<Option<Trust>, Error> {
    match device.trust {
        // The inventory is the word on it, whatever was learned before. Without one HTTPS is no way in.
        TrustSetting::Pinned => Ok(device.pin.as_deref().copied().map(Trust::Pin)),
        TrustSetting::Learn => Ok(Some(known.pin.map_or(Trust::Learn, Trust::Pin))),
        TrustSetting::Ca => {
            let file = device.ca_file.as_ref().ok_or_else(|| ours("trust is `ca` without ca_file"))?;
            let pem = std::fs::read(file).map_err(|error| ours(format!("{}: {error}", file.display())))?;
            let roots = Roots::from_pem(&pem).map_err(|error| ours(format!("{}: {error}", file.display())))?;
            Ok(Some(Trust::Ca(roots)))
        }
    }
}

/// Whom to believe over SSH. No authority vouches for host keys: where trust is not learnt, the inventory names
/// the key, else SSH is no way in.
fn host_trust(device: &Device, known: &Known) -> Option<HostTrust> {
    let given = device.host_key.as_deref().map(|fingerprint| HostPin { fingerprint: *fingerprint, key_type: None });
    let learned = || {
        let key = known.host_key.clone()?;
        Some(HostPin { fingerprint: key.fingerprint, key_type: Some(key.key_type) })
    };
    match device.trust {
        TrustSetting::Pinned | TrustSetting::Ca => given.map(HostTrust::Pinned),
        TrustSetting::Learn => Some(given.or_else(learned).map_or(HostTrust::Learn, HostTrust::Pinned)),
    }
}
