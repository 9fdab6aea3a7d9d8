//! The runs of one segment as they are stored, and how they are read.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::ack::StatedLicence;
use crate::domain::digest::Sha256;
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::report::{EntitlementTag, ReportId};
use crate::domain::timeline::{Called, Contact, Licence, Note, Reading, Saying, Seconds, Source, Together, What};

/// Something that an event says, when, and which event of the segment.
pub(super) struct Told {
    pub place: u64,
    pub at: Seconds,
    pub saying: Saying,
}

/// A note in few bytes; texts are numbers of [`Index::texts`]. **stored**
#[derive(Serialize, Deserialize)]
pub(super) enum Stored {
    Report {
        at: Seconds,
        again: bool,
        tag: u32,
        report: ReportId,
        object: Sha256,
        counts: bool,
        span: Option<(Seconds, Seconds)>,
        stretches: Vec<(Seconds, Seconds, u64)>,
        changes: Vec<(Seconds, What)>,
        with: With,
        tells_nobody: bool,
    },
    /// Names and not tags are those of `true`.
    Licences {
        place: u64,
        at: Seconds,
        told: Vec<(bool, u32, u64)>,
    },
    Clock {
        at: Seconds,
        ahead: i64,
    },
}

/// With whom a chassis was: the number of one of [`Index::companies`]; `None`: alone. **stored**
pub(super) type With = Option<u32>;

/// What happened to a device. **stored**
#[derive(Serialize, Deserialize)]
pub(super) struct StoredContact {
    pub place: u64,
    pub at: Seconds,
    pub device: DeviceName,
    pub what: StoredFate,
}

/// [`Contact`] as it is stored. **stored**
#[derive(Serialize, Deserialize)]
pub(super) enum StoredFate {
    Is(Udi, With),
    Lost,
    Restored,
}

/// What is where. **stored**
///
/// Everything but the end is frames of zstd with a checksum, of [postcard](https://postcard.jamesmunns.com): blocks of
/// `(Udi, notes)` in the order of UDIs, where the notes are [`Stored`] one after the other; all [`StoredContact`]s in
/// the order of the journal; this index; and at the very end where the index is, and [`MAGIC`].
#[derive(Serialize, Deserialize)]
pub(super) struct Index {
    /// Of the last batch of the segment.
    pub head: Sha256,
    pub texts: Vec<EntitlementTag>,
    pub companies: Vec<Vec<Udi>>,
    /// What tags are called by devices that list their reports, each once, and by answers.
    pub listed: Vec<(EntitlementTag, String)>,
    pub answered: Vec<StatedLicence>,
    pub blocks: Vec<Block>,
    pub contacts: Extent,
}

/// **stored**
#[derive(Serialize, Deserialize)]
pub(super) struct Block {
    /// The first in it.
    pub first: Udi,
    pub extent: Extent,
}

/// A frame: where it begins, and its length before it was compressed. It ends where the next begins.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Extent {
    pub at: u64,
    pub len: u32,
    pub raw: u32,
}

/// Goes up with every change of what is stored, and of what is taken out of events
/// ([`sayings`](crate::domain::timeline::sayings)): a file of another version is made anew. `tests/data/runs-…` is what a
/// sample came to under it, and a test compares.
pub(super) const MAGIC: &[u8; 8] = b"slpruns2";
/// Where the index is, and the magic.
pub(super) const END: usize = 16 + MAGIC.len();
/// No frame is larger: a block has at least one chassis, of which all that one segment says may be long.
pub(super) const LARGEST: u32 = 256 << 20;

enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

pub(super) struct Image {
    bytes: Bytes,
    file: Option<PathBuf>,
    index: Index,
    companies: Vec<Together>,
}

/// Unpacks frames; one for many, since making one is dear.
pub(super) struct Decoder {
    zstd: zstd::bulk::Decompressor<'static>,
    packed: Vec<u8>,
    raw: Vec<u8>,
}

impl Decoder {
    pub(super) fn new() -> Result<Decoder, String> {
        let zstd = zstd::bulk::Decompressor::new().map_err(|error| error.to_string())?;
        Ok(Decoder { zstd, packed: Vec::new(), raw: Vec::new() })
    }

    fn frame(&mut self, bytes: &Bytes, extent: Extent) -> Result<&[u8], String> {
        let Extent { at, len, raw } = extent;
        if len > LARGEST || raw > LARGEST {
            return Err(format!("a frame of {len} and {raw} bytes"));
        }
        let packed = match bytes {
            Bytes::File(file) => {
                self.packed.resize(len as usize, 0);
                file.read_exact_at(&mut self.packed, at).map_err(|error| error.to_string())?;
                &self.packed
            }
            Bytes::Memory(bytes) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                bytes.get(from..from.saturating_add(len as usize)).ok_or("a frame beyond the end")?
            }
        };
        self.raw.clear();
        self.raw.reserve(raw as usize);
        let read = self.zstd.decompress_to_buffer(packed, &mut self.raw).map_err(|error| error.to_string())?;
        if read == raw as usize { Ok(&self.raw) } else { Err(format!("a frame of {read} bytes, expected {raw}")) }
    }
}

/// What is done with each note of a chassis: its place in the segment, when, and what.
pub(super) type Each<'e> = &'e mut dyn FnMut(&Udi, u64, Seconds, Note);

impl Image {
    /// `None`: it is not there, damaged, of another version or of another segment.
    pub(super) fn open(path: &Path, head: Sha256) -> Option<Image> {
        let file = File::open(path).ok()?;
        let size = file.metadata().ok()?.len();
        let image = Image::of(Bytes::File(file), size, Some(path.to_owned()), head)?;
        image.contacts(&mut |_, _, _, _| {}).ok()?;
        Some(image)
    }

    pub(super) fn in_memory(bytes: Vec<u8>, head: Sha256) -> Option<Image> {
        let size = bytes.len() as u64;
        Image::of(Bytes::Memory(bytes), size, None, head)
    }

    fn of(bytes: Bytes, size: u64, file: Option<PathBuf>, head: Sha256) -> Option<Image> {
        let mut end = [0; END];
        match &bytes {
            Bytes::File(file) => file.read_exact_at(&mut end, size.checked_sub(END as u64)?).ok()?,
            Bytes::Memory(bytes) => end.copy_from_slice(bytes.last_chunk::<END>()?),
        }
        let (place, magic) = end.split_at(16);
        let number = |at: usize| Some(u32::from_le_bytes(place.get(at..at + 4)?.try_into().ok()?));
        let at = u64::from_le_bytes(place.get(..8)?.try_into().ok()?);
        let extent = Extent { at, len: number(8)?, raw: number(12)? };
        if magic != MAGIC || at.checked_add(u64::from(extent.len))?.checked_add(END as u64)? != size {
            return None;
        }
        let mut decoder = Decoder::new().ok()?;
        let index: Index = postcard::from_bytes(decoder.frame(&bytes, extent).ok()?).ok()?;
        // Blocks are found by it.
        let ordered = index.blocks.is_sorted_by(|one, next| one.first < next.first);
        let companies = index.companies.iter().map(|together| together.as_slice().into()).collect();
        (index.head == head && ordered).then_some(Image { bytes, file, index, companies })
    }

    /// Its bytes, where they are in memory.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::File(_) => &[],
            Bytes::Memory(bytes) => bytes,
        }
    }

    /// Its file, if it has one.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What happened to devices, in the order of the journal.
    pub(super) fn contacts(&self, each: &mut dyn FnMut(u64, Seconds, DeviceName, Contact)) -> Result<(), String> {
        let mut decoder = Decoder::new()?;
        let mut rest = decoder.frame(&self.bytes, self.index.contacts)?;
        while !rest.is_empty() {
            let (StoredContact { place, at, device, what }, behind) = taken(rest)?;
            let what = match what {
                StoredFate::Is(udi, with) => Contact::Is(udi, self.with(with)?),
                StoredFate::Lost => Contact::Lost,
                StoredFate::Restored => Contact::Restored,
            };
            each(place, at, device, what);
            rest = behind;
        }
        Ok(())
    }

    /// All chassis that it says were together.
    pub(super) fn companies(&self) -> &[Together] {
        &self.companies
    }

    /// What it says that tags are called.
    pub(super) fn calls(&self, called: &mut Called) {
        self.index.listed.iter().for_each(|(tag, feature)| called.listed(tag, feature));
        self.index.answered.iter().for_each(|licence| called.answered(licence));
    }

    fn with(&self, with: With) -> Result<Option<Together>, String> {
        let company = |number: u32| self.companies.get(number as usize).cloned().ok_or("a company that is not there");
        Ok(with.map(company).transpose()?)
    }

    /// The notes of the chassis of a stretch of UDIs: chassis by chassis, each in the order of the journal.
    pub(super) fn stretch(
        &self,
        decoder: &mut Decoder,
        from: Bound<&Udi>,
        to: Bound<&Udi>,
        each: Each<'_>,
    ) -> Result<(), String> {
        let blocks = &self.index.blocks;
        let first = match from {
            Bound::Unbounded => 0,
            Bound::Included(from) | Bound::Excluded(from) => {
                blocks.partition_point(|block| block.first <= *from).saturating_sub(1)
            }
        };
        let within = (from, to);
        for block in blocks.get(first..).unwrap_or_default() {
            let beyond = match to {
                Bound::Unbounded => false,
                Bound::Included(to) => block.first > *to,
                Bound::Excluded(to) => block.first >= *to,
            };
            if beyond {
                break;
            }
            self.block(decoder, block, &|udi| std::ops::RangeBounds::contains(&within, udi), each)?;
        }
        Ok(())
    }

    /// The notes of some chassis.
    pub(super) fn named(&self, decoder: &mut Decoder, wanted: &BTreeSet<&Udi>, each: Each<'_>) -> Result<(), String> {
        let blocks = &self.index.blocks;
        let ends = blocks.iter().skip(1).map(|next| Bound::Excluded(&next.first)).chain([Bound::Unbounded]);
        for (block, end) in blocks.iter().zip(ends) {
            if wanted.range::<&Udi, _>((Bound::Included(&&block.first), end.as_ref())).next().is_some() {
                self.block(decoder, block, &|udi| wanted.contains(udi), each)?;
            }
        }
        Ok(())
    }

    fn block(
        &self,
        decoder: &mut Decoder,
        block: &Block,
        wanted: &dyn Fn(&Udi) -> bool,
        each: Each<'_>,
    ) -> Result<(), String> {
        let mut rest = decoder.frame(&self.bytes, block.extent)?;
        while !rest.is_empty() {
            let ((udi, mut notes), behind): ((Udi, &[u8]), _) = taken(rest)?;
            rest = behind;
            while !notes.is_empty() && wanted(&udi) {
                let (stored, behind) = taken(notes)?;
                notes = behind;
                let (place, at, note) = self.note(stored)?;
                each(&udi, place, at, note);
            }
        }
        Ok(())
    }

    fn note(&self, stored: Stored) -> Result<(u64, Seconds, Note), String> {
        let text = |number: u32| self.index.texts.get(number as usize).cloned().ok_or("a text that is not there");
        Ok(match stored {
            Stored::Report { at, again, tag, report, object, counts, span, stretches, changes, with, tells_nobody } => {
                let (source, with) = (Source { report, object }, self.with(with)?);
                let reading = Reading { source, counts, span, stretches, changes, with, tells_nobody };
                let tag = text(tag)?;
                (0, at, if again { Note::Again(tag, reading) } else { Note::Report(tag, reading) })
            }
            Stored::Licences { place, at, told } => {
                let licence = |(name, number, count): (bool, u32, u64)| {
                    let text = text(number)?;
                    Ok((if name { Licence::Name(text.0) } else { Licence::Tag(text) }, count))
                };
                (place, at, Note::Licences(told.into_iter().map(licence).collect::<Result<_, String>>()?))
            }
            Stored::Clock { at, ahead } => (0, at, Note::Clock(ahead)),
        })
    }
}

fn taken<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<(T, &'b [u8]), String> {
    postcard::take_from_bytes(bytes).map_err(|error| error.to_string())
}
