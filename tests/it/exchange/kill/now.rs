//! What the journal, the exchange folder and the devices say after a kill, and what must be true of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use lab::report::ReportState;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{Event, Fact, Outcome, Write};
use slp_collector::domain::fleet::AnswerStatus;
use slp_collector::domain::instance::{DeviceName, Udi};
use slp_collector::exchange::archive::Limits;
use slp_collector::exchange::bundle;
use slp_collector::ledger;

use super::super::portal::children;
use super::World;
use crate::support::site::files;

/// What the journal and the devices say at one moment.
pub(super) struct Now {
    pub(super) bundles: usize,
    pub(super) folders: usize,
    pub(super) partial: bool,
    pub(super) taken: BTreeSet<Sha256>,
    pub(super) confirmed: BTreeSet<Sha256>,
    /// By device: imports on record, imports that arrived, and whether it shows everything as acknowledged.
    pub(super) begun: usize,
    pub(super) arrived: BTreeMap<String, u64>,
    pub(super) installed: BTreeSet<String>,
}

impl World {
    /// Bytes of the journal, whichever segment they are in.
    pub(super) fn journal(&self) -> u64 {
        let events = files(&self.site.ledger_dir().join("segments")).into_iter();
        let events = events.filter(|path| path.file_name().is_some_and(|name| name == "events.log"));
        events.map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum()
    }

    pub(super) fn arrived(&self) -> BTreeMap<String, u64> {
        let import = |device: &lab::Handle| device.counters().of("/smartlic-service/import");
        self.site.fleet.devices().map(|device| (device.name().to_owned(), import(device))).collect()
    }

    /// Opens the ledger as the next start does; whatever was killed, it is sound, and bundles are whole or hidden.
    pub(super) fn now(&mut self, objects: &BTreeSet<Sha256>) -> Now {
        let (mut begun, mut taken, mut confirmed) = (0, BTreeSet::new(), BTreeSet::new());
        let ledger = self.site.ledger();
        ledger
            .events(None, &mut |event: &Event| {
                match &event.fact {
                    Fact::DeviceWritten(fact) => {
                        begun += usize::from(fact.write == Write::ImportFile && fact.refused.is_none());
                    }
                    Fact::AnswerReceived(fact) => drop(taken.insert(fact.object)),
                    Fact::AnswerDelivered(fact) if fact.outcome == Outcome::ConfirmedById => {
                        confirmed.insert(fact.object);
                    }
                    _ => {}
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        let fleet = ledger.fleet();
        let settled = fleet.answers.values().filter(|answer| matches!(answer.status, AnswerStatus::Confirmed(_)));
        assert_eq!((fleet.answers.len(), settled.count()), (taken.len(), confirmed.len()));
        let acknowledged = |device: &&lab::Handle| {
            let reports = device.state().reports;
            reports.iter().all(|report| report.end.is_none() || report.state == ReportState::Acknowledged)
        };
        let exchange = children(&self.site.path("exchange"));
        let (hidden, folders): (Vec<_>, Vec<_>) =
            exchange.into_iter().partition(|path| path.file_name().unwrap().to_string_lossy().starts_with('.'));
        for folder in &folders {
            if self.whole.insert(folder.clone()) {
                bundle::open(folder, &Limits::own()).and_then(|opened| opened.verify(None)).unwrap();
            }
        }
        let recorded: BTreeSet<&str> = fleet.bundles.values().map(|bundle| bundle.facts.name.as_str()).collect();
        let there = |name: &&str| folders.iter().any(|folder| folder.ends_with(name));
        assert!(recorded.iter().all(there), "a bundle is recorded and not there");
        let now = Now {
            bundles: fleet.bundles.len(),
            folders: folders.len(),
            partial: !hidden.is_empty(),
            taken: taken.intersection(objects).copied().collect(),
            confirmed: confirmed.intersection(objects).copied().collect(),
            begun,
            arrived: self.arrived(),
            installed: self.site.fleet.devices().filter(acknowledged).map(|device| device.name().to_owned()).collect(),
        };
        drop(fleet);
        drop(ledger);
        let verified = ledger::verify(&self.site.ledger_dir()).unwrap();
        assert!(verified.is_sound(), "{:?}", verified.findings);
        now
    }

    /// Every report that a device made is kept once, and those owed are in this bundle once.
    pub(super) fn reports_are_there_once(&self, folder: &Path) {
        let ledger = self.site.ledger();
        let mut kept: Vec<(Udi, u64)> = Vec::new();
        ledger
            .events(None, &mut |event: &Event| {
                if let Fact::ReportCollected(fact) = &event.fact {
                    kept.push((fact.report.udi.clone(), fact.report.report_id.0));
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        let (mut made, mut owed) = (Vec::new(), Vec::new());
        for device in self.site.fleet.devices() {
            for report in device.state().reports.iter().filter(|report| report.end.is_some()) {
                let key = (Udi::new(&report.udi.pid, &report.udi.sn), report.id);
                owed.extend((report.state != ReportState::Acknowledged).then(|| key.clone()));
                made.push(key);
            }
        }
        let verified = bundle::open(folder, &Limits::own()).unwrap().verify(None).unwrap();
        let mut told: Vec<(Udi, u64)> =
            verified.manifest.reports.iter().map(|report| (report.udi.clone(), report.report_id.0)).collect();
        [&mut kept, &mut made, &mut owed, &mut told].into_iter().for_each(|all| all.sort());
        assert_eq!(kept, made, "a report is lost or doubled");
        assert_eq!(told, owed, "the bundle holds other reports than are owed");
        let fleet = ledger.fleet();
        let newest = &fleet.bundles[&verified.manifest.bundle_id];
        let before = newest.facts.previous_bundle_id.as_ref();
        assert!(fleet.bundles.len() == 1 || before.is_some_and(|before| fleet.bundles.contains_key(before)));
    }

    /// One answer received and one confirmation on record for each; nobody owes anything.
    pub(super) fn each_is_confirmed_once(&self, objects: &BTreeSet<Sha256>) {
        let ledger = self.site.ledger();
        let (mut received, mut confirmed) = (Vec::new(), Vec::new());
        ledger
            .events(None, &mut |event: &Event| {
                match &event.fact {
                    Fact::AnswerReceived(fact) if objects.contains(&fact.object) => received.push(fact.object),
                    Fact::AnswerDelivered(fact)
                        if objects.contains(&fact.object) && fact.outcome == Outcome::ConfirmedById =>
                    {
                        confirmed.push(fact.object);
                    }
                    _ => {}
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        received.sort();
        confirmed.sort();
        let once: Vec<Sha256> = objects.iter().copied().collect();
        assert_eq!((received, confirmed), (once.clone(), once));
        let fleet = ledger.fleet();
        for name in self.site.fleet.names() {
            assert_eq!(fleet.of_device(&DeviceName::from(name)).unwrap().owed, []);
        }
    }
}
