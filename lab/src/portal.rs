//! The lab's portal: what a person uploads usage to, and what answers with acknowledgements.
//!
//! It is pure: it is told the time, keeps what it acknowledged, and answers the same upload the same way. It is
//! stricter than the real one is known to be: whatever it refuses, it says which member is at fault and why, and an
//! upload is taken as a whole or not at all.

mod acknowledgement;
mod archive;
mod manifest;
mod usage;

use std::collections::{BTreeMap, BTreeSet};

use crate::account::Account;
use crate::policy::Policy;
use crate::udi::Udi;
use usage::Usage;

/// What the portal knows and how it answers.
#[derive(Debug, Clone, Default)]
pub struct Portal {
    acknowledged: BTreeMap<Udi, BTreeSet<u64>>,
    policy: Option<Policy>,
    account: Option<Account>,
    withheld: BTreeSet<(Udi, u64)>,
}

/// A file to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `ACK_` and the name that was uploaded.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Why an upload was not taken. Nothing of it was booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file at fault, as a path through the archives.
    pub member: String,
    pub reason: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.member, self.reason)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    fn new(member: impl Into<String>, reason: impl Into<String>) -> Refusal {
        Refusal { member: member.into(), reason: reason.into() }
    }
}

impl Portal {
    pub fn new() -> Portal {
        Portal::default()
    }

    /// Every answer carries this policy. Knob.
    pub fn with_policy(mut self, policy: Policy) -> Portal {
        self.policy = Some(policy);
        self
    }

    /// Every answer names this account, whatever the manifest says. Knob.
    pub fn with_account(mut self, account: Account) -> Portal {
        self.account = Some(account);
        self
    }

    /// The report will be taken and left out of its answer. Knob: the portal that forgets one.
    pub fn withhold(&mut self, udi: Udi, report: u64) {
        self.withheld.insert((udi, report));
    }

    /// The reports of a device acknowledged so far.
    pub fn acknowledged(&self, udi: &Udi) -> BTreeSet<u64> {
        self.acknowledged.get(udi).cloned().unwrap_or_default()
    }

    /// Takes a `UD_SA_*.tar.gz` or one device's usage file, and answers in the same form.
    pub fn upload(&mut self, now: i64, name: &str, bytes: &[u8]) -> Result<Answer, Refusal> {
        let mut files = Files { portal: self, now, seen: BTreeMap::new() };
        let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
            files.bundle(name, bytes)?
        } else {
            files.usage(name, bytes, None)?
        };
        let seen = files.seen;
        for ((udi, report), _) in seen {
            self.acknowledged.entry(udi).or_default().insert(report);
        }
        Ok(Answer { name: format!("ACK_{name}"), bytes })
    }
}

/// The files of one upload, read one after the other.
struct Files<'a> {
    portal: &'a Portal,
    now: i64,
    /// The reports read so far and the member each came in.
    seen: BTreeMap<(Udi, u64), String>,
}

impl Files<'_> {
    fn bundle(&mut self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        if !name.starts_with("UD_SA_") || !name.ends_with(".tar.gz") {
            return Err(Refusal::new(name, "an archive is named UD_SA_*.tar.gz"));
        }
        let mut members = archive::read(name, bytes)?.into_iter();
        let manifest = match members.next() {
            Some((first, bytes)) if first == "manifest.mf" => manifest::read(&format!("{name}/{first}"), &bytes)?,
            Some((first, _)) => return Err(Refusal::new(format!("{name}/{first}"), "manifest.mf must come first")),
            None => return Err(Refusal::new(name, "the archive is empty")),
        };
        let members: Vec<_> = members.collect();
        if members.is_empty() {
            return Err(Refusal::new(name, "no UD_VA_*.tar.gz in the archive"));
        }
        if members.len() != manifest.sections.len() {
            let reason = format!("names {} archives, {} are there", manifest.sections.len(), members.len());
            return Err(Refusal::new(format!("{name}/manifest.mf"), reason));
        }
        let mut answers = Vec::new();
        for ((member, bytes), section) in members.iter().zip(&manifest.sections) {
            let path = format!("{name}/{member}");
            if !member.starts_with("UD_VA_") || !member.ends_with(".tar.gz") {
                return Err(Refusal::new(path, "only manifest.mf and UD_VA_*.tar.gz belong here"));
            }
            let account = manifest.account(section);
            let mut inner = Vec::new();
            for (file, bytes) in archive::read(&path, bytes)? {
                let answer = self.usage(&format!("{path}/{file}"), &bytes, account.as_ref())?;
                inner.push((format!("ACK_{file}"), answer));
            }
            if inner.is_empty() {
                return Err(Refusal::new(path, "the archive is empty"));
            }
            answers.push((format!("ACK_{member}"), archive::write(&inner)));
        }
        Ok(archive::write(&answers))
    }

    fn usage(&mut self, path: &str, bytes: &[u8], account: Option<&Account>) -> Result<Vec<u8>, Refusal> {
        let usage = Usage::read(bytes).map_err(|reason| Refusal::new(path, reason))?;
        let mut acknowledged = Vec::new();
        for report in &usage.reports {
            let key = (report.udi.clone(), report.id);
            if self.portal.acknowledged.get(&key.0).is_some_and(|known| known.contains(&key.1)) {
                return Err(Refusal::new(path, format!("duplicate report {} of {}", report.id, report.udi)));
            }
            if let Some(other) = self.seen.get(&key) {
                let reason = format!("duplicate report {} of {}, also in {other}", report.id, report.udi);
                return Err(Refusal::new(path, reason));
            }
            if self.portal.withheld.contains(&key) {
                continue;
            }
            acknowledged.push(key.clone());
            self.seen.insert(key, path.to_string());
        }
        let account = self.portal.account.as_ref().or(account);
        let text = acknowledgement::write(self.now, &acknowledged, self.portal.policy.as_ref(), account);
        Ok(text.into_bytes())
    }
}

#[cfg(test)]
mod tests;
