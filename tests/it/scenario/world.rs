//! The fleet of a script: its devices, its inventory and configuration, and what is on record of them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use slp_collector::config::Config;
use slp_collector::domain::alert;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::*;
use slp_collector::domain::fleet::Fleet;
use slp_collector::domain::message::Message;
use slp_collector::domain::plan::{Settings, Watched};
use slp_collector::domain::status;
use slp_collector::domain::violation::{Subject, ViolationId, find};
use slp_collector::flow;

use super::device::Device;

/// Everything that a script speaks of.
pub struct World {
    pub now: Timestamp,
    pub fleet: Fleet,
    pub devices: BTreeMap<String, Device>,
    /// The inventory: a line each, by the device's name.
    rows: BTreeMap<String, BTreeMap<String, String>>,
    /// What stands in the configuration beside the credential.
    toml: String,
    folder: tempfile::TempDir,
    pub watched: Arc<[Watched]>,
    pub settings: Settings,
    /// What was told at the last judgement.
    pub told: Vec<Message>,
}

impl World {
    pub fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let password = folder.path().join("password");
        std::fs::write(&password, "never used").expect("a file");
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).expect("for its owner");
        let (watched, settings) = entered(&folder, "", "name,address\n");
        World {
            now: "2026-01-01T08:00:00Z".parse().expect("an instant"),
            fleet: Fleet::default(),
            devices: BTreeMap::new(),
            rows: BTreeMap::new(),
            toml: String::new(),
            folder,
            watched,
            settings,
            told: Vec::new(),
        }
    }

    /// Does what a line says; returns what came of it.
    pub fn obey(&mut self, words: &[String]) -> Result<Vec<String>, String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match &words[..] {
            ["at", time] => self.now = instant(time)?,
            ["configure", lines @ ..] => {
                for line in lines {
                    self.toml.push_str(line);
                    self.toml.push('\n');
                }
                self.enter();
            }
            ["device", name, fields @ ..] => {
                let mut row = BTreeMap::from([("address".to_owned(), (*name).to_owned())]);
                row.extend([("mode".to_owned(), "deliver".to_owned())]);
                for field in fields {
                    let (key, value) = field.split_once('=').ok_or("write KEY=VALUE")?;
                    row.insert(key.to_owned(), value.to_owned());
                }
                self.rows.insert((*name).to_owned(), row);
                self.devices.entry((*name).to_owned()).or_insert_with(|| Device::new(name));
                self.enter();
            }
            ["remove", name] => {
                self.rows.remove(*name).ok_or("not in the inventory")?;
                self.enter();
            }
            ["set", name, fields @ ..] => {
                let now = self.now;
                for field in fields {
                    let (key, value) = field.split_once('=').ok_or("write KEY=VALUE")?;
                    self.device(name)?.set(key, value, now)?;
                }
            }
            ["uses", name, licence, count, class] => {
                let (now, count) = (self.now, count.parse().map_err(|e| format!("{e}"))?);
                self.device(name)?.uses(licence, count, class, now);
            }
            ["close", name] => {
                let now = self.now;
                self.device(name)?.close(now);
            }
            ["purges", name, id] => {
                let id = id.parse().map_err(|e| format!("{e}"))?;
                self.device(name)?.purge(id);
            }
            ["silent", name] => self.device(name)?.silent = true,
            ["answers", name] => self.device(name)?.silent = false,
            ["switch-over", name] => self.device(name)?.switch_over(),
            ["ack", name] => {
                let now = self.now;
                self.device(name)?.acknowledge(now);
            }
            ["poll"] => {
                self.poll(true);
                return Ok(self.judge());
            }
            ["poll", "observing"] => {
                self.poll(false);
                return Ok(self.judge());
            }
            ["judge"] => return Ok(self.judge()),
            ["daily", time] => return self.daily(instant(time)?),
            ["bundle", id, name] => self.bundle(id, name)?,
            ["hand-over", id] => {
                let (bundle_id, handed_over, note) = ((*id).to_owned(), self.now, "by courier".to_owned());
                self.note(Fact::BundleHandedOver(BundleHandedOver { bundle_id, handed_over, note }));
            }
            ["answer", id, name] => {
                let udi = self.device(name)?.udi().clone();
                self.note(Fact::AnswerReceived(AnswerReceived {
                    object: Sha256::of(id.as_bytes()),
                    name: format!("ACK_{id}"),
                    udi,
                    parts: vec!["rum-ack".to_owned()],
                    bundle_id: Some((*id).to_owned()),
                    reports: Vec::new(),
                    assigned: None,
                    licences: Vec::new(),
                }));
            }
            ["acknowledge", kind, name, "until", time, note] => {
                let (id, until) = (self.violation(kind, name)?, instant(time)?);
                let note = (*note).to_owned();
                self.note(Fact::ViolationAcknowledged(ViolationAcknowledged { id, note, until }));
            }
            ["silence", name, "until", time, note] => {
                let covers = Covers { device: Some((*name).into()), ..Covers::default() };
                let (from, until, note) = (self.now, instant(time)?, (*note).to_owned());
                self.note(Fact::SilenceSet(SilenceSet { id: format!("s-{name}"), covers, from, until, note }));
            }
            ["on-prem", name, "synced"] => {
                let (name, synced) = ((*name).to_owned(), self.now);
                self.note(Fact::OnPremSynced(OnPremSynced { name, synced, note: None }));
            }
            ["retire", name, note] => {
                let udi = Some(self.device(name)?.udi().clone());
                let (device, note) = (Some((*name).into()), (*note).to_owned());
                self.note(Fact::DeviceRetired(DeviceRetired { device, udi, note }));
            }
            ["replace", old, new] => {
                let (old, new) = (self.device(old)?.udi().clone(), self.device(new)?.udi().clone());
                self.note(Fact::DeviceReplaced(DeviceReplaced { old, new, note: None }));
            }
            ["show", name] => return Ok(vec![self.shown(name)?]),
            ["expect", rest @ ..] => self.expect(rest)?,
            _ => return Err("no such line".to_owned()),
        }
        Ok(Vec::new())
    }

    pub fn device(&mut self, name: &str) -> Result<&mut Device, String> {
        self.devices.get_mut(name).ok_or_else(|| format!("there is no device {name}"))
    }

    /// The id of a violation of a device, an instance or an On-Prem server.
    pub fn violation(&self, kind: &str, name: &str) -> Result<ViolationId, String> {
        let kind = kind.parse().map_err(|e| format!("{e}"))?;
        let subjects = self
            .devices
            .get(name)
            .into_iter()
            .flat_map(|device| device.members.iter().map(|udi| Subject::Instance(udi.clone())))
            .chain([Subject::Device(name.into()), Subject::OnPrem(name.to_owned())]);
        let mut ids = subjects.map(|subject| ViolationId::of(kind, &subject));
        ids.find(|id| self.fleet.violations.contains_key(id)).ok_or_else(|| format!("{name} has no {kind}"))
    }

    fn note(&mut self, fact: Fact) {
        self.fleet.apply(&Event { by: None, at: self.now, fact });
    }

    /// Reads the inventory and the configuration as the program does.
    fn enter(&mut self) {
        const COLUMNS: [&str; 9] = [
            "address",
            "site",
            "mode",
            "reporter",
            "tags",
            "smart_account",
            "virtual_account",
            "environment",
            "timezone",
        ];
        let mut csv = format!("name,{}\n", COLUMNS.join(","));
        for (name, row) in &self.rows {
            let fields = COLUMNS.map(|column| row.get(column).map_or("", String::as_str));
            csv.push_str(&format!("{name},{}\n", fields.join(",")));
        }
        let mut toml = self.toml.clone();
        let sites: BTreeSet<&String> = self.rows.values().filter_map(|row| row.get("site")).collect();
        for site in sites {
            let table = format!("[sites.{site}]");
            if !toml.contains(&table) {
                toml.push_str(&format!("{table}\n"));
            }
        }
        (self.watched, self.settings) = entered(&self.folder, &toml, &csv);
    }

    /// Every device of the inventory is asked; `fetch`: for its reports too.
    fn poll(&mut self, fetch: bool) {
        let watched = self.watched.clone();
        for device in watched.iter() {
            let name = device.name.0.clone();
            let Some(played) = self.devices.get_mut(&*name) else { continue };
            let lost = self.fleet.devices.get(&device.name).is_some_and(|known| known.trouble.is_some());
            if played.silent {
                if !lost {
                    let cause = "no answer".to_owned();
                    self.note(Fact::ContactLost(ContactLost {
                        device: device.name.clone(),
                        blame: Blame::Unreachable,
                        cause,
                    }));
                }
                continue;
            }
            let known = self.fleet.resolve(played.udi()).and_then(|instance| instance.state.clone());
            let facts = played.polled(&device.site, fetch, known.as_ref());
            if lost {
                self.note(Fact::ContactRestored(ContactRestored { device: device.name.clone() }));
            }
            facts.into_iter().for_each(|fact| self.note(fact));
            self.fleet.contacts.insert(device.name.clone(), self.now);
        }
    }

    /// Looks for violations, tells of what there is to tell, and says what is new.
    fn judge(&mut self) -> Vec<String> {
        let found = find::find(&self.fleet, &self.watched, &self.settings, self.now);
        let mut lines = Vec::new();
        for fact in find::news(&self.fleet, found, self.now) {
            match &fact {
                Fact::ViolationFound(found) => {
                    let (kind, severity) = (found.kind, found.severity);
                    let name = found.device.as_ref().map_or_else(|| found.subject.to_string(), ToString::to_string);
                    lines.push(format!("+ {kind} {name} ({severity}): {}", found.explanation));
                }
                Fact::ViolationResolved(resolved) => {
                    let violation = &self.fleet.violations[&resolved.id].found;
                    let subject = || violation.subject.to_string();
                    let name = violation.device.as_ref().map_or_else(subject, ToString::to_string);
                    lines.push(format!("- {} {name}: {}", violation.kind, resolved.cause));
                }
                other => panic!("{other:?} is no news of violations"),
            }
            self.note(fact);
        }
        let again = find::find(&self.fleet, &self.watched, &self.settings, self.now);
        assert_eq!(find::news(&self.fleet, again, self.now), [], "looking twice finds nothing new");
        self.told.clear();
        for made in alert::tell(&self.fleet, &self.watched, &self.settings, self.now) {
            let Message { severity, title, lines: told, .. } = &made.message;
            let names: Vec<&str> = told.iter().map(|line| line.name.as_str()).collect();
            lines.push(format!("! {severity}: {title} [{}]", names.join(", ")));
            self.told.push(made.message.clone());
            self.note(Fact::MessageMade(Box::new(made)));
        }
        let again = alert::tell(&self.fleet, &self.watched, &self.settings, self.now);
        assert!(again.is_empty(), "planning twice tells nothing twice: {again:?}");
        lines
    }

    /// A poll a day up to a day; only days on which something happens are written down.
    fn daily(&mut self, until: Timestamp) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        while self.now < until {
            self.now = self.now.checked_add(SignedDuration::from_hours(24)).map_err(|e| e.to_string())?.min(until);
            self.poll(true);
            let day = self.now.strftime("%Y-%m-%d %H:%M");
            lines.extend(self.judge().into_iter().map(|line| format!("{day} {line}")).collect::<Vec<_>>());
        }
        Ok(lines.into_iter().map(|line| turned(&line)).collect())
    }

    fn bundle(&mut self, id: &str, name: &str) -> Result<(), String> {
        let udi = self.device(name)?.udi().clone();
        let instance = self.fleet.resolve(&udi).ok_or("never polled")?;
        let reports = instance.waiting().map(|owed| BundledReport {
            udi: owed.udi.clone(),
            report_id: owed.report_id,
            payload_sha256: owed.payload_sha256,
        });
        let made = BundleMade {
            bundle_id: id.to_owned(),
            nonce: "00".to_owned(),
            site: None,
            manifest_sha256: Sha256::ZERO,
            name: id.to_owned(),
            uploads: vec![BundleUpload { name: format!("{id}.txt"), udi: Some(udi) }],
            reports: reports.collect(),
            previous_bundle_id: None,
        };
        self.note(Fact::BundleMade(made));
        Ok(())
    }

    /// The row of the register.
    pub fn row(&self, name: &str) -> Result<status::Row, String> {
        let rows = status::rows(&self.fleet, &self.watched, &self.settings, self.now, self.now);
        rows.into_iter()
            .find(|row| row.device.as_ref().is_some_and(|device| device.0 == name.into()))
            .ok_or_else(|| format!("{name} has no row"))
    }

    fn shown(&self, name: &str) -> Result<String, String> {
        let row = self.row(name)?;
        let due = row.due.map_or_else(|| "no deadline".to_owned(), |due| format!("due {}", due.strftime("%Y-%m-%d")));
        Ok(format!("{name}: {}, contact {}, {due}; {}", row.state, row.contact, row.reason))
    }
}

/// `2026-01-01 + kind …` with the sign first, as elsewhere.
fn turned(line: &str) -> String {
    let Some((day, rest)) = line.split_at_checked(16) else { return line.to_owned() };
    let rest = rest.trim_start();
    let Some((sign, said)) = rest.split_once(' ') else { return line.to_owned() };
    format!("{sign} {said} ({day})")
}

fn entered(folder: &tempfile::TempDir, toml: &str, csv: &str) -> (Arc<[Watched]>, Settings) {
    let head = "[collector]\nstate_dir = \"state\"\n[credentials.net]\nusername = \"slp\"\npassword_file = \"password\"\n\
                [defaults]\ncredential = \"net\"\n";
    std::fs::write(folder.path().join("slp-collector.toml"), format!("{head}{toml}")).expect("a file");
    std::fs::write(folder.path().join("devices.csv"), csv).expect("a file");
    let config = Config::load(&folder.path().join("slp-collector.toml"));
    let config = config.unwrap_or_else(|mistakes| panic!("{toml}{csv}\n{mistakes}"));
    (flow::watched(&config), flow::settings(&config))
}

pub fn instant(text: &str) -> Result<Timestamp, String> {
    let whole = text.parse::<Timestamp>();
    whole.or_else(|_| format!("{text}T08:00:00Z").parse()).map_err(|_| format!("{text} is no day and no instant"))
}
