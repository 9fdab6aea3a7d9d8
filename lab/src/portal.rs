//! The lab's portal: what a person uploads usage to, and what answers with acknowledgements.
//!
//! It is pure: it is told the time, keeps what it acknowledged, and answers the same upload the same way. It is
//! stricter than the real one is known to be: whatever it refuses, it says which member is at fault and why, and an
//! upload is taken as a whole or not at all. What it may do wrong are knobs; what may happen to an answer on its way
//! home is in [`mishap`].

mod acknowledgement;
mod archive;
mod manifest;
pub mod mishap;
mod usage;

use std::collections::{BTreeMap, BTreeSet};

use crate::account::Account;
use crate::policy::Policy;
use crate::udi::Udi;
use usage::Usage;

/// What the portal knows and how it answers.
#[derive(Debug, Clone, Default)]
pub struct Portal {
    /// The reports taken so far, and the member each came in.
    acknowledged: BTreeMap<Udi, BTreeMap<u64, String>>,
    /// The account of each instance: the first one its reports came under, or the one it was enrolled in.
    places: BTreeMap<Udi, Account>,
    given: Vec<Given>,
    policy: Option<Policy>,
    account: Option<Account>,
    withheld: BTreeSet<(Udi, u64)>,
    wrong: BTreeMap<Udi, Wrong>,
    answers_twice: bool,
}

/// One upload, taken or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub at: i64,
    pub name: String,
    pub bytes: Vec<u8>,
    pub refused: Option<Refusal>,
}

/// What stands where the answer for a device should be. Its reports are not booked. **Both shapes are invented**: no
/// answer with an error is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// A sentence, and no XML.
    Sentence(String),
    /// A `<smartLicense>` with a status and nothing else.
    Status(String),
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

    /// What a device is answered until [`Portal::mend`]. Knob.
    pub fn err(&mut self, udi: Udi, wrong: Wrong) {
        self.wrong.insert(udi, wrong);
    }

    /// No device is answered wrongly, and nothing is left out any more.
    pub fn mend(&mut self) {
        self.wrong.clear();
        self.withheld.clear();
    }

    /// A report that came before is answered once more instead of refused. Knob.
    pub fn answers_twice(mut self) -> Portal {
        self.answers_twice = true;
        self
    }

    /// The instance belongs there: its reports are taken under no other account.
    pub fn enrol(&mut self, udi: Udi, account: Account) {
        self.places.insert(udi, account);
    }

    /// The reports of a device acknowledged so far.
    pub fn acknowledged(&self, udi: &Udi) -> BTreeSet<u64> {
        self.acknowledged.get(udi).into_iter().flat_map(BTreeMap::keys).copied().collect()
    }

    /// Every upload in its order.
    pub fn given(&self) -> &[Given] {
        &self.given
    }

    /// An answer to nothing: it acknowledges what nobody uploaded.
    pub fn invent(&self, now: i64, name: &str, reports: &[(Udi, u64)]) -> Answer {
        let text = acknowledgement::write(now, reports, self.policy.as_ref(), self.account.as_ref());
        Answer { name: name.to_string(), bytes: text.into_bytes() }
    }

    /// Takes a `UD_SA_*.tar.gz` or one device's usage file, and answers in the same form. A file alone is booked where
    /// its device belongs.
    pub fn upload(&mut self, now: i64, name: &str, bytes: &[u8]) -> Result<Answer, Refusal> {
        self.take(now, None, name, bytes)
    }

    /// The same for a person who chose the account. An archive names its own, and may name no other.
    pub fn upload_under(&mut self, now: i64, account: &Account, name: &str, bytes: &[u8]) -> Result<Answer, Refusal> {
        self.take(now, Some(account), name, bytes)
    }

    fn take(&mut self, now: i64, under: Option<&Account>, name: &str, bytes: &[u8]) -> Result<Answer, Refusal> {
        let mut files = Files { portal: self, now, seen: BTreeMap::new(), placed: BTreeMap::new() };
        let read = if bytes.starts_with(&[0x1f, 0x8b]) {
            files.bundle(name, bytes, under)
        } else {
            files.usage(name, bytes, under)
        };
        let (seen, placed) = (files.seen, files.placed);
        let refused = read.as_ref().err().cloned();
        self.given.push(Given { at: now, name: name.to_string(), bytes: bytes.to_vec(), refused });
        let bytes = read?;
        for ((udi, report), member) in seen {
            self.acknowledged.entry(udi).or_default().entry(report).or_insert(member);
        }
        self.places.extend(placed);
        Ok(Answer { name: format!("ACK_{name}"), bytes })
    }
}

/// Are they the same account, as far as both say?
fn same(one: &Account, other: &Account) -> bool {
    one.smart == other.smart && one.virtual_name == other.virtual_name
}

/// The files of one upload, read one after the other.
struct Files<'a> {
    portal: &'a Portal,
    now: i64,
    /// The reports read so far and the member each came in.
    seen: BTreeMap<(Udi, u64), String>,
    /// Where instances belong that the portal did not know.
    placed: BTreeMap<Udi, Account>,
}

impl Files<'_> {
    fn bundle(&mut self, name: &str, bytes: &[u8], under: Option<&Account>) -> Result<Vec<u8>, Refusal> {
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
            if let (Some(chosen), Some(named)) = (under, &account)
                && chosen.smart != named.smart
            {
                let reason = format!("is of Smart Account {}, not of {}", named.smart, chosen.smart);
                return Err(Refusal::new(path, reason));
            }
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
        for report in &usage.reports {
            self.place(path, &report.udi, account)?;
        }
        let wrong = usage.reports.iter().find_map(|report| self.portal.wrong.get(&report.udi));
        if let Some(wrong) = wrong {
            return Ok(wrong.text().into_bytes());
        }
        let mut acknowledged = Vec::new();
        for report in &usage.reports {
            let key = (report.udi.clone(), report.id);
            let before = self.portal.acknowledged.get(&key.0).and_then(|known| known.get(&key.1));
            if let Some(before) = before.filter(|_| !self.portal.answers_twice) {
                let reason = format!("duplicate report {} of {}, it came in {before}", report.id, report.udi);
                return Err(Refusal::new(path, reason));
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
        let own = usage.reports.first().and_then(|report| self.portal.places.get(&report.udi));
        let account = self.portal.account.as_ref().or(account).or(own);
        let text = acknowledgement::write(self.now, &acknowledged, self.portal.policy.as_ref(), account);
        Ok(text.into_bytes())
    }

    /// Refuses a device's reports under an account that is not its own.
    fn place(&mut self, path: &str, udi: &Udi, under: Option<&Account>) -> Result<(), Refusal> {
        let Some(under) = under else { return Ok(()) };
        match self.portal.places.get(udi).or_else(|| self.placed.get(udi)) {
            None => {
                self.placed.insert(udi.clone(), under.clone());
                Ok(())
            }
            Some(own) if same(own, under) => Ok(()),
            Some(own) => {
                let (own, other) = (own.virtual_path(), under.virtual_path());
                Err(Refusal::new(path, format!("{udi} belongs to {own}, not to {other}")))
            }
        }
    }
}

impl Wrong {
    fn text(&self) -> String {
        match self {
            Wrong::Sentence(text) => format!("{text}\n"),
            Wrong::Status(text) => {
                let text = crate::xml::escaped(text);
                format!(
                    "<smartLicense><status><success>false</success><message>{text}</message></status></smartLicense>"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
