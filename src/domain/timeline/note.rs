//! What a fact of the journal says of quantities: all that timelines need of it, and nothing else.

use serde::{Deserialize, Serialize};

use super::{Licence, Seconds, Source, What, changes, sweep, time};
use crate::domain::digest::Sha256;
use crate::domain::event::{Event, Fact};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::report::{EntitlementTag, ReportFacts, ReportType};
use sweep::{Piece, Rank};

/// A report as far as timelines need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub source: Source,
    /// Telemetry counts nothing.
    pub counts: bool,
    /// From the first to the last instant that any of its measurements names.
    pub span: Option<(Seconds, Seconds)>,
    /// Start, end and value: in order, without overlap.
    pub stretches: Vec<(Seconds, Seconds, u64)>,
    pub changes: Vec<(Seconds, What)>,
}

impl Reading {
    pub fn of(facts: &ReportFacts, object: Sha256) -> Reading {
        let counts = facts.report_type != ReportType::Telemetry;
        let mut told = Vec::new();
        let mut pieces = Vec::new();
        let measurements = facts.measurements.iter().enumerate().filter(|_| counts);
        for (position, measured) in measurements {
            if !measured.metric.is_empty() && !measured.metric.eq_ignore_ascii_case("ENTITLEMENT") {
                continue;
            }
            told.extend(changes(measured));
            if let (Some(time), Some(value)) = (time(measured), measured.value) {
                let rank = Rank { closed: 0, report: position as u64, chassis: 0 };
                pieces.push(Piece { start: time.start, end: time.end, value, rank });
            }
        }
        let mut stretches: Vec<(Seconds, Seconds, u64)> = Vec::new();
        for next in sweep::settle(&pieces) {
            match stretches.last_mut() {
                Some((_, end, value)) if *end == next.start && *value == next.value => *end = next.end,
                Some(_) | None => stretches.push((next.start, next.end, next.value)),
            }
        }
        let span = facts.start().zip(facts.end()).map(|(start, end)| (start.as_second(), end.as_second()));
        let source = Source { report: facts.report_id, object };
        Reading { source, counts, span, stretches, changes: told }
    }
}

/// What one chassis signed or said. Where it stands in the journal decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A report of a licence was collected.
    Report(EntitlementTag, Reading),
    /// A report that is here was read again: this in place of what was read before.
    Again(EntitlementTag, Reading),
    /// The licences that it told of, with their counts.
    Licences(Vec<(Licence, u64)>),
    /// So far its clock was ahead of ours.
    Clock(i64),
}

/// What happened to a device of the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Contact {
    /// This chassis answered.
    Is(Udi),
    Lost,
    Restored,
}

/// Hands over what an event says, of whom.
pub fn notes(event: &Event, of_chassis: &mut dyn FnMut(&Udi, Note), of_device: &mut dyn FnMut(&DeviceName, Contact)) {
    match &event.fact {
        Fact::ReportCollected(fact) => {
            if let Some(tag) = &fact.report.entitlement_tag {
                of_chassis(&fact.report.udi, Note::Report(tag.clone(), Reading::of(&fact.report, fact.object)));
            }
        }
        Fact::ReportReread(fact) => {
            if let Some(tag) = &fact.report.entitlement_tag {
                of_chassis(&fact.report.udi, Note::Again(tag.clone(), Reading::of(&fact.report, fact.object)));
            }
        }
        Fact::DeviceIdentified(fact) => {
            if let Some(ahead) = fact.clock_skew_seconds {
                of_chassis(&fact.udi, Note::Clock(ahead));
            }
            of_device(&fact.device, Contact::Is(fact.udi.clone()));
        }
        Fact::StateRead(fact) => {
            let told = fact.state.licenses.iter().filter_map(|license| Some((Licence::of(license)?, license.count?)));
            of_chassis(&fact.udi, Note::Licences(told.collect()));
        }
        Fact::ContactLost(fact) => of_device(&fact.device, Contact::Lost),
        Fact::ContactRestored(fact) => of_device(&fact.device, Contact::Restored),
        // Nothing else tells of quantities, and no new kind of fact will by itself.
        _ => {}
    }
}
