//! Proving a ledger: every digest, every link, every fold.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::batch::{Batch, Link};
use super::checkpoint::{self, CheckpointHead};
use super::error::{Error, Place};
use super::identity::Identity;
use super::index::{Entry, Index};
use super::lock::Lock;
use super::pack::{self, Header};
use super::register::{Applied, Register, RegisterError};
use super::sealed::{SEALED_EVENTS, SEALED_PACK, Seal, Sealed, read_frame};
use super::segment::{self, Open};
use super::sled_register::SledRegister;
use super::{heads, history};
use crate::domain::digest::Sha256;
use crate::domain::fleet::{Fleet, RecordForm, RecordKey};
use crate::domain::hashing::Hashing;
use crate::domain::problem::with_causes;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something is not what it was, or is missing.
    Damage,
    /// The next start deals with it, or it was done on purpose.
    Note,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub file: PathBuf,
    pub place: Place,
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Damage => "damage",
            Severity::Note => "note",
        };
        write!(f, "{severity}: {}{}: {}", self.file.display(), self.place, self.what)
    }
}

/// What [`verify`] looked at and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    pub ledger_id: String,
    pub segments: u64,
    pub batches: u64,
    pub events: u64,
    pub objects: u64,
    /// Records of the fresh fold.
    pub records: u64,
    /// The last batch and what the next would link to.
    pub seq: u64,
    pub head: Sha256,
    /// Was the register compared, record by record, with a fresh fold?
    pub register_compared: bool,
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }
}

/// Checks the whole ledger in `dir`: the chain of batches, every object against its name, every index and
/// file of sealed segments, every checkpoint against a fresh fold, the register against that fold.
///
/// Takes the lock and changes nothing in the journal. The register is opened as a start opens it.
/// An error means that the ledger could not be looked at; what is wrong with it is in the findings.
pub fn verify(dir: &Path) -> Result<Verification, Error> {
    let Some(_) = Identity::read(dir)? else {
        let what = format!("there is no {}", Identity::NAME);
        return Err(Error::NotALedger { dir: dir.to_owned(), what });
    };
    let _lock = Lock::take(dir)?;
    let Some(identity) = Identity::read(dir)? else { return Err(Error::Closed) };
    let done = Verification {
        ledger_id: identity.ledger_id,
        segments: 0,
        batches: 0,
        events: 0,
        objects: 0,
        records: 0,
        seq: 0,
        head: Sha256::ZERO,
        register_compared: false,
        findings: Vec::new(),
    };
    let mut verifier = Verifier { root: dir, done, link: None, fold: None, register: None };
    verifier.register = verifier.open_register();
    verifier.segments();
    verifier.heads();
    verifier.register_end();
    let Verifier { mut done, fold, link, .. } = verifier;
    done.records = fold.as_ref().map_or(0, Fleet::records);
    if let Some(Link { seq, head }) = link {
        (done.seq, done.head) = (seq, head);
    }
    Ok(done)
}

struct Verifier<'a> {
    root: &'a Path,
    done: Verification,
    /// What the next batch must link to; unknown after damage.
    link: Option<Link>,
    /// The fold so far; unknown after damage, until the next checkpoint.
    fold: Option<Fleet>,
    register: Option<(SledRegister, Applied)>,
}

impl Verifier<'_> {
    fn damage(&mut self, error: &Error) {
        let (file, place, what) = match error {
            Error::Damaged { file, place, what } => (file.clone(), *place, what.clone()),
            Error::Io { file, .. } | Error::NotStored { file, .. } | Error::TooNew { file, .. } => {
                (file.clone(), Place::Whole, with_causes(error))
            }
            Error::Held { .. }
            | Error::NotALedger { .. }
            | Error::Poisoned { .. }
            | Error::TooLarge { .. }
            | Error::Closed
            | Error::BeforeHistory { .. }
            | Error::Register { .. } => (self.root.to_owned(), Place::Whole, with_causes(error)),
        };
        self.done.findings.push(Finding { severity: Severity::Damage, file, place, what });
    }

    fn note(&mut self, file: PathBuf, what: &str) {
        let what = what.to_owned();
        self.done.findings.push(Finding { severity: Severity::Note, file, place: Place::Whole, what });
    }

    fn wrong(&mut self, file: &Path, what: impl Into<String>) {
        self.damage(&Error::damaged(file, Place::Whole, what));
    }

    fn segments(&mut self) {
        let numbers = match segment::numbers(self.root) {
            Ok(numbers) => numbers,
            Err(e) => return self.damage(&e),
        };
        if numbers.first().is_none_or(|first| *first == 1) {
            self.link = Some(Link::START);
            self.fold = Some(Fleet::default());
            self.compare_register(0);
        }
        for (index, &number) in numbers.iter().enumerate() {
            self.done.segments += 1;
            match Sealed::open(self.root, number) {
                Ok(Some(sealed)) => self.sealed(&sealed),
                Ok(None) => {
                    if let Err(e) = self.open(number) {
                        (self.link, self.fold) = (None, None);
                        self.damage(&e);
                    }
                    match numbers.len() - index {
                        1 => {}
                        2 => self.note(
                            segment::folder(self.root, number),
                            "a seal was not finished; the next start takes it back",
                        ),
                        _ => self.wrong(&segment::folder(self.root, number).join(Seal::NAME), "it is missing"),
                    }
                    return;
                }
                Err(e) => {
                    (self.link, self.fold) = (None, None);
                    self.damage(&e);
                }
            }
        }
    }

    fn sealed(&mut self, sealed: &Sealed) {
        let seal = &sealed.seal;
        let begins = Link { seq: seal.first_seq.saturating_sub(1), head: seal.prev };
        if self.link.is_some_and(|link| link != begins) {
            self.wrong(&sealed.dir.join(Seal::NAME), "it does not follow the segment before");
        }
        let dropped = |name: &str| match name {
            SEALED_EVENTS => !sealed.has_events,
            SEALED_PACK | Index::NAME => sealed.index.is_none(),
            _ => false,
        };
        for (name, known) in seal.files.iter().filter(|(name, _)| !dropped(name)) {
            let path = sealed.dir.join(name);
            match digest_of(&path) {
                Ok(digest) if digest == known.sha256 => {}
                Ok(_) => self.wrong(&path, "its bytes are not what they were when it was sealed"),
                Err(e) => self.damage(&e),
            }
        }
        if sealed.has_events {
            if let Err(e) = history::walk_sealed(sealed, &mut |batch| self.batch(batch)) {
                self.fold = None;
                self.damage(&e);
            }
        } else {
            self.note(sealed.events_path(), "its events are no longer kept");
            self.fold = None;
        }
        match &sealed.index {
            Some(index) => {
                if let Err(e) = self.sealed_pack(sealed, index) {
                    self.damage(&e);
                }
            }
            None => self.note(sealed.dir.join(SEALED_PACK), "its objects are no longer kept"),
        }
        self.checkpoint(sealed);
        self.link = Some(seal.next_link());
    }

    /// One batch whose digest and place in the chain are right.
    fn batch(&mut self, batch: &Batch) -> Result<ControlFlow<()>, String> {
        let events = batch.events()?;
        self.done.batches += 1;
        self.done.events += events.len() as u64;
        if let Some(newest) = events.iter().map(|event| event.at).max()
            && newest > batch.at
        {
            return Err(format!("it is of {}, but an event in it of {newest}", batch.at));
        }
        if let Some(fold) = &mut self.fold {
            for event in &events {
                fold.apply(event);
            }
        }
        self.compare_register(batch.seq);
        Ok(ControlFlow::Continue(()))
    }

    fn checkpoint(&mut self, sealed: &Sealed) {
        let seal = &sealed.seal;
        match sealed.checkpoint() {
            Ok(kept) => {
                if let Some(fold) = self.fold.as_ref().filter(|_| seal.schema == Applied::SCHEMA) {
                    let link = Link { seq: seal.last_seq, head: seal.head };
                    let head = CheckpointHead::of(fold, seal.segment, &link, seal.newest_so_far);
                    if checkpoint::digest(&head, fold) != seal.checkpoint {
                        self.wrong(&sealed.dir.join(checkpoint::CHECKPOINT), "a fresh fold of the events is another");
                    }
                }
                if self.fold.is_none() {
                    self.fold = Some(kept);
                    self.compare_register(seal.last_seq);
                }
            }
            Err(e) => self.damage(&e),
        }
    }

    fn sealed_pack(&mut self, sealed: &Sealed, index: &Index) -> Result<(), Error> {
        let path = sealed.dir.join(SEALED_PACK);
        let named = index.all()?;
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        if index.raw_len() != sealed.seal.objects_bytes || index.count() != sealed.seal.objects {
            self.wrong(&sealed.dir.join(Index::NAME), "it tells of another pack than the seal");
        }
        let mut found = 0;
        for number in 0..index.frames() {
            let (frame, start) = read_frame(index, &file, &path, number)?;
            let mut rest = frame.as_slice();
            while !rest.is_empty() {
                let at = start + (frame.len() - rest.len()) as u64;
                let header = pack::read_header(&mut rest, &path, at)?;
                let Some((object, after)) = rest.split_at_checked(header.len as usize) else {
                    return Err(Error::damaged(&path, Place::Offset(at), "an object is cut short"));
                };
                rest = after;
                found += 1;
                let extent = pack::Extent { offset: at + Header::LEN as u64, len: header.len };
                if let Err(e) = pack::checked(object.to_vec(), &path, &header.hash, extent) {
                    self.damage(&e);
                }
                let wanted = Entry { hash: header.hash, extent, frame: number as u32 };
                let listed = named.binary_search_by_key(&header.hash, |entry| entry.hash).map(|at| named[at]);
                if listed != Ok(wanted) {
                    let what = format!("the object {} is not where the index says", header.hash);
                    self.damage(&Error::damaged(&path, Place::Offset(at), what));
                }
            }
        }
        self.done.objects += found;
        if found != index.count() {
            self.wrong(&path, format!("it has {found} objects, the index names {}", index.count()));
        }
        Ok(())
    }

    fn open(&mut self, number: u64) -> Result<(), Error> {
        let start = self.link.unwrap_or(Link::START);
        let open = Open::open_to_read(self.root, number, start)?;
        let walked = open.walk(&mut |_, batch| self.batch(batch).map(|_| ()))?;
        let (_, pack_len) = open.file_lengths()?;
        if walked.torn {
            self.note(open.events_path(), "it ends in a batch that was never confirmed; the next start cuts it");
        }
        if pack_len > walked.objects_end {
            self.note(open.pack_path(), "it ends in objects of no confirmed batch; the next start cuts them");
        }
        self.link = Some(walked.end);
        let path = open.pack_path();
        let mut reader = open.pack_bytes(walked.objects_end);
        let mut at = 0;
        while at < walked.objects_end {
            let header = pack::read_header(&mut reader, &path, at)?;
            let extent = pack::Extent { offset: at + Header::LEN as u64, len: header.len };
            if extent.end() > walked.objects_end {
                return Err(Error::damaged(&path, Place::Offset(at), "an object reaches beyond the last batch"));
            }
            let mut object = vec![0; header.len as usize];
            reader.read_exact(&mut object).map_err(Error::io("read", &path))?;
            if let Err(e) = pack::checked(object, &path, &header.hash, extent) {
                self.damage(&e);
            }
            self.done.objects += 1;
            at = extent.end();
        }
        Ok(())
    }

    fn heads(&mut self) {
        let mut seals = Vec::new();
        for number in segment::numbers(self.root).unwrap_or_default() {
            // What cannot be read was found before.
            seals.extend(Seal::read(&segment::folder(self.root, number)).ok().flatten());
        }
        match heads::lacks(self.root, seals.iter()) {
            Ok(None) => {}
            Ok(Some(_)) => self.note(heads::path(self.root), "lines are missing at its end; the next start adds them"),
            Err(e) => self.damage(&e),
        }
    }

    fn open_register(&mut self) -> Option<(SledRegister, Applied)> {
        let dir = self.root.join(SledRegister::NAME);
        if !dir.exists() {
            return None;
        }
        let opened = SledRegister::open(&dir).and_then(|(register, _)| Ok((register.applied()?, register)));
        match opened {
            Ok((Some(applied), register))
                if applied.schema == Applied::SCHEMA
                    && applied.form == RecordForm::COMPACT_VERSION
                    && applied.ledger_id == self.done.ledger_id =>
            {
                Some((register, applied))
            }
            // Also what a ledger without events has.
            Ok((None, _)) => None,
            Ok((Some(_), _)) => {
                self.note(dir, "it is of another schema or ledger; the next start makes it anew");
                None
            }
            Err(e) => {
                self.wrong(&dir, format!("{e}; the next start makes it anew"));
                None
            }
        }
    }

    /// Compares the register with the fold, if it stands at this batch.
    fn compare_register(&mut self, seq: u64) {
        let Some((register, applied)) = self.register.take_if(|(_, applied)| applied.seq == seq) else { return };
        let Some(fold) = &self.fold else { return };
        self.done.register_compared = true;
        let mut found = 0;
        let compared = register.scan(&mut |key, value| {
            found += 1;
            let own = RecordKey::from_bytes(key).and_then(|key| fold.encode(&key, RecordForm::Compact));
            if own.as_deref() == Some(value) {
                return Ok(());
            }
            let key = String::from_utf8_lossy(key).replace('\0', " ");
            Err(RegisterError::Damaged(format!("the record {key:?} is not what a fresh fold gives")))
        });
        let wanted = fold.records();
        let dir = self.root.join(SledRegister::NAME);
        match compared {
            Err(e) => self.wrong(&dir, format!("{e}; `rebuild` makes it anew")),
            Ok(()) if found != wanted || found != applied.records => {
                self.wrong(&dir, format!("it has {found} records, a fresh fold {wanted}; `rebuild` makes it anew"));
            }
            Ok(()) => {}
        }
    }

    fn register_end(&mut self) {
        let dir = self.root.join(SledRegister::NAME);
        if dir.exists() && self.register.is_none() && !self.done.register_compared && self.done.batches > 0 {
            return self.note(dir, "it could not be compared; the next start makes it anew");
        }
        if let Some((_, applied)) = self.register.take() {
            let what = format!("it stands at batch {}, which was not reached; it was not compared", applied.seq);
            self.note(dir, &what);
        }
    }
}

fn digest_of(path: &Path) -> Result<Sha256, Error> {
    let read = || {
        let file = Hashing::new(File::open(path)?);
        let mut reader = BufReader::with_capacity(256 << 10, file);
        std::io::copy(&mut reader, &mut std::io::sink())?;
        Ok(reader.into_inner().finish().1)
    };
    read().map_err(Error::io("read", path))
}
