//! One device, pure: it is told the time and what is done to it, and it says what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::account::Account;
use crate::answer::{ACKNOWLEDGED, Answer};
use crate::licence::{Class, Licence};
use crate::operation::{Fetched, Imported, Listed, Operation, Refusal, Reply, Saved};
use crate::policy::Policy;
use crate::report::{Ended, Report, Subject};
use crate::saved;
use crate::shelf::Shelf;
use crate::spec::Spec;
use crate::state::{Known, State};
use crate::udi::{Member, Role, Udi};

const DAY: i64 = 86_400;

/// A simulated device. All times it keeps are by its own clock: true time plus its offset.
#[derive(Debug)]
pub struct Device {
    spec: Arc<Spec>,
    /// The latest true time it was told; earlier ones are taken for this one.
    now: i64,
    offset: i64,
    /// When it was first switched on.
    started: i64,
    members: Vec<Member>,
    licences: Vec<Licence>,
    shelf: Shelf,
    policy: Policy,
    policy_installed: Option<i64>,
    account: Option<Account>,
    last_ack: Option<i64>,
    /// Whether reports were ever acknowledged; a policy alone moves `last_ack` too.
    acknowledged: bool,
    /// Acknowledgements taken before, so that one taken twice changes nothing.
    taken: Vec<String>,
    first_use: Option<i64>,
    files: BTreeMap<String, Vec<u8>>,
    free: u64,
    /// When usage was last saved to a file.
    last_save: Option<i64>,
    reloads: u32,
}

impl Device {
    /// A device that has been using its licences for the spec's age when true time is `now`.
    pub fn new(spec: Arc<Spec>, now: i64) -> Device {
        let start = now - spec.age + spec.clock_offset;
        let first_id = u64::try_from(start).unwrap_or(0).saturating_sub(spec.seed % 40_000).max(1);
        let mut device = Device {
            now: now - spec.age,
            offset: spec.clock_offset,
            started: start,
            members: spec.members.clone(),
            licences: spec.licences.iter().map(|licence| Licence { count: 0, ..licence.clone() }).collect(),
            shelf: Shelf::new(first_id),
            policy: spec.policy.clone(),
            policy_installed: spec.policy.name.as_ref().map(|_| start),
            account: spec.account.clone(),
            last_ack: spec.policy.name.as_ref().map(|_| start),
            acknowledged: false,
            taken: Vec::new(),
            first_use: None,
            files: BTreeMap::new(),
            free: spec.flash,
            last_save: None,
            reloads: 0,
            spec,
        };
        for index in 0..device.licences.len() {
            device.count(index, device.spec.licences[index].count);
        }
        device.pass(now);
        device
    }

    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The member that speaks.
    pub fn udi(&self) -> &Udi {
        &self.members[0].udi
    }

    /// Does one thing at true time `now`, in Unix seconds.
    pub fn apply(&mut self, now: i64, operation: Operation) -> Reply {
        self.pass(now);
        let done = match operation {
            Operation::Advance => Ok(Reply::Done),
            Operation::SetCount { licence, count } => self.set_count(&licence, count),
            Operation::Close => Ok(Reply::Closed(self.close(Ended::CurrentUsageRequested))),
            Operation::List => Ok(Reply::List(self.list())),
            Operation::AllReports => Ok(Reply::Reports(self.fetch(|_| true))),
            Operation::Days(days) => Ok(Reply::Reports(self.fetch_days(days))),
            Operation::Import(bytes) => self.import(&bytes),
            Operation::State => Ok(Reply::State(Box::new(self.state()))),
            Operation::Reload => {
                self.reloads += 1;
                Ok(Reply::Closed(self.close(Ended::ProductReload)))
            }
            Operation::ClockStep(seconds) => {
                self.step(seconds);
                Ok(Reply::Done)
            }
            Operation::Purge => {
                let mut gone = self.shelf.purge_acknowledged();
                gone.extend(self.shelf.purge_over(self.spec.knobs.storage));
                Ok(Reply::Purged(gone))
            }
            Operation::SwitchOver => self.switch_over(),
            Operation::Join(udi) => {
                let role = if self.members.len() == 1 { Role::Standby } else { Role::Member };
                self.members.push(Member { role, udi });
                Ok(Reply::Done)
            }
            Operation::Leave(udi) => self.leave(&udi),
            Operation::WriteFile { name, bytes } => self.write(name, bytes),
            Operation::ReadFile(name) => self.file(&name).map(|bytes| Reply::File(bytes.to_vec())),
            Operation::DeleteFile(name) => self.delete(&name),
            Operation::SaveUsage { which, name } => self.save(which, name),
            Operation::ImportFile(name) => self.file(&name).map(<[u8]>::to_vec).and_then(|bytes| self.import(&bytes)),
        };
        done.unwrap_or_else(Reply::Refused)
    }

    /// Its own clock.
    fn clock(&self) -> i64 {
        self.now + self.offset
    }

    /// Its own clock at true time `now`, in Unix seconds.
    pub fn clock_at(&self, now: i64) -> i64 {
        self.now.max(now) + self.offset
    }

    fn pass(&mut self, now: i64) {
        self.now = self.now.max(now);
        if let Some(span) = self.spec.knobs.closes_itself_after {
            self.shelf.close_aged(&self.spec, &self.members, self.now + self.offset, span.max(1));
            self.shelf.purge_over(self.spec.knobs.storage);
        }
    }

    fn set_count(&mut self, licence: &str, count: u32) -> Result<Reply, Refusal> {
        let index = self.licences.iter().position(|known| known.is(licence));
        let index = index.ok_or_else(|| Refusal::not_found(format!("no licence {licence}")))?;
        self.count(index, count);
        Ok(Reply::Done)
    }

    fn count(&mut self, index: usize, count: u32) {
        let now = self.clock();
        self.licences[index].count = count;
        self.shelf.count(&self.spec, index, count, now);
        if count > 0 {
            self.first_use.get_or_insert(now);
        }
    }

    fn close(&mut self, why: Ended) -> Vec<u64> {
        let closed = self.shelf.close(&self.spec, &self.members, self.now + self.offset, why);
        self.shelf.purge_over(self.spec.knobs.storage);
        closed
    }

    fn list(&self) -> Vec<Listed> {
        let stored = self.shelf.all().filter(|report| report.body.is_some());
        stored.map(|report| Listed { report_id: report.id, timestamp: report.end.unwrap_or(report.start) }).collect()
    }

    /// Hands out the bodies asked for. Whoever fetches a report has requested it.
    fn fetch(&mut self, wanted: impl Fn(&Report) -> bool) -> Vec<Fetched> {
        let mut fetched = Vec::new();
        for report in self.shelf.all() {
            if let Some(json) = &report.body
                && wanted(report)
            {
                fetched.push(Fetched { report_id: report.id, json: json.clone() });
            }
        }
        if self.spec.knobs.fetch_marks {
            fetched.iter().for_each(|one| self.shelf.requested(one.report_id));
        }
        fetched
    }

    fn fetch_days(&mut self, days: u32) -> Vec<Fetched> {
        let since = self.clock() - i64::from(days) * DAY;
        self.fetch(|report| report.end.is_some_and(|end| end >= since))
    }

    fn step(&mut self, seconds: i64) {
        self.offset += seconds;
        let now = self.clock();
        for running in self.shelf.opened().filter_map(|report| report.running.as_mut()) {
            running.clock_change += seconds;
            running.logged = now;
        }
    }

    fn switch_over(&mut self) -> Result<Reply, Refusal> {
        let standby = self.members.iter().position(|member| member.role == Role::Standby);
        let standby = standby.ok_or_else(|| Refusal::not_supported("no standby to switch to"))?;
        self.members.swap(0, standby);
        self.members[0].role = Role::Active;
        self.members[standby].role = Role::Standby;
        Ok(Reply::Done)
    }

    fn leave(&mut self, udi: &Udi) -> Result<Reply, Refusal> {
        let place = self.members.iter().position(|member| member.udi == *udi);
        let place = place.filter(|_| self.members.len() > 1);
        self.members.remove(place.ok_or_else(|| Refusal::not_found(format!("no {udi} beside others")))?);
        for (member, role) in self.members.iter_mut().zip([Role::Active, Role::Standby]) {
            member.role = role;
        }
        Ok(Reply::Done)
    }

    fn import(&mut self, bytes: &[u8]) -> Result<Reply, Refusal> {
        if self.spec.knobs.import_lies {
            return Ok(Reply::Imported(Imported::default()));
        }
        let answer = Answer::read(bytes)?;
        let entries = answer.entries.unwrap_or_default();
        for entry in &entries {
            if !self.members.iter().any(|member| member.udi == entry.sudi) {
                return Err(Refusal::identifier(&entry.sudi, self.udi()));
            }
        }
        let now = self.clock();
        let mut imported = Imported::default();
        for entry in entries.iter().filter(|entry| entry.status == ACKNOWLEDGED) {
            if self.shelf.acknowledge(entry.report_id, self.spec.knobs.acknowledged_bodies) {
                imported.acknowledged.push(entry.report_id);
            } else if self.shelf.get_mut(entry.report_id).is_none() {
                imported.unknown.push(entry.report_id);
            }
        }
        if let Some(mark) = answer.mark
            && !self.taken.contains(&mark)
        {
            self.taken.push(mark);
            self.acknowledged = true;
            self.last_ack = Some(now);
        }
        if let Some(policy) = answer.policy {
            imported.policy = policy.name.clone();
            if policy != self.policy {
                self.policy = policy;
                self.policy_installed = Some(now);
                self.last_ack = Some(now);
            }
        }
        if let Some(account) = answer.account {
            imported.account = true;
            self.account = Some(account);
        }
        Ok(Reply::Imported(imported))
    }

    fn file(&self, name: &str) -> Result<&[u8], Refusal> {
        self.files.get(name).map(Vec::as_slice).ok_or_else(|| Refusal::not_found(format!("no file {name}")))
    }

    fn write(&mut self, name: String, bytes: Vec<u8>) -> Result<Reply, Refusal> {
        let freed = self.files.get(&name).map_or(0, |old| old.len() as u64);
        let free = (self.free + freed).checked_sub(bytes.len() as u64);
        self.free = free.ok_or_else(|| Refusal::storage(format!("no room for {name}")))?;
        self.files.insert(name, bytes);
        Ok(Reply::Done)
    }

    fn delete(&mut self, name: &str) -> Result<Reply, Refusal> {
        let bytes = self.files.remove(name).ok_or_else(|| Refusal::not_found(format!("no file {name}")))?;
        self.free += bytes.len() as u64;
        Ok(Reply::Done)
    }

    fn save(&mut self, which: Saved, name: String) -> Result<Reply, Refusal> {
        if !matches!(which, Saved::One(_)) {
            self.close(Ended::CurrentUsageRequested);
        }
        let fetched = match which {
            Saved::All => self.fetch(|_| true),
            Saved::Unreported => self.fetch(|report| report.state == crate::report::ReportState::Closed),
            Saved::Days(days) => self.fetch_days(days),
            Saved::One(id) => self.fetch(|report| report.id == id),
        };
        if fetched.is_empty() {
            return Err(Refusal::not_found("The requested item was not found"));
        }
        let text = saved::file(&self.spec, self.udi(), self.clock(), &fetched);
        let written = self.write(name, text.into_bytes())?;
        self.last_save = Some(self.clock());
        Ok(written)
    }

    /// Classes with a licence in use, or with usage that is still owed an acknowledgement.
    fn classes(&self) -> Vec<Class> {
        let owed = |index| {
            let subject = Subject::Licence(index);
            self.shelf.all().any(|report| report.subject == subject && report.is_owed())
        };
        let used = self.licences.iter().enumerate().filter(|(index, licence)| licence.count > 0 || owed(*index));
        used.map(|(_, licence)| licence.class).collect()
    }

    /// When the next acknowledgement is owed: after one, by the ongoing numbers; before, by the first-report numbers
    /// from the policy's installation or the first use. Where no acknowledgement is asked for, none is owed.
    fn due(&self) -> Option<i64> {
        let classes = self.classes();
        if !self.policy.ack_required {
            return None;
        }
        let (from, days) = if self.acknowledged {
            (self.last_ack, self.policy.shortest(&classes, |frequency| frequency.ongoing))
        } else {
            let from = self.policy_installed.max(self.first_use);
            (from, self.policy.shortest(&classes, |frequency| frequency.first))
        };
        Some(from? + i64::from(days?) * DAY)
    }

    fn state(&self) -> State {
        let known = |report: &Report| Known {
            id: report.id,
            licence: match report.subject {
                Subject::Licence(index) => self.licences[index].name.clone(),
                Subject::Telemetry => "TELEMETRY".to_string(),
            },
            tag: match report.subject {
                Subject::Licence(index) => Some(self.licences[index].tag.clone()),
                Subject::Telemetry => None,
            },
            udi: report.udi.clone().unwrap_or_else(|| self.udi().clone()),
            state: report.state,
            start: report.start,
            end: report.end,
            previous: report.previous,
            next: report.next,
        };
        State {
            now: self.clock(),
            name: self.spec.name.clone(),
            udi: self.udi().clone(),
            uuid: self.spec.uuid.clone(),
            members: self.members.clone(),
            software: self.spec.software.clone(),
            product: self.spec.product.clone(),
            licences: self.licences.clone(),
            policy: self.policy.clone(),
            policy_installed: self.policy_installed,
            account: self.account.clone(),
            trusted: self.spec.uuid.as_ref().map(|_| self.started),
            last_ack: self.last_ack,
            due: self.due(),
            first_use: self.first_use,
            reports: self.shelf.all().map(known).collect(),
            files: self.files.keys().cloned().collect(),
            free: self.free,
            last_save: self.last_save,
            started: self.started,
            reloads: self.reloads,
        }
    }
}

#[cfg(test)]
mod tests;
