//! Making the runs of one segment out of what its events say.

use std::collections::HashMap;

use serde::Serialize;

use super::image::{Block, Extent, Image, Index, LARGEST, MAGIC, Stored, StoredContact, StoredFate, Told, With};
use crate::domain::digest::Sha256;
use crate::domain::instance::Udi;
use crate::domain::report::EntitlementTag;
use crate::domain::timeline::{Called, Contact, Licence, Note, Reading, Saying, Seconds, Source, Together};

/// Bytes of a block before it is compressed: a part of a fleet reads few that it has no use for.
const BLOCK: usize = 16 << 10;
/// What is stored is read far more often than written, and digests do not get shorter by more effort.
const LEVEL: i32 = 1;

/// The notes so far.
#[derive(Default)]
pub(super) struct Builder {
    /// In the order of the journal.
    notes: Vec<u8>,
    /// Whose each is, where it begins, and how long it is.
    whose: Vec<(u32, usize, u32)>,
    chassis: HashMap<Udi, u32>,
    contacts: Vec<u8>,
    texts: HashMap<EntitlementTag, u32>,
    companies: HashMap<Together, u32>,
    called: Called,
    events: u64,
}

impl Builder {
    /// Takes what the next events say, and how many they are.
    pub(super) fn add(&mut self, told: Vec<Told>, events: u64) {
        for Told { place, at, saying } in told {
            let place = self.events + place;
            match saying {
                Saying::Chassis(udi, note) => self.note(place, at, udi, note),
                Saying::Device(device, what) => {
                    let what = match what {
                        Contact::Is(udi, with) => StoredFate::Is(udi, self.with(with)),
                        Contact::Lost => StoredFate::Lost,
                        Contact::Restored => StoredFate::Restored,
                    };
                    append(&mut self.contacts, &StoredContact { place, at, device, what });
                }
                Saying::Listed(tag, feature) => self.called.listed(&tag, &feature),
                Saying::Answered(licence) => self.called.answered(&licence),
            }
        }
        self.events += events;
    }

    fn note(&mut self, place: u64, at: Seconds, udi: Udi, note: Note) {
        let stored = match note {
            Note::Report(tag, reading) => self.report(at, false, tag, reading),
            Note::Again(tag, reading) => self.report(at, true, tag, reading),
            Note::Licences(told) => {
                let numbered = |(licence, count)| match licence {
                    Licence::Tag(tag) => (false, self.text(tag), count),
                    Licence::Name(name) => (true, self.text(EntitlementTag(name)), count),
                };
                Stored::Licences { place, at, told: told.into_iter().map(numbered).collect() }
            }
            Note::Clock(ahead) => Stored::Clock { at, ahead },
        };
        let next = u32::try_from(self.chassis.len()).unwrap_or(u32::MAX);
        let number = *self.chassis.entry(udi).or_insert(next);
        let begun = self.notes.len();
        append(&mut self.notes, &stored);
        self.whose.push((number, begun, u32::try_from(self.notes.len() - begun).unwrap_or(u32::MAX)));
    }

    fn report(&mut self, at: Seconds, again: bool, tag: EntitlementTag, reading: Reading) -> Stored {
        let Reading { source, counts, span, stretches, changes, with, tells_nobody } = reading;
        let (Source { report, object }, tag, with) = (source, self.text(tag), self.with(with));
        Stored::Report { at, again, tag, report, object, counts, span, stretches, changes, with, tells_nobody }
    }

    fn text(&mut self, text: EntitlementTag) -> u32 {
        let next = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        *self.texts.entry(text).or_insert(next)
    }

    fn with(&mut self, with: Option<Together>) -> With {
        let next = u32::try_from(self.companies.len()).unwrap_or(u32::MAX);
        Some(*self.companies.entry(with?).or_insert(next))
    }

    /// The runs of a segment whose last batch has that digest, in memory.
    pub(super) fn image(self, head: Sha256) -> Result<Image, String> {
        let Builder { notes, mut whose, chassis, contacts, texts, companies, called, events: _ } = self;
        let mut chassis: Vec<(Udi, u32)> = chassis.into_iter().collect();
        chassis.sort_unstable();
        whose.sort_unstable();
        let mut zstd = zstd::bulk::Compressor::new(LEVEL).map_err(|error| error.to_string())?;
        zstd.include_checksum(true).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let mut frame = |bytes: &mut Vec<u8>, raw: &[u8]| {
            if raw.len() > LARGEST as usize {
                return Err(format!("a frame of {} bytes", raw.len()));
            }
            let packed = zstd.compress(raw).map_err(|error| error.to_string())?;
            let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| "a frame is too long".to_owned());
            let extent = Extent { at: bytes.len() as u64, len: length(&packed)?, raw: length(raw)? };
            bytes.extend_from_slice(&packed);
            Ok::<Extent, String>(extent)
        };
        let (mut blocks, mut raw, mut first) = (Vec::new(), Vec::new(), None);
        let mut own = Vec::new();
        for (udi, number) in chassis {
            own.clear();
            let first_of_it = whose.partition_point(|(whose, ..)| *whose < number);
            let all = whose.get(first_of_it..).unwrap_or_default().iter();
            for (_, begun, length) in all.take_while(|(whose, ..)| *whose == number) {
                own.extend_from_slice(notes.get(*begun..*begun + *length as usize).unwrap_or_default());
            }
            append(&mut raw, &(&udi, ByBytes(&own)));
            let first_in_it = first.take().unwrap_or(udi);
            if raw.len() < BLOCK {
                first = Some(first_in_it);
            } else {
                blocks.push(Block { first: first_in_it, extent: frame(&mut bytes, &raw)? });
                raw.clear();
            }
        }
        if let Some(first) = first {
            blocks.push(Block { first, extent: frame(&mut bytes, &raw)? });
        }
        let contacts = frame(&mut bytes, &contacts)?;
        let texts = by_number(texts);
        let listed =
            called.each().flat_map(|(tag, named)| named.by_devices().iter().map(|name| (tag.clone(), name.clone())));
        let (listed, answered) = (listed.collect(), called.each().filter_map(|(_, named)| named.by_answers().cloned()));
        let answered = answered.collect();
        let companies = by_number(companies).iter().map(|together| together.to_vec()).collect();
        let mut index = Vec::new();
        append(&mut index, &Index { head, texts, companies, listed, answered, blocks, contacts });
        let Extent { at, len, raw } = frame(&mut bytes, &index)?;
        bytes.extend_from_slice(&at.to_le_bytes());
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&raw.to_le_bytes());
        bytes.extend_from_slice(MAGIC);
        Image::in_memory(bytes, head).ok_or_else(|| "what was made cannot be read".to_owned())
    }
}

fn by_number<T>(numbered: HashMap<T, u32>) -> Vec<T> {
    let mut all: Vec<(T, u32)> = numbered.into_iter().collect();
    all.sort_unstable_by_key(|(_, number)| *number);
    all.into_iter().map(|(one, _)| one).collect()
}

/// Bytes as one piece.
struct ByBytes<'b>(&'b [u8]);

impl Serialize for ByBytes<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

fn append(bytes: &mut Vec<u8>, what: &impl Serialize) {
    // Everything in it has a known length, and memory takes everything.
    if let Ok(own) = postcard::to_extend(what, std::mem::take(bytes)) {
        *bytes = own;
    }
}
