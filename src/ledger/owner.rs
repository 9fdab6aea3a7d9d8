//! The one thread that writes: it takes all that waits, makes it durable in one go, folds it, answers.

use std::collections::{BTreeSet, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::batch::limits;
use super::error::Error;
use super::history::Layout;
use super::lock::Lock;
use super::pack::Header;
use super::register::{Applied, Change, Register, RegisterError};
use super::runs;
use super::seal::{self, Closing, Done, SealError};
use super::writer::Writer;
use super::{Hooks, Options, Shared};
use crate::domain::event::Event;
use crate::domain::fleet::{Fleet, RecordForm, RecordKey};
use crate::domain::instance::DeviceName;
use crate::domain::problem::with_causes;

/// After this long without work the register is flushed, so that the next start has little to fold.
const IDLE: Duration = Duration::from_secs(1);
/// So many contacts go into the register together.
const CONTACTS_AT_ONCE: usize = 256;

/// One append, made ready on its caller's thread.
pub(super) struct Prepared {
    pub at: Timestamp,
    pub events: Vec<Event>,
    /// The events as they stand in the batch.
    pub json: Vec<u8>,
    pub objects: Vec<(Header, Vec<u8>)>,
    /// Sealed segments up to this number were searched for the objects already.
    pub searched: u64,
}

/// How a caller waits.
pub(super) enum Reply {
    Thread(SyncSender<Result<(), Error>>),
    Task(oneshot::Sender<Result<(), Error>>),
}

impl Reply {
    fn answer(self, result: Result<(), Error>) {
        // A caller that no longer waits does not want to know.
        match self {
            Reply::Thread(sender) => drop(sender.send(result)),
            Reply::Task(sender) => drop(sender.send(result)),
        }
    }
}

pub(super) enum Message {
    Append(Prepared, Reply),
    Seal(Reply),
    Contacts(Vec<(DeviceName, Timestamp)>, Reply),
    Close(Reply),
}

/// The instants of the open segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub first: Option<Timestamp>,
    pub newest: Option<Timestamp>,
    /// Among all segments.
    pub newest_so_far: Option<Timestamp>,
}

impl Span {
    fn grow(&mut self, at: Timestamp) {
        self.first = self.first.or(Some(at));
        self.newest = self.newest.max(Some(at));
        self.newest_so_far = self.newest_so_far.max(Some(at));
    }
}

pub(super) struct Owner {
    pub shared: Arc<Shared>,
    pub inbox: Receiver<Message>,
    pub options: Options,
    pub hooks: Hooks,
    pub writer: Writer,
    pub span: Span,
    /// After a seal that did not work: try again when the segment has this size.
    pub seal_again_at: u64,
    /// `None` after it failed: the next start makes it good from the journal.
    pub register: Option<Box<dyn Register>>,
    pub register_dirty: bool,
    /// Contacts that the register does not have yet: a write of its own for each would cost more than the rest of a
    /// poll's bookkeeping, and losing them does no harm.
    pub contacts: Vec<(DeviceName, Timestamp)>,
    /// Last, so that it is released after everything else is closed.
    pub lock: Lock,
}

impl Owner {
    /// Works until it is told to close, or all handles are gone.
    pub(super) fn run(mut self) {
        let mut carried = None;
        let last = loop {
            let message = match carried.take() {
                Some(message) => message,
                None => match self.next() {
                    Some(message) => message,
                    None => break None,
                },
            };
            match message {
                Message::Append(prepared, reply) => {
                    let (group, next) = self.gather(prepared, reply);
                    carried = next;
                    self.append(group);
                }
                Message::Contacts(contacts, reply) => {
                    self.note_contacts(contacts);
                    reply.answer(Ok(()));
                }
                Message::Seal(reply) => {
                    let sealed = self.writer.usable().and_then(|()| self.seal());
                    reply.answer(sealed);
                }
                Message::Close(reply) => break Some(reply),
            }
        };
        self.flush_register();
        let Owner { inbox, register, lock, writer, .. } = self;
        drop((inbox, register, writer));
        drop(lock);
        if let Some(reply) = last {
            reply.answer(Ok(()));
        }
    }

    fn next(&mut self) -> Option<Message> {
        if self.register_dirty {
            match self.inbox.recv_timeout(IDLE) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.flush_register(),
            }
        }
        self.inbox.recv().ok()
    }

    /// Everything that waits and fits into one batch, and the message that ended the gathering.
    fn gather(&self, prepared: Prepared, reply: Reply) -> (Vec<(Prepared, Reply)>, Option<Message>) {
        let mut facts = 0;
        let mut objects = 0;
        let mut group = Vec::new();
        let mut next = Some((prepared, reply));
        while let Some((prepared, reply)) = next.take() {
            facts += prepared.json.len() as u64;
            objects += prepared.objects.iter().map(|(_, object)| object.len() as u64).sum::<u64>();
            group.push((prepared, reply));
            let full = facts >= limits::BATCH_FACTS
                || objects >= limits::BATCH_OBJECTS
                || group.len() >= limits::BATCH_APPENDS;
            if full {
                break;
            }
            match self.inbox.try_recv() {
                Ok(Message::Append(prepared, reply)) => next = Some((prepared, reply)),
                Ok(other) => return (group, Some(other)),
                Err(_) => break,
            }
        }
        (group, None)
    }

    fn append(&mut self, mut group: Vec<(Prepared, Reply)>) {
        let written = self.write(&mut group);
        let touched = if written.is_ok() { self.fold(&group) } else { BTreeSet::new() };
        for (_, reply) in group {
            reply.answer(written.clone());
        }
        // Nobody reads the register before the next start, and callers get their next append ready meanwhile.
        if written.is_ok() {
            self.commit(touched);
        }
    }

    fn write(&mut self, group: &mut [(Prepared, Reply)]) -> Result<(), Error> {
        self.writer.usable()?;
        let Some(at) = group.iter().map(|(prepared, _)| prepared.at).max() else { return Ok(()) };
        if self.is_full(at) && self.seal().is_err() {
            // Told as trouble. The segment goes on growing, unless the writer is poisoned.
            self.writer.usable()?;
        }
        let layout = self.shared.layout();
        let mut fresh = Vec::new();
        let mut taken = HashSet::new();
        for (prepared, _) in group.iter_mut() {
            for (header, object) in prepared.objects.drain(..) {
                let kept = layout.open.extent(&header.hash).is_some()
                    || !taken.insert(header.hash)
                    || layout.has_sealed(&header.hash, prepared.searched);
                if !kept {
                    fresh.push((header, object));
                }
            }
        }
        let events: Vec<&[u8]> = group.iter().map(|(prepared, _)| prepared.json.as_slice()).collect();
        let written = self.writer.write(&layout.open, at, &events, &fresh)?;
        layout.open.grown(self.writer.events_len, written.objects);
        self.shared.set_link(self.writer.link);
        self.span.grow(at);
        Ok(())
    }

    /// Must the open segment be sealed before a batch of this instant?
    fn is_full(&self, at: Timestamp) -> bool {
        let Some(first) = self.span.first else { return false };
        let size = self.writer.events_len + self.writer.pack_len;
        let month = |at: Timestamp| {
            let date = at.to_zoned(jiff::tz::TimeZone::UTC);
            (date.year(), date.month())
        };
        size >= self.seal_again_at
            && (size >= self.options.segment_bytes || (self.options.segment_months && month(at) > month(first)))
    }

    /// Seals the open segment, if it holds anything, and goes on with a new one.
    fn seal(&mut self) -> Result<(), Error> {
        let Span { first: Some(_), newest: Some(newest), newest_so_far: Some(newest_so_far) } = self.span else {
            return Ok(());
        };
        // The register is then at the checkpoint, and a start needs none of the sealed batches.
        self.flush_register();
        let layout = self.shared.layout();
        let Writer { link, events_len, pack_len, .. } = self.writer;
        let closing = Closing { link, events_len, pack_len, newest, newest_so_far };
        let fleet = self.shared.fleet.read().unwrap_or_else(PoisonError::into_inner);
        let done = seal::seal(&self.shared.root, &layout.open, &closing, &fleet, &*self.hooks.steps);
        drop(fleet);
        let Done { sealed, next, left_over } = match done {
            Ok(done) => done,
            Err(SealError::TakenBack(cause)) => {
                self.seal_again_at = events_len + pack_len + self.options.segment_bytes / 8;
                self.shared
                    .set_trouble(format!("a segment could not be sealed and goes on growing: {}", with_causes(&cause)));
                return Err(cause);
            }
            Err(SealError::Unsure(cause)) => return Err(self.writer.poison(with_causes(&cause))),
        };
        if let Some(cause) = left_over {
            self.shared.set_trouble(format!("sealing left files that the next start removes: {}", with_causes(&cause)));
        }
        let link = next.start;
        self.writer = match Writer::new(&*self.hooks.handles, &next, link, (0, 0)) {
            Ok(writer) => writer,
            Err(cause) => return Err(self.writer.poison(with_causes(&cause))),
        };
        self.seal_again_at = 0;
        self.span = Span { newest_so_far: Some(newest_so_far), ..Span::default() };
        let mut all: Vec<_> = layout.sealed.iter().cloned().collect();
        let sealed = Arc::new(sealed);
        all.push(sealed.clone());
        self.shared.set_layout(Layout { sealed: Arc::new(all), open: Arc::new(next) });
        self.shared.set_link(link);
        if let Err(cause) = runs::keep(&self.shared.root, &sealed) {
            let cause = with_causes(&cause);
            self.shared
                .set_trouble(format!("what was sealed cannot be read for snapshots; run `ledger verify`: {cause}"));
        }
        Ok(())
    }

    /// Changes the fold by what is durable now.
    fn fold(&mut self, group: &[(Prepared, Reply)]) -> BTreeSet<RecordKey> {
        let mut fleet = self.shared.fleet.write().unwrap_or_else(PoisonError::into_inner);
        let events = group.iter().flat_map(|(prepared, _)| &prepared.events);
        events.flat_map(|event| fleet.apply(event)).collect()
    }

    /// Brings the register up to the fold.
    fn commit(&mut self, touched: BTreeSet<RecordKey>) {
        let Some(register) = &mut self.register else { return };
        // Nobody else writes: nothing changed since the fold, and readers need not wait for sled.
        let fleet = self.shared.fleet.read().unwrap_or_else(PoisonError::into_inner);
        let applied = Applied::at(&self.writer.link, &self.shared.ledger_id, fleet.records());
        let committed = register.commit(changes(&fleet, touched), Some(&applied));
        drop(fleet);
        self.register_dirty = true;
        self.register_did(committed);
    }

    fn note_contacts(&mut self, contacts: Vec<(DeviceName, Timestamp)>) {
        self.register_dirty = true;
        {
            let mut fleet = self.shared.fleet.write().unwrap_or_else(PoisonError::into_inner);
            for (device, at) in &contacts {
                let known = fleet.contacts.entry(device.clone()).or_insert(*at);
                *known = (*known).max(*at);
            }
        }
        self.contacts.extend(contacts);
        if self.contacts.len() >= CONTACTS_AT_ONCE {
            self.write_contacts();
        }
    }

    fn write_contacts(&mut self) {
        let contacts = std::mem::take(&mut self.contacts);
        if !contacts.is_empty() {
            let noted = self.register.as_mut().map_or(Ok(()), |register| register.note_contacts(&contacts));
            self.register_did(noted);
        }
    }

    fn flush_register(&mut self) {
        self.write_contacts();
        if std::mem::take(&mut self.register_dirty) {
            let flushed = self.register.as_mut().map_or(Ok(()), |register| register.flush());
            self.register_did(flushed);
        }
    }

    /// A register that failed once has a gap and is not written again; the journal is not concerned.
    fn register_did(&mut self, result: Result<(), RegisterError>) {
        if let Err(e) = result {
            self.register = None;
            self.shared.set_trouble(format!(
                "the register stopped: {e}; facts are stored all the same; the next start makes it good"
            ));
        }
    }
}

/// The stored form of the records that were touched.
pub(super) fn changes(fleet: &Fleet, touched: BTreeSet<RecordKey>) -> Vec<Change> {
    touched.into_iter().map(|key| (key.to_bytes(), fleet.encode(&key, RecordForm::Compact))).collect()
}
