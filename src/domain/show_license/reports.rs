//! The device's own list of RUM reports: `show license rum id all` and `… rum id N detail`.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use super::lines::Line;
use super::stamp::stamp;
use super::status::{strip, text, udi};
use crate::domain::instance::Udi;
use crate::domain::report::ReportId;
use crate::domain::state::{ListedReport, ReportState};

/// What was listed; a report that is listed again has its newer line.
#[derive(Debug, Default)]
pub(super) struct Reports {
    listed: Vec<ListedReport>,
    places: HashMap<ReportId, usize>,
    inside: Inside,
    /// States that nobody knows, with their lines.
    pub unknown: Vec<(usize, String)>,
    /// The line of a row that ends too early.
    pub cut_row: Option<usize>,
    /// The chassis that signed the last report shown in full.
    pub udi: Option<Udi>,
    /// Was there a heading of a list or of one report?
    pub seen: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inside {
    #[default]
    Nothing,
    Table,
    /// One report; `stated` once its state was read.
    Detail {
        at: usize,
        stated: bool,
        line: usize,
    },
}

impl Reports {
    /// Another command, or another section: rows are known by their form alone from here on.
    pub(super) fn close(&mut self) {
        if let Inside::Detail { stated: false, line, .. } = self.inside {
            self.cut_row = Some(line);
        }
        self.inside = Inside::Nothing;
    }

    /// Takes a line of a list or of a record.
    pub(super) fn take(&mut self, line: &Line<'_>, zone: Option<&TimeZone>) -> bool {
        if strip(&line.text, "smart licensing usage report").is_some() {
            self.close();
            self.seen = true;
            self.inside = Inside::Table;
            return true;
        }
        if let Some(id) = strip(&line.text, "report id:").and_then(|id| id.parse().ok()) {
            self.close();
            self.seen = true;
            let at = self.place(ReportId(id));
            self.inside = Inside::Detail { at, stated: false, line: line.number };
            return true;
        }
        if strip(&line.text, "report id,").is_some() {
            self.seen = true;
            self.inside = Inside::Table;
            return true;
        }
        if let Inside::Detail { at, .. } = self.inside
            && self.detail(at, line, zone)
        {
            return true;
        }
        self.row(line)
    }

    /// `1629870048          CLOSED    N     network-premier_2.5G`.
    fn row(&mut self, line: &Line<'_>) -> bool {
        let mut words = line.text.split_whitespace();
        let Some(id) = words.next().filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())) else { return false };
        let Ok(report_id) = id.parse().map(ReportId) else { return false };
        let (state, flag) = (words.next(), words.next());
        let feature = words.collect::<Vec<_>>().join(" ");
        let in_table = self.inside == Inside::Table;
        let known = state.and_then(ReportState::read);
        let (Some(word), Some(flag)) = (state, flag) else {
            // A number alone may be of anything; a report's is long.
            let cut = in_table && id.len() > 4;
            if cut {
                self.cut_row = Some(line.number);
            }
            return cut;
        };
        if flag.len() != 1 || !word.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return false;
        }
        // Outside of a list only what cannot be anything else is a row (`… | include TELEMETRY`).
        if !in_table && (known.is_none() || feature.is_empty()) {
            return false;
        }
        if known.is_none() {
            self.unknown.push((line.number, word.to_owned()));
        }
        if feature.is_empty() {
            self.cut_row = Some(line.number);
        }
        self.seen = true;
        let at = self.place(report_id);
        if let Some(report) = self.listed.get_mut(at) {
            report.state = known;
            report.feature = text(&feature).or(report.feature.take());
        }
        true
    }

    fn detail(&mut self, at: usize, line: &Line<'_>, zone: Option<&TimeZone>) -> bool {
        let Some(report) = self.listed.get_mut(at) else { return false };
        if let Some(name) = strip(&line.text, "feature name:") {
            report.feature = text(name);
        } else if let Some(state) = strip(&line.text, "state:") {
            let word = state.split([',', ' ']).next().unwrap_or_default();
            report.state = ReportState::read(word);
            if report.state.is_none() && !word.is_empty() {
                self.unknown.push((line.number, word.to_owned()));
            }
            if let Inside::Detail { stated, .. } = &mut self.inside {
                *stated = true;
            }
        } else if let Some(times) = strip(&line.text, "start time:") {
            let (start, end) = times.split_once("End Time:").unwrap_or((times, ""));
            let utc = |text: &str| stamp(text.trim().trim_end_matches(','), zone).and_then(|stamp| stamp.utc);
            report.start = utc(start);
            report.end = utc(end);
        } else if let Some(signer) = strip(&line.text, "udi:").and_then(udi) {
            self.udi = Some(signer);
        } else {
            return ["metric name:", "metric value:", "previous report id:", "storage state:", "transaction "]
                .iter()
                .any(|label| strip(&line.text, label).is_some());
        }
        true
    }

    /// Where a report is listed; a new one is listed with its number alone.
    fn place(&mut self, report_id: ReportId) -> usize {
        let next = self.listed.len();
        let at = *self.places.entry(report_id).or_insert(next);
        if at == next {
            self.listed.push(ListedReport { report_id, state: None, feature: None, start: None, end: None });
        }
        at
    }

    pub(super) fn finish(self) -> Vec<ListedReport> {
        self.listed
    }
}
