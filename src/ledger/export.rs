//! The journal as lines of JSON that any program reads, and a ledger made of such lines.
//!
//! ```text
//! {"journal":{"version":1,"ledger_id":"…"}}
//! {"object":"<base64>"}                            a report or answer, before the first event that names it
//! {"event":{"at":"…","by":"…","fact":{…}}}         in the order of the journal
//! {"end":{"events":123,"objects":45,"gone":0}}     a file without it was cut off
//! ```
//!
//! For moving to another format, for looking through by `jq`, for keeping beside the copies of [`backup`](super::backup).
//! The chain of digests is not in it: a ledger made of it has a chain of its own.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;

use data_encoding::BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::batch::limits;
use super::error::{Error, Place};
use super::{Ledger, Options, backup, disk};
use crate::domain::digest::Sha256;
use crate::domain::event::{Event, Fact};

/// The version of the lines.
const VERSION: u32 = 1;
/// The longest line that is read: the largest object in base64, with room for its key.
const LONGEST: u64 = limits::OBJECT / 3 * 4 + 1024;
/// Events and bytes of objects that go into one append.
const MOST_EVENTS: usize = 500;
const MOST_BYTES: usize = 8 << 20;

/// A line. **stored**
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Journal { version: u32, ledger_id: String },
    Object(String),
    Event(Box<Event>),
    End(Exported),
}

/// How much was written or read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    pub events: u64,
    pub objects: u64,
    /// Objects that events name and that are no longer kept.
    pub gone: u64,
}

impl Ledger {
    /// Writes the whole journal as lines of JSON; `out` is what errors call it.
    pub fn export(&self, to: impl Write, out: &Path) -> Result<Exported, Error> {
        let mut lines = BufWriter::with_capacity(256 << 10, to);
        let mut put = |line: &Line| -> Result<(), Error> {
            let text = serde_json::to_vec(line).expect("facts have string keys only");
            lines.write_all(&text).and_then(|()| lines.write_all(b"\n")).map_err(Error::io("write", out))
        };
        put(&Line::Journal { version: VERSION, ledger_id: self.standing().ledger_id })?;
        let (mut done, mut written, mut failure) = (Exported::default(), HashSet::new(), Ok(()));
        let mut event = |event: &Event| -> Result<(), Error> {
            for hash in event.fact.objects() {
                if !written.insert(hash) {
                    continue;
                }
                match self.object(&hash)? {
                    Some(bytes) => {
                        put(&Line::Object(BASE64.encode(&bytes)))?;
                        done.objects += 1;
                    }
                    None => done.gone += 1,
                }
            }
            done.events += 1;
            put(&Line::Event(Box::new(event.clone())))
        };
        self.events(None, &mut |one| match event(one) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Err(error);
                ControlFlow::Break(())
            }
        })?;
        failure?;
        put(&Line::End(done))?;
        lines.flush().map_err(Error::io("write", out))?;
        Ok(done)
    }
}

/// Makes a ledger of exported lines where there is none. It takes its place only when every line was read.
///
/// `dir` must not be there, or be empty.
pub fn import(file: &Path, dir: &Path) -> Result<Exported, Error> {
    let aside = backup::aside(dir)?;
    let read = read(file, &aside);
    if read.is_err() && aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))?;
    }
    let done = read?;
    std::fs::rename(&aside, dir).map_err(Error::io("rename into", dir))?;
    disk::sync_dir(disk::parent(dir))?;
    Ok(done)
}

/// The lines of a file, each at most so long as an export makes them.
struct Lines<'a> {
    file: &'a Path,
    reader: BufReader<File>,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Line, Error> {
        let mut line = Vec::new();
        self.number += 1;
        let read = self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        read.map_err(Error::io("read", self.file))?;
        match line.last() {
            Some(b'\n') => serde_json::from_slice(&line).map_err(|_| self.damaged("it is no line of an export")),
            Some(_) => Err(self.damaged("the line has no end: the file was cut off, or it is none of ours")),
            None => Err(self.damaged("its end is missing: the file was cut off")),
        }
    }

    fn damaged(&self, what: &str) -> Error {
        Error::damaged(self.file, Place::Line(self.number), what)
    }
}

fn read(file: &Path, into: &Path) -> Result<Exported, Error> {
    let reader = BufReader::with_capacity(256 << 10, File::open(file).map_err(Error::io("open", file))?);
    let mut lines = Lines { file, reader, number: 0 };
    match lines.next()? {
        Line::Journal { version: VERSION, .. } => {}
        Line::Journal { version, .. } => {
            return Err(Error::TooNew { file: file.to_owned(), found: version.into(), known: VERSION.into() });
        }
        Line::Object(_) | Line::Event(_) | Line::End(_) => {
            return Err(lines.damaged("an export begins with its version"));
        }
    }
    let ledger = Ledger::open(into, Options::default())?;
    let (mut batch, mut done) = (Batch::default(), Exported::default());
    let (mut here, mut gone) = (HashSet::new(), HashSet::new());
    loop {
        match lines.next()? {
            Line::Object(object) => {
                let bytes = BASE64.decode(object.as_bytes());
                let bytes = bytes.map_err(|_| lines.damaged("its object is no base64"))?;
                done.objects += u64::from(here.insert(Sha256::of(&bytes)));
                batch.bytes += bytes.len();
                batch.objects.push(bytes);
            }
            Line::Event(event) => {
                let Event { at, by, fact } = *event;
                if batch.is_full() || batch.of.as_ref().is_some_and(|of| *of != (at, by.clone())) {
                    batch.append(&ledger)?;
                }
                gone.extend(fact.objects().into_iter().filter(|hash| !here.contains(hash)));
                batch.of = Some((at, by));
                batch.facts.push(fact);
                done.events += 1;
            }
            Line::End(told) => {
                batch.append(&ledger)?;
                done.gone = gone.len() as u64;
                if told != done {
                    return Err(lines.damaged(&format!("it tells of {told:?}, but {done:?} were read")));
                }
                ledger.close()?;
                return Ok(done);
            }
            Line::Journal { .. } => return Err(lines.damaged("a second beginning")),
        }
    }
}

/// What goes into the ledger together: events of one instant and person, and the objects that they name.
#[derive(Default)]
struct Batch {
    of: Option<(Timestamp, Option<String>)>,
    facts: Vec<Fact>,
    objects: Vec<Vec<u8>>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.facts.len() >= MOST_EVENTS || self.bytes >= MOST_BYTES
    }

    fn append(&mut self, ledger: &Ledger) -> Result<(), Error> {
        let Some((at, by)) = self.of.take() else { return Ok(()) };
        let Batch { facts, objects, .. } = std::mem::take(self);
        match by {
            Some(person) => ledger.asked_by(&person).append(at, facts, objects),
            None => ledger.append(at, facts, objects),
        }
    }
}
