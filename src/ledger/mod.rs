//! The memory: a journal that is the truth, and a register of what it adds up to.
//!
//! ```text
//! LOCK                    who has it open
//! ledger.json             which ledger, in which format
//! segments/000001/        events.log.zst objects.pack.zst objects.idx checkpoint.zst seal.json   (sealed)
//! segments/000002/        events.log objects.pack                                                (open)
//! heads.log               a line for each sealed segment: proof of the chain
//! register/               sled: the fold, one record a name
//! runs/000001             what a sealed segment says of quantities, by chassis
//! ```
//!
//! Facts come in by [`Ledger::append`]. One owner thread takes all that waits, writes one batch,
//! confirms it, folds it into the [`Fleet`], answers, and brings the register up to it. So an answered
//! append survives a power cut, and whoever reads [`Ledger::fleet`] afterwards sees it.
//!
//! A power cut can leave an unconfirmed batch at the very end; opening cuts it back. Damage anywhere
//! else is refused with file and line, and nothing is touched. The register is never trusted over the
//! journal: in doubt it is set aside and made anew. What was mended is told by [`Ledger::healings`].

mod backup;
mod batch;
mod checkpoint;
mod decode;
mod disk;
mod error;
mod export;
mod heads;
mod healing;
mod history;
mod identity;
mod index;
mod lock;
mod objects;
mod owner;
mod pack;
mod rebuild;
mod register;
mod runs;
mod seal;
mod sealed;
mod segment;
mod sled_register;
mod start;
mod survey;
mod verify;
mod writer;

use std::fmt;
use std::future::Future;
use std::ops::{ControlFlow, Deref};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::oneshot;

pub use self::backup::{Backup, restore};
pub use self::error::{Error, Place};
pub use self::export::{Exported, import};
pub use self::healing::Healing;
pub use self::history::FoldFrom;
pub use self::objects::Objects;
pub use self::rebuild::{Rebuilt, Reread, rebuild};
pub use self::runs::Runs;
pub use self::verify::{Finding, Severity, Verification, verify};

use self::batch::{Link, limits};
use self::history::Layout;
use self::owner::{Message, Owner, Prepared, Reply};
use self::pack::Header;
use self::seal::Steps;
use self::start::{From, Started};
use self::writer::Handles;
use crate::domain::digest::Sha256;
use crate::domain::event::{Event, Fact};
use crate::domain::fleet::Fleet;
use crate::domain::instance::DeviceName;
use crate::domain::timeline::Reach;

/// What the register is kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegisterKind {
    #[default]
    Sled,
    /// Nothing on disk: every start folds from the last checkpoint.
    Memory,
}

/// How a ledger is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment is sealed when its two files together reach this size.
    pub segment_bytes: u64,
    /// A segment is also sealed before the first batch of a later month (UTC).
    pub segment_months: bool,
    pub register: RegisterKind,
}

impl Default for Options {
    fn default() -> Self {
        Options { segment_bytes: 256 << 20, segment_months: true, register: RegisterKind::Sled }
    }
}

/// Where the journal of an open ledger stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub ledger_id: String,
    /// The number of the last batch; 0 before the first.
    pub seq: u64,
    /// What the next batch will link to.
    pub head: Sha256,
    pub segments: u64,
}

/// What tests put in place of the disk.
struct Hooks {
    handles: Box<Handles>,
    steps: Box<Steps>,
}

impl Default for Hooks {
    fn default() -> Self {
        let handles: Box<Handles> = Box::new(|open| {
            let (events, pack) = open.writing_handles()?;
            Ok((Box::new(events), Box::new(pack)))
        });
        Hooks { handles, steps: Box::new(|_| Ok(())) }
    }
}

/// The ledger, open. Clones are handles to the same; the last one to go closes it.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
    /// In whose name this handle keeps facts.
    by: Option<Arc<str>>,
}

struct Inner {
    /// Before the thread: it ends when the last sender is gone.
    sender: Mutex<Option<Sender<Message>>>,
    owner: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    healings: Vec<Healing>,
}

/// What the owner thread changes and everybody reads.
struct Shared {
    root: PathBuf,
    ledger_id: String,
    fleet: RwLock<Fleet>,
    layout: RwLock<Layout>,
    link: Mutex<Link>,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    fn layout(&self) -> Layout {
        self.layout.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_layout(&self, layout: Layout) {
        *self.layout.write().unwrap_or_else(PoisonError::into_inner) = layout;
    }

    fn set_link(&self, link: Link) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }

    fn set_trouble(&self, what: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }
}

impl Ledger {
    /// Opens the ledger in `dir`, making it if there is none, and heals what a power cut may have left.
    ///
    /// Blocks for as long as the fold takes to read.
    pub fn open(dir: &Path, options: Options) -> Result<Ledger, Error> {
        Ledger::open_with(dir, options, Hooks::default())
    }

    fn open_with(dir: &Path, options: Options, hooks: Hooks) -> Result<Ledger, Error> {
        let started = start::start(dir, &options, &*hooks.handles, From::Register, Timestamp::now())?;
        Ledger::run(dir, options, hooks, started)
    }

    fn run(dir: &Path, options: Options, hooks: Hooks, started: Started) -> Result<Ledger, Error> {
        let Started { identity, layout, fleet, register, writer, span, healings, lock } = started;
        let shared = Arc::new(Shared {
            root: dir.to_owned(),
            ledger_id: identity.ledger_id,
            fleet: RwLock::new(fleet),
            layout: RwLock::new(layout),
            link: Mutex::new(writer.link),
            trouble: Mutex::new(None),
        });
        let (sender, inbox) = channel();
        let owner = Owner {
            shared: shared.clone(),
            inbox,
            options,
            hooks,
            writer,
            span,
            seal_again_at: 0,
            register: Some(register),
            register_dirty: false,
            contacts: Vec::new(),
            lock,
        };
        let owner = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || owner.run())
            .map_err(Error::io("start the thread of", dir))?;
        let (sender, owner) = (Mutex::new(Some(sender)), Mutex::new(Some(owner)));
        Ok(Ledger { inner: Arc::new(Inner { sender, owner, shared, healings }), by: None })
    }

    /// A handle to the same ledger whose facts stand under the name of the person who asks for them.
    pub fn asked_by(&self, person: &str) -> Ledger {
        Ledger { inner: self.inner.clone(), by: Some(person.into()) }
    }

    /// Keeps facts and objects; returns when they are durable and folded in.
    ///
    /// All facts of one call stand together and in order in the journal. An object that is kept already
    /// is not written again. Not for async callers: they use [`append_async`](Self::append_async).
    pub fn append(&self, at: Timestamp, facts: Vec<Fact>, objects: Vec<Vec<u8>>) -> Result<(), Error> {
        let Some(mut prepared) = prepare(at, self.by.as_deref(), facts, objects)? else { return Ok(()) };
        // Here rather than in the owner, whom everybody waits for; async callers leave it to the owner.
        let layout = self.inner.shared.layout();
        prepared.objects.retain(|(header, _)| !layout.has_sealed(&header.hash, 0));
        prepared.searched = layout.last_sealed();
        self.ask(|reply| Message::Append(prepared, reply))
    }

    /// As [`append`](Self::append), for async callers. What is kept is kept, even if the future is dropped.
    pub fn append_async(
        &self,
        at: Timestamp,
        facts: Vec<Fact>,
        objects: Vec<Vec<u8>>,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let waiting = prepare(at, self.by.as_deref(), facts, objects).and_then(|prepared| {
            let Some(prepared) = prepared else { return Ok(None) };
            let (answer, waiting) = oneshot::channel();
            self.send(Message::Append(prepared, Reply::Task(answer)))?;
            Ok(Some(waiting))
        });
        async move {
            match waiting? {
                Some(waiting) => waiting.await.unwrap_or(Err(Error::Closed)),
                None => Ok(()),
            }
        }
    }

    /// The fold as of the last answered append.
    ///
    /// Hold it shortly: the owner waits for it. Never append while holding it: that waits for itself.
    pub fn fleet(&self) -> impl Deref<Target = Fleet> + '_ {
        self.inner.shared.fleet.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes when devices last answered as they should. Not an event, and not durable at once.
    pub fn note_contacts(&self, contacts: &[(DeviceName, Timestamp)]) -> Result<(), Error> {
        let contacts = contacts.to_vec();
        self.ask(|reply| Message::Contacts(contacts, reply))
    }

    /// As [`note_contacts`](Self::note_contacts), for async callers.
    pub fn note_contacts_async(
        &self,
        contacts: Vec<(DeviceName, Timestamp)>,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let (answer, waiting) = oneshot::channel();
        let sent = self.send(Message::Contacts(contacts, Reply::Task(answer)));
        async move {
            sent?;
            waiting.await.unwrap_or(Err(Error::Closed))
        }
    }

    /// Visits events in the order of the journal, from the first whose instant is not before `from`.
    pub fn events(
        &self,
        from: Option<Timestamp>,
        visit: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.inner.shared.layout().events(from, visit)
    }

    /// What [`fleet`](Self::fleet) would have said at that instant: the fold of all events not after it.
    ///
    /// Contacts are not part of it: they are not events.
    pub fn fleet_at(&self, instant: Timestamp) -> Result<Fleet, Error> {
        self.inner.shared.layout().fleet_at(instant)
    }

    /// What chassis signed and said, by all events that are kept. Reads what is kept of sealed segments for that, and of
    /// the journal only the rest.
    pub fn runs(&self, reach: Reach) -> Result<Runs, Error> {
        self.inner.shared.layout().runs(self.dir(), reach)
    }

    /// From when on every event is kept; `None`: from the first one.
    pub fn kept_from(&self) -> Option<Timestamp> {
        self.inner.shared.layout().kept_from()
    }

    /// Seals the open segment now, if there is anything in it.
    pub fn seal(&self) -> Result<(), Error> {
        self.ask(Message::Seal)
    }

    /// Where the journal stands.
    pub fn standing(&self) -> Standing {
        let shared = &self.inner.shared;
        let Link { seq, head } = *shared.link.lock().unwrap_or_else(PoisonError::into_inner);
        let layout = shared.layout();
        let segments = layout.sealed.len() as u64 + 1;
        Standing { ledger_id: shared.ledger_id.clone(), seq, head, segments }
    }

    /// What was mended while opening.
    pub fn healings(&self) -> &[Healing] {
        &self.inner.healings
    }

    /// What does not work as it should although facts are stored; for the status page and the log.
    pub fn trouble(&self) -> Option<String> {
        self.inner.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it takes on disk now, in bytes; looks at every file.
    pub fn bytes(&self) -> u64 {
        disk::bytes_below(self.dir())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.inner.shared.root
    }

    /// Flushes, closes and releases the lock, whatever other handles there are; theirs answer [`Error::Closed`].
    pub fn close(self) -> Result<(), Error> {
        let closed = self.ask(Message::Close);
        self.inner.join();
        closed
    }

    fn ask(&self, message: impl FnOnce(Reply) -> Message) -> Result<(), Error> {
        let (answer, waiting) = sync_channel(1);
        self.send(message(Reply::Thread(answer)))?;
        waiting.recv().unwrap_or(Err(Error::Closed))
    }

    fn send(&self, message: Message) -> Result<(), Error> {
        let sender = self.inner.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().ok_or(Error::Closed)?.send(message).map_err(|_| Error::Closed)
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("dir", &self.dir()).finish_non_exhaustive()
    }
}

impl Inner {
    fn join(&self) {
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(owner) = owner {
            // A panic of the owner was printed when it happened; the lock went with it.
            let _ = owner.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.join();
    }
}

fn prepare(
    at: Timestamp,
    by: Option<&str>,
    facts: Vec<Fact>,
    objects: Vec<Vec<u8>>,
) -> Result<Option<Prepared>, Error> {
    if facts.is_empty() && objects.is_empty() {
        return Ok(None);
    }
    let events: Vec<Event> = facts.into_iter().map(|fact| Event { at, by: by.map(str::to_owned), fact }).collect();
    let json = batch::events_json(&events).expect("facts have string keys only");
    if json.len() as u64 > limits::FACTS {
        return Err(Error::TooLarge { what: "one append's facts", bytes: json.len() as u64, limit: limits::FACTS });
    }
    let mut ready = Vec::with_capacity(objects.len());
    for object in objects {
        let bytes = object.len() as u64;
        let header = Header::of(Sha256::of(&object), &object);
        let header = header.ok_or(Error::TooLarge { what: "an object", bytes, limit: limits::OBJECT })?;
        ready.push((header, object));
    }
    Ok(Some(Prepared { at, events, json, objects: ready, searched: 0 }))
}

#[cfg(test)]
mod tests;
