//! The quantity of one licence of one instance over time, and what is asked of it.

use super::{Observed, Seconds};
use crate::domain::report::ReportId;

/// A time with one quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub start: Seconds,
    pub end: Seconds,
    pub value: u64,
    pub origin: Origin,
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Measured: a signed report of this chassis of the instance.
    Report { chassis: u32, report: ReportId },
    /// Observed: what the device told when it was asked.
    Poll,
}

impl Run {
    pub fn is_measured(&self) -> bool {
        match self.origin {
            Origin::Report { .. } => true,
            Origin::Poll => false,
        }
    }

    /// The part of it within the window, if it touches it.
    fn within(&self, from: Seconds, to: Seconds) -> Option<Run> {
        (self.start <= to && self.end >= from).then(|| Run {
            start: self.start.max(from),
            end: self.end.min(to),
            ..*self
        })
    }
}

/// The highest quantity, and the first instant at which it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    pub value: u64,
    pub at: Seconds,
}

/// How much of a window is known, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    pub measured: f64,
    /// Beside what is measured.
    pub observed: f64,
}

/// Runs in the order of time, without overlap. What lies between them is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(Vec<Run>);

impl History {
    /// What was measured, in order and without overlap; where nothing was, what was observed.
    pub fn of(measured: &[Run], observed: &[Observed]) -> History {
        let mut runs = Vec::with_capacity(measured.len() + observed.len());
        let mut reports = measured.iter().copied().peekable();
        for seen in observed {
            // The last report may reach into it.
            let mut from = runs.last().map_or(seen.start, |last: &Run| seen.start.max(last.end));
            while let Some(report) = reports.next_if(|report| report.start < seen.end) {
                if from < report.start {
                    runs.push(poll(from, report.start, seen.value));
                }
                from = from.max(report.end);
                runs.push(report);
            }
            if from < seen.end {
                runs.push(poll(from, seen.end, seen.value));
            }
        }
        runs.extend(reports);
        History(joined(runs.into_iter()))
    }

    pub fn runs(&self) -> &[Run] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The run that tells the quantity at an instant. One that ends there tells it where none begins.
    pub fn at(&self, at: Seconds) -> Option<&Run> {
        let next = self.0.partition_point(|run| run.start <= at);
        let run = self.0.get(next.checked_sub(1)?)?;
        (at <= run.end).then_some(run)
    }

    /// The measured quantity at an instant. What was measured up to it counts more than what polls saw from it on.
    pub fn measured_at(&self, at: Seconds) -> Option<&Run> {
        let measured = |run: &&Run| run.is_measured();
        let run = self.at(at)?;
        if run.is_measured() {
            return Some(run);
        }
        let next = self.0.partition_point(|run| run.start < at);
        let before = self.0.get(next.checked_sub(1)?).filter(measured)?;
        (before.end == at).then_some(before)
    }

    /// The highest quantity measured within the window, both ends included.
    pub fn peak(&self, from: Seconds, to: Seconds) -> Option<Peak> {
        let mut peak: Option<Peak> = None;
        for run in self.measured_within(from, to) {
            if peak.is_none_or(|peak| run.value > peak.value) {
                peak = Some(Peak { value: run.value, at: run.start });
            }
        }
        peak
    }

    /// The average over that part of the window that was measured, by time.
    pub fn average(&self, from: Seconds, to: Seconds) -> Option<f64> {
        let mut total = 0u128;
        let mut lasted = 0u128;
        for run in self.measured_within(from, to) {
            let seconds = u128::from(run.start.abs_diff(run.end));
            total = total.saturating_add(seconds.saturating_mul(run.value.into()));
            lasted += seconds;
        }
        (lasted > 0).then(|| total as f64 / lasted as f64)
    }

    /// How much of the window is known.
    pub fn share(&self, from: Seconds, to: Seconds) -> Share {
        let window = from.abs_diff(to) as f64;
        let (mut measured, mut observed) = (0u64, 0u64);
        for run in self.within(from, to) {
            let known = if run.is_measured() { &mut measured } else { &mut observed };
            *known = known.saturating_add(run.start.abs_diff(run.end));
        }
        let part = |seconds: u64| if window > 0.0 { seconds as f64 / window } else { 0.0 };
        Share { measured: part(measured), observed: part(observed) }
    }

    /// What is known of the window, both ends included, cut to it.
    pub fn within(&self, from: Seconds, to: Seconds) -> impl Iterator<Item = Run> {
        let mut first = self.0.partition_point(|run| run.end < from);
        // At the instant at which one ends and another begins, the other counts.
        if let Some([before, next]) = self.0.get(first..).and_then(|runs| runs.first_chunk())
            && before.end == from
            && next.start == from
            && (next.is_measured() || !before.is_measured())
        {
            first += 1;
        }
        let runs = self.0.get(first..).unwrap_or_default().iter();
        runs.take_while(move |run| run.start <= to).filter_map(move |run| run.within(from, to))
    }

    fn measured_within(&self, from: Seconds, to: Seconds) -> impl Iterator<Item = Run> {
        self.within(from, to).filter(Run::is_measured)
    }
}

fn poll(start: Seconds, end: Seconds, value: u64) -> Run {
    Run { start, end, value, origin: Origin::Poll }
}

/// Neighbours that say the same by the same source are one.
pub(super) fn joined(runs: impl Iterator<Item = Run>) -> Vec<Run> {
    let mut joined: Vec<Run> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last) if last.end == run.start && last.value == run.value && last.origin == run.origin => {
                last.end = run.end;
            }
            Some(_) | None => joined.push(run),
        }
    }
    joined
}
