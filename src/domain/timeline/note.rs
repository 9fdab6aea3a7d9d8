//! What a fact of the journal says of quantities: all that timelines need of it, and nothing else.

use super::company::together;
use super::{Contact, Licence, Seconds, Source, Together, What, changes, sweep, time};
use crate::domain::ack::StatedLicence;
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
    /// With whom the chassis was, by the report.
    pub with: Option<Together>,
    /// It names nobody, not even the chassis itself.
    pub tells_nobody: bool,
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
        let with = together(&facts.udi, &facts.members);
        Reading { source, counts, span, stretches, changes: told, with, tells_nobody: facts.members.is_empty() }
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

impl Note {
    /// With whom a report says that its chassis was.
    pub fn with(&self) -> Option<&Together> {
        match self {
            Note::Report(_, reading) | Note::Again(_, reading) => reading.with.as_ref(),
            Note::Licences(_) | Note::Clock(_) => None,
        }
    }
}

/// Something that an event says, and of whom.
#[derive(Clone, Debug, PartialEq)]
pub enum Saying {
    Chassis(Udi, Note),
    Device(DeviceName, Contact),
    /// A device lists a report of that tag by this name.
    Listed(EntitlementTag, String),
    /// An answer from Cisco lists a licence.
    Answered(StatedLicence),
}

/// Hands over what an event says, in its order.
pub fn sayings(event: &Event, say: &mut dyn FnMut(Saying)) {
    match &event.fact {
        Fact::ReportCollected(fact) => {
            if let Some(tag) = &fact.report.entitlement_tag {
                if let Some(feature) = &fact.feature {
                    say(Saying::Listed(tag.clone(), feature.clone()));
                }
                let note = Note::Report(tag.clone(), Reading::of(&fact.report, fact.object));
                say(Saying::Chassis(fact.report.udi.clone(), note));
            }
        }
        Fact::ReportReread(fact) => {
            if let Some(tag) = &fact.report.entitlement_tag {
                let note = Note::Again(tag.clone(), Reading::of(&fact.report, fact.object));
                say(Saying::Chassis(fact.report.udi.clone(), note));
            }
        }
        Fact::DeviceIdentified(fact) => {
            if let Some(ahead) = fact.clock_skew_seconds {
                say(Saying::Chassis(fact.udi.clone(), Note::Clock(ahead)));
            }
            let contact = Contact::Is(fact.udi.clone(), together(&fact.udi, &fact.members));
            say(Saying::Device(fact.device.clone(), contact));
        }
        Fact::AnswerReceived(fact) => fact.licences.iter().cloned().map(Saying::Answered).for_each(say),
        Fact::StateRead(fact) => {
            let told = fact.state.licenses.iter().filter_map(|license| Some((Licence::of(license)?, license.count?)));
            say(Saying::Chassis(fact.udi.clone(), Note::Licences(told.collect())));
        }
        Fact::ContactLost(fact) => say(Saying::Device(fact.device.clone(), Contact::Lost)),
        Fact::ContactRestored(fact) => say(Saying::Device(fact.device.clone(), Contact::Restored)),
        // Nothing else tells of quantities, and no new kind of fact will by itself.
        _ => {}
    }
}
