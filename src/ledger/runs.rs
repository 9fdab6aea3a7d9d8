//! What the journal says of quantities, by chassis: a snapshot reads this and not the years of the journal.
//!
//! ```text
//! runs/000001     what segment 1 says of each chassis, in the order of UDIs
//! ```
//!
//! A sealed segment never changes, and neither do its runs: they are made when it is sealed, and again by whoever finds
//! them missing, damaged, of another version or of another segment. They are a cache: nothing is in them that is not in
//! the journal, and their loss costs time only. The open segment's are made in memory each time.

mod build;
mod image;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use self::build::Builder;
use self::image::{Decoder, Each, Image, Told};
use super::batch::{Batch, Link};
use super::disk;
use super::error::{Error, Place};
use super::history::{Layout, bad_seal};
use super::sealed::Sealed;
use super::segment;
use crate::domain::event::Event;
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::parts;
use crate::domain::timeline::{
    Called, Chassis, Chronicle, Devices, Note, Part, Reach, Seconds, Sighted, Together, Unreadable, sayings,
};

const RUNS: &str = "runs";

fn file_of(root: &Path, segment: u64) -> PathBuf {
    root.join(RUNS).join(format!("{segment:06}"))
}

/// What chassis signed and said, as of the moment at which it was asked for.
pub struct Runs {
    /// One a segment, in their order.
    images: Vec<Image>,
    /// What became of each chassis by way of its device: where in the journal, when, and what.
    sighted: BTreeMap<Udi, Fates>,
    /// By which name chassis went together.
    names: BTreeMap<Together, DeviceName>,
    called: Called,
    reach: Reach,
}

/// The number of a segment here, and that of the event in it.
type Position = (usize, u64);
/// What became of a chassis, in the order of the journal.
type Fates = Vec<(Position, Seconds, Sighted)>;

impl Layout {
    pub(super) fn runs(&self, root: &Path, reach: Reach) -> Result<Runs, Error> {
        let mut images = Vec::new();
        for sealed in self.sealed.iter().filter(|sealed| sealed.has_events) {
            images.push(of_sealed(root, sealed)?);
        }
        let (open, path) = (&self.open, self.open.events_path());
        let (builder, _) = read(&mut open.batches_from(0), &path, open.start)?;
        let damaged = |what: String| Error::damaged(&path, Place::Whole, what);
        images.push(builder.image(open.start.head).map_err(damaged)?);
        let (sighted, devices) = sighted(&images, reach).map_err(damaged)?;
        let mut called = Called::default();
        images.iter().for_each(|image| image.calls(&mut called));
        Ok(Runs { images, sighted, names: devices.into_names(), called, reach })
    }
}

/// Makes the runs of a sealed segment, if they are not there.
pub(super) fn keep(root: &Path, sealed: &Sealed) -> Result<(), Error> {
    of_sealed(root, sealed).map(drop)
}

fn of_sealed(root: &Path, sealed: &Sealed) -> Result<Image, Error> {
    let file = file_of(root, sealed.number());
    if let Some(image) = Image::open(&file, sealed.seal.head) {
        return Ok(image);
    }
    let path = sealed.events_path();
    let before = sealed.seal.first_seq.checked_sub(1).ok_or_else(|| bad_seal(&path))?;
    let (builder, end) = read(&mut sealed.batches()?, &path, Link { seq: before, head: sealed.seal.prev })?;
    if end != (Link { seq: sealed.seal.last_seq, head: sealed.seal.head }) {
        return Err(bad_seal(&path));
    }
    let image = builder.image(sealed.seal.head).map_err(|what| Error::damaged(&path, Place::Whole, what))?;
    // A disk that is full keeps nobody from reading.
    let kept = disk::create_dirs(disk::parent(&file)).and_then(|()| disk::replace(&file, image.bytes()));
    if let Err(error) = &kept {
        tracing::warn!(file = %file.display(), %error, "not kept: each snapshot reads this part of the journal anew");
    }
    Ok(kept.ok().and_then(|()| Image::open(&file, sealed.seal.head)).unwrap_or(image))
}

/// A batch as far as it is of interest.
struct Batched {
    seq: u64,
    prev: crate::domain::digest::Sha256,
    link: Link,
    told: Vec<Told>,
    events: u64,
}

/// Reads batches, several at once, and checks the chain.
fn read(reader: &mut impl std::io::BufRead, path: &Path, start: Link) -> Result<(Builder, Link), Error> {
    let (mut builder, mut link, mut number) = (Builder::default(), start, 0);
    let mut failed = None;
    let lines = segment::lines(reader, path);
    parts::in_order(
        lines,
        |line: Result<Vec<u8>, Error>| line.map(|line| batched(&line)),
        |batched| {
            number += 1;
            let damaged = |what: String| Error::damaged(path, Place::Line(number), what);
            let checked = batched.and_then(|batched| {
                let Batched { seq, prev, link: next, told, events } = batched.map_err(damaged)?;
                super::batch::follows(seq, prev, &link).map_err(damaged)?;
                link = next;
                builder.add(told, events);
                Ok(())
            });
            failed = checked.err();
            if failed.is_none() { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) }
        },
    );
    failed.map_or(Ok((builder, link)), Err)
}

fn batched(line: &[u8]) -> Result<Batched, String> {
    let batch = Batch::read(line).map_err(super::batch::BadLine::told)?;
    let events = batch.events()?;
    let (told, events) = (told(&events), events.len() as u64);
    Ok(Batched { seq: batch.seq, prev: batch.prev, link: batch.link(), told, events })
}

/// What the events of a batch say.
fn told(events: &[Event]) -> Vec<Told> {
    let mut told = Vec::new();
    for (event, place) in events.iter().zip(0u64..) {
        sayings(event, &mut |saying| told.push(Told { place, at: event.at.as_second(), saying }));
    }
    told
}

/// What became of each chassis, and as which devices chassis went together.
fn sighted(images: &[Image], reach: Reach) -> Result<(BTreeMap<Udi, Fates>, Devices), String> {
    let mut devices = Devices::default();
    let mut sighted: BTreeMap<Udi, Fates> = BTreeMap::new();
    for (segment, image) in images.iter().enumerate() {
        image.contacts(&mut |place, at, device, what| {
            devices.take(at, &device, what, reach, &mut |udi, since, what| {
                sighted.entry(udi).or_default().push(((segment, place), since, what));
            });
        })?;
    }
    Ok((sighted, devices))
}

impl Runs {
    fn fold(&self, wanted: &dyn Fn(&Image, &mut Decoder, Each<'_>) -> Result<(), String>) -> Result<Part, Unreadable> {
        let mut part: BTreeMap<Udi, (Chassis, usize)> = BTreeMap::new();
        let mut decoder = Decoder::new().map_err(Unreadable)?;
        for (segment, image) in self.images.iter().enumerate() {
            let mut take = |udi: &Udi, place: u64, at: Seconds, note: Note| {
                let known = match part.get_mut(udi) {
                    Some(known) => known,
                    None => part.entry(udi.clone()).or_default(),
                };
                if let Note::Licences(_) = note {
                    self.sight(udi, known, Some((segment, place)));
                }
                known.0.take(at, note, self.reach);
            };
            wanted(image, &mut decoder, &mut take).map_err(|what| damaged(image, &what))?;
        }
        for (udi, known) in &mut part {
            self.sight(udi, known, None);
        }
        Ok(Part(part.into_iter().map(|(udi, (chassis, _))| (udi, chassis)).collect()))
    }

    /// Takes what became of it by way of its device before a place in the journal, or up to its end.
    fn sight(&self, udi: &Udi, (chassis, taken): &mut (Chassis, usize), before: Option<Position>) {
        let Some(all) = self.sighted.get(udi) else { return };
        let next = |taken: usize| all.get(taken).filter(|(place, ..)| before.is_none_or(|end| *place < end));
        while let Some((_, at, what)) = next(*taken) {
            chassis.sighted(*at, what.clone(), self.reach);
            *taken += 1;
        }
    }
}

/// Of what cannot be read nothing is kept, so that it is made anew.
fn damaged(image: &Image, what: &str) -> Unreadable {
    let Some(file) = image.file() else { return Unreadable(what.to_owned()) };
    let fate = match disk::remove(file) {
        Ok(_) => "is removed, to be made anew when asked again".to_owned(),
        Err(error) => format!("cannot be removed, which a person has to do: {error}"),
    };
    Unreadable(format!("{} was damaged ({what}) and {fate}", file.display()))
}

impl Chronicle for Runs {
    fn stretch(&self, from: Bound<&Udi>, to: Bound<&Udi>) -> Result<Part, Unreadable> {
        self.fold(&|image, decoder, each| image.stretch(decoder, from, to, each))
    }

    fn named(&self, chassis: &BTreeSet<&Udi>) -> Result<Part, Unreadable> {
        self.fold(&|image, decoder, each| image.named(decoder, chassis, each))
    }

    fn companies(&self) -> BTreeSet<&Together> {
        self.images.iter().flat_map(|image| image.companies()).collect()
    }

    fn name_of(&self, together: &[Udi]) -> Option<&DeviceName> {
        self.names.get(together)
    }

    fn called(&self) -> &Called {
        &self.called
    }
}

#[cfg(test)]
mod tests;
