//! All reports of a device: one chain a licence, ids from one counter, and what becomes of each report.

use std::collections::BTreeMap;

use crate::measurement::Running;
use crate::payload;
use crate::report::{Ended, Report, ReportState, Subject};
use crate::spec::{Payload, Spec};
use crate::udi::Member;

#[derive(Debug)]
pub struct Shelf {
    reports: BTreeMap<u64, Report>,
    next_id: u64,
    /// The newest report of each chain.
    tails: Vec<(Subject, u64)>,
}

impl Shelf {
    pub fn new(first_id: u64) -> Shelf {
        Shelf { reports: BTreeMap::new(), next_id: first_id, tails: Vec::new() }
    }

    pub fn all(&self) -> impl Iterator<Item = &Report> {
        self.reports.values()
    }

    pub fn get_mut(&mut self, id: u64) -> Option<&mut Report> {
        self.reports.get_mut(&id)
    }

    pub fn opened(&mut self) -> impl Iterator<Item = &mut Report> {
        self.reports.values_mut().filter(|report| report.state == ReportState::Open)
    }

    /// The licence's count is another from now on. The first use opens the chain.
    pub fn count(&mut self, spec: &Spec, licence: usize, count: u32, now: i64) {
        let subject = Subject::Licence(licence);
        let names_close = spec.knobs.payload == Payload::V2;
        let Some(report) =
            self.reports.values_mut().find(|report| report.subject == subject && report.running.is_some())
        else {
            if count > 0 {
                self.open(subject, now, count);
            }
            return;
        };
        if let Some(running) = &mut report.running
            && running.count != count
        {
            if running.start == now {
                running.count = count;
            } else {
                let ended = running.end(now, None, names_close);
                report.running = Some(Running::from(ended.end_time, count));
                report.measurements.push(ended);
            }
        }
    }

    /// Ends every open report. A report of no length stays open, so that two closes in a second make one report.
    /// A chain whose count is 0 sleeps until the licence is used again.
    pub fn close(&mut self, spec: &Spec, members: &[Member], now: i64, why: Ended) -> Vec<u64> {
        let open: Vec<u64> = self.opened().map(|report| report.id).collect();
        let mut closed: Vec<u64> = open.into_iter().filter(|id| self.close_one(spec, members, *id, now, why)).collect();
        if spec.knobs.telemetry && !closed.is_empty() {
            let start = closed.iter().map(|id| self.reports[id].start).min().unwrap_or(now);
            let id = self.open(Subject::Telemetry, start, 0);
            self.seal(spec, members, id, now);
            closed.push(id);
        }
        closed
    }

    /// Ends reports that have been open for so many seconds, as often as that happened until now.
    pub fn close_aged(&mut self, spec: &Spec, members: &[Member], now: i64, span: i64) {
        while let Some((id, at)) = self
            .opened()
            .map(|report| (report.id, report.start + span))
            .filter(|(_, at)| *at <= now)
            .min_by_key(|(id, at)| (*at, *id))
        {
            self.close_one(spec, members, id, at, Ended::ReportingInterval);
        }
    }

    fn close_one(&mut self, spec: &Spec, members: &[Member], id: u64, now: i64, why: Ended) -> bool {
        let Some(report) = self.reports.get_mut(&id) else { return false };
        if report.start == now && report.measurements.is_empty() {
            return false;
        }
        let Some(running) = report.running.take() else { return false };
        let last = running.end(now, Some(why), spec.knobs.payload == Payload::V2);
        let (subject, ended, count) = (report.subject, last.end_time, running.count);
        report.measurements.push(last);
        self.seal(spec, members, id, ended);
        if count > 0 {
            self.open(subject, ended, count);
        }
        true
    }

    fn open(&mut self, subject: Subject, now: i64, count: u32) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let previous = match self.tails.iter_mut().find(|(other, _)| *other == subject) {
            Some((_, tail)) => std::mem::replace(tail, id),
            None => {
                self.tails.push((subject, id));
                0
            }
        };
        if let Some(report) = self.reports.get_mut(&previous) {
            report.next = id;
        }
        self.reports.insert(id, Report::open(id, subject, previous, now, count));
        id
    }

    fn seal(&mut self, spec: &Spec, members: &[Member], id: u64, end: i64) {
        let udi = &members[0].udi;
        if let Some(report) = self.reports.get_mut(&id) {
            report.running = None;
            report.end = Some(end);
            report.state = ReportState::Closed;
            report.udi = Some(udi.clone());
            report.body = Some(payload::signed(spec, members, udi, report));
        }
    }

    /// Somebody fetched it.
    pub fn requested(&mut self, id: u64) {
        if let Some(report) = self.reports.get_mut(&id)
            && report.state == ReportState::Closed
        {
            report.state = ReportState::Unacknowledged;
        }
    }

    /// False when there is no such report, or nothing left to acknowledge in it.
    pub fn acknowledge(&mut self, id: u64, keeps_body: bool) -> bool {
        match self.reports.get_mut(&id) {
            Some(report) if report.is_owed() => {
                report.state = ReportState::Acknowledged;
                if !keeps_body {
                    report.body = None;
                    report.measurements = Vec::new();
                }
                true
            }
            _ => false,
        }
    }

    /// Drops the bodies that do not fit: acknowledged ones first, then the oldest.
    pub fn purge_over(&mut self, limit: usize) -> Vec<u64> {
        let stored = self.all().filter(|report| report.body.is_some()).count();
        let mut oldest: Vec<(bool, u64)> =
            self.all().filter(|report| report.body.is_some()).map(|report| (report.is_owed(), report.id)).collect();
        oldest.sort_unstable();
        let gone: Vec<u64> = oldest.into_iter().take(stored.saturating_sub(limit)).map(|(_, id)| id).collect();
        gone.iter().for_each(|id| self.purge_one(*id));
        gone
    }

    pub fn purge_acknowledged(&mut self) -> Vec<u64> {
        let gone: Vec<u64> =
            self.all().filter(|report| report.state == ReportState::Acknowledged).map(|report| report.id).collect();
        gone.iter().for_each(|id| self.purge_one(*id));
        gone
    }

    fn purge_one(&mut self, id: u64) {
        if let Some(report) = self.reports.get_mut(&id) {
            report.state = ReportState::Purged;
            report.body = None;
            report.measurements = Vec::new();
        }
    }
}
