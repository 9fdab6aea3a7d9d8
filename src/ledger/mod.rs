//! The memory: a journal that is the truth, and a register of what it adds up to.
//!
//! ```text
//! LOCK                    who has it open
//! ledger.json             which ledger, in which format
//! segments/000001/        events.log.zst objects.pack.zst objects.idx checkpoint.zst seal.json   (sealed)
//! segments/000002/        events.log objects.pack                                                (open)
//! heads.log               a line for each sealed segment: proof of the chain
//! register/               sled: the fold, one record a name
//! ```
//!
//! Facts come in by [`Ledger::append`]. One owner thread takes all that waits, writes one batch,
//! confirms it, folds it into the [`Fleet`] and the register, and only then answers. So an answered
//! append survives a power cut, and whoever reads [`Ledger::fleet`] afterwards sees it.
//!
//! A power cut can leave an unconfirmed batch at the very end; opening cuts it back. Damage anywhere
//! else is refused with file and line, and nothing is touched. The register is never trusted over the
//! journal: in doubt it is set aside and made anew. What was mended is told by [`Ledger::healings`].

mod batch;
mod disk;
mod error;
mod identity;
mod lock;
mod owner;
mod pack;
mod register;
mod segment;
mod sled_register;
mod start;
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

pub use self::error::{Error, Place};

use self::batch::{Link, limits};
use self::owner::{Message, Owner, Prepared, Reply};
use self::pack::Header;
use self::segment::Open;
use self::start::Started;
use self::writer::Handles;
use crate::domain::digest::Sha256;
use crate::domain::event::{Event, Fact};
use crate::domain::fleet::Fleet;
use crate::domain::instance::DeviceName;

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

/// What was mended while opening; to be told to the operator once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healing {
    /// The last batch was never confirmed; it was cut away.
    TornTail { segment: u64, after_seq: u64, events_bytes: u64, objects_bytes: u64 },
    /// sled's snapshots were unreadable; its log was enough.
    SnapshotsMovedAway { dir: PathBuf },
    /// The register was set aside and made anew from the journal.
    RegisterRebuilt { cause: String, set_aside: PathBuf },
}

impl fmt::Display for Healing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Healing::TornTail { segment, after_seq, events_bytes, objects_bytes } => write!(
                f,
                "segment {segment}: cut an unconfirmed batch after batch {after_seq} \
                 ({events_bytes} bytes of events, {objects_bytes} of objects)"
            ),
            Healing::SnapshotsMovedAway { dir } => {
                write!(f, "register {}: unreadable snapshots moved away; nothing is lost", dir.display())
            }
            Healing::RegisterRebuilt { cause, set_aside } => {
                write!(
                    f,
                    "the register was made anew from the journal ({cause}); the old one is {}",
                    set_aside.display()
                )
            }
        }
    }
}

/// The ledger, open. Clones are handles to the same; the last one to go closes it.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
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

/// The segments as of now.
#[derive(Clone)]
struct Layout {
    open: Arc<Open>,
}

impl Shared {
    fn layout(&self) -> Layout {
        self.layout.read().unwrap_or_else(PoisonError::into_inner).clone()
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
        let handles: Box<Handles> = Box::new(|open| {
            let (events, pack) = open.writing_handles()?;
            Ok((Box::new(events), Box::new(pack)))
        });
        Ledger::open_with(dir, options, handles)
    }

    fn open_with(dir: &Path, options: Options, handles: Box<Handles>) -> Result<Ledger, Error> {
        let Started { identity, layout, fleet, register, writer, healings, lock } =
            start::start(dir, &options, &handles, Timestamp::now())?;
        let shared = Arc::new(Shared {
            root: dir.to_owned(),
            ledger_id: identity.ledger_id,
            fleet: RwLock::new(fleet),
            layout: RwLock::new(layout),
            link: Mutex::new(writer.link),
            trouble: Mutex::new(None),
        });
        let (sender, inbox) = channel();
        let owner =
            Owner { shared: shared.clone(), inbox, writer, register: Some(register), register_dirty: false, lock };
        let owner = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || owner.run())
            .map_err(Error::io("start the thread of", dir))?;
        let (sender, owner) = (Mutex::new(Some(sender)), Mutex::new(Some(owner)));
        Ok(Ledger { inner: Arc::new(Inner { sender, owner, shared, healings }) })
    }

    /// Keeps facts and objects; returns when they are durable and folded in.
    ///
    /// All facts of one call stand together and in order in the journal. An object that is kept already
    /// is not written again. Not for async callers: they use [`append_async`](Self::append_async).
    pub fn append(&self, at: Timestamp, facts: Vec<Fact>, objects: Vec<Vec<u8>>) -> Result<(), Error> {
        let Some(prepared) = prepare(at, facts, objects)? else { return Ok(()) };
        self.ask(|reply| Message::Append(prepared, reply))
    }

    /// As [`append`](Self::append), for async callers. What is kept is kept, even if the future is dropped.
    pub fn append_async(
        &self,
        at: Timestamp,
        facts: Vec<Fact>,
        objects: Vec<Vec<u8>>,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let waiting = prepare(at, facts, objects).and_then(|prepared| {
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

    /// The fold as of the last answered append. Hold it shortly: the owner waits for it.
    pub fn fleet(&self) -> impl Deref<Target = Fleet> + '_ {
        self.inner.shared.fleet.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes when devices last answered as they should. Not an event, and not durable at once.
    pub fn note_contacts(&self, contacts: &[(DeviceName, Timestamp)]) -> Result<(), Error> {
        let contacts = contacts.to_vec();
        self.ask(|reply| Message::Contacts(contacts, reply))
    }

    /// The bytes of an object, checked against its name; `None` if it is not, or no longer, kept.
    pub fn object(&self, hash: &Sha256) -> Result<Option<Vec<u8>>, Error> {
        self.inner.shared.layout().open.object(hash)
    }

    /// Visits events in the order of the journal, from the first whose instant is not before `from`.
    pub fn events(
        &self,
        from: Option<Timestamp>,
        visit: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let layout = self.inner.shared.layout();
        let path = layout.open.events_path();
        let _ = segment::each_batch(&mut layout.open.batches_from(0), &path, &mut |batch| {
            if from.is_some_and(|from| batch.at < from) {
                return Ok(ControlFlow::Continue(()));
            }
            for event in batch.events()? {
                if from.is_none_or(|from| event.at >= from) && visit(&event).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }

    /// What was mended while opening.
    pub fn healings(&self) -> &[Healing] {
        &self.inner.healings
    }

    /// What does not work as it should although facts are stored; for the status page and the log.
    pub fn trouble(&self) -> Option<String> {
        self.inner.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

fn prepare(at: Timestamp, facts: Vec<Fact>, objects: Vec<Vec<u8>>) -> Result<Option<Prepared>, Error> {
    if facts.is_empty() && objects.is_empty() {
        return Ok(None);
    }
    let events: Vec<Event> = facts.into_iter().map(|fact| Event { at, fact }).collect();
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
