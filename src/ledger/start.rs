//! From a folder to a fold: checks, heals what a power cut may leave, refuses the rest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::batch::{Batch, Link};
use super::decode::{self, Records};
use super::disk;
use super::error::Error;
use super::history::{FoldFrom, Layout};
use super::identity::Identity;
use super::lock::Lock;
use super::owner::{Span, changes};
use super::register::{Applied, MemoryRegister, Register, RegisterError};
use super::sealed::Seal;
use super::segment::{self, Open, Walked};
use super::sled_register::SledRegister;
use super::survey::Survey;
use super::writer::{Handles, Writer};
use super::{Healing, Options, RegisterKind};
use crate::domain::fleet::{Fleet, RecordForm};

/// Records that go into one commit while a register is made anew.
const REBUILD_COMMIT: usize = 1000;
/// Records that may wait for a commit while the tail is folded in.
const TAIL_COMMIT: usize = 4000;

/// Everything an owner needs to begin.
pub(super) struct Started {
    pub identity: Identity,
    pub layout: Layout,
    pub fleet: Fleet,
    pub register: Box<dyn Register>,
    pub writer: Writer,
    pub span: Span,
    pub healings: Vec<Healing>,
    pub lock: Lock,
}

/// What a start folds from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The register, if it is sound and not beyond the journal.
    Register,
    /// The journal; the register is made anew.
    Journal(FoldFrom),
}

pub(super) fn start(
    root: &Path,
    options: &Options,
    handles: &Handles,
    from: From,
    now: Timestamp,
) -> Result<Started, Error> {
    // Before anything is touched, the lock included: newer data is not ours to touch.
    Identity::read(root)?;
    disk::create_dirs(root)?;
    let lock = Lock::take(root)?;
    let identity = Identity::read_or_create(root, now)?;
    let mut healings = Vec::new();
    let mut survey = Survey::of(root)?;
    survey.tidy(root, &mut healings)?;
    let last = survey.sealed.last().map(|sealed| &sealed.seal);
    let open = Open::in_folder(root, survey.open, last.map_or(Link::START, Seal::next_link))?;
    // A register at the end of the last segment knows that batch's digest, not the checkpoint's.
    let before = last.map_or(Link::START, |seal| Link { seq: seal.last_seq, head: seal.head });
    let newest_before = last.map(|seal| seal.newest_so_far);

    let mut kept = KeptRegister::open(root, options.register, &identity, &mut healings)?;
    if from != From::Register && kept.applied.is_some() {
        kept.unusable = Some("asked to".to_owned());
    }
    let wanted = kept.applied.as_ref().map(|applied| applied.seq);
    let (walked, witness, mut folded) = std::thread::scope(|scope| {
        let scanning = scope.spawn(|| kept.scan());
        let confirmed = if from == From::Register { wanted } else { None };
        let walked = walk_and_heal(root, &open, (wanted, confirmed), before, handles, &mut healings);
        let folded = scanning.join().unwrap_or_else(|_| Err("reading it panicked".to_owned()));
        walked.map(|(walked, witness)| (walked, witness, folded))
    })?;
    open.publish(&walked)?;
    let sealed = survey.sealed.into_iter().map(Arc::new).collect();
    let layout = Layout { sealed: Arc::new(sealed), open: Arc::new(open) };

    if let Ok(Some(_)) = &folded {
        folded = kept.agrees(&before, &witness, &walked).and(folded);
    }
    let (mut register, fleet, tail) = match folded {
        Ok(Some(fleet)) => (kept.register, fleet, witness.after),
        cause => {
            let contacts = kept.register.contacts().unwrap_or_default();
            if cause.is_ok() && options.register == RegisterKind::Sled && walked.end.seq > 0 {
                let cause = "there was none".to_owned();
                healings.push(Healing::RegisterRebuilt { cause, set_aside: None });
            }
            let mut register = kept.renew(root, options.register, cause.err(), &mut healings)?;
            let mut fleet =
                layout.fleet_sealed(if let From::Journal(from) = from { from } else { FoldFrom::Checkpoint })?;
            if before != Link::START {
                let applied = Applied::at(&before, &identity.ledger_id, fleet.records());
                fill(&mut *register, &fleet, &applied).map_err(register_failed(root))?;
            }
            let noted: Vec<_> = contacts.iter().map(|(device, at)| (device.clone(), *at)).collect();
            register.note_contacts(&noted).map_err(register_failed(root))?;
            fleet.contacts = contacts;
            (register, fleet, 0)
        }
    };
    let fleet = fold_tail(root, &layout.open, tail, fleet, &mut *register, &identity)?;
    let writer = Writer::new(handles, &layout.open, walked.end, (walked.events_len, walked.objects_end))?;
    let span = Span { first: walked.first_at, newest: walked.newest, newest_so_far: walked.newest.max(newest_before) };
    Ok(Started { identity, layout, fleet, register, writer, span, healings, lock })
}

/// What the journal says of the batch that the register claims to have folded last.
#[derive(Clone, Copy, Debug)]
struct Witness {
    head: Option<crate::domain::digest::Sha256>,
    /// Where the batch after it begins.
    after: u64,
}

fn walk_and_heal(
    root: &Path,
    open: &Open,
    (wanted, confirmed): (Option<u64>, Option<u64>),
    before: Link,
    handles: &Handles,
    healings: &mut Vec<Healing>,
) -> Result<(Walked, Witness), Error> {
    let mut witness = Witness { head: None, after: 0 };
    if wanted == Some(before.seq) {
        witness.head = Some(before.head);
    }
    let mut visit = |offset: u64, batch: &Batch| {
        if wanted.is_some_and(|wanted| batch.seq == wanted) {
            witness.head = Some(batch.hash);
        } else if wanted.is_some_and(|wanted| wanted.checked_add(1) == Some(batch.seq)) {
            witness.after = offset;
        }
        Ok(())
    };
    let walked = open.walk(&mut visit)?;
    if wanted == Some(walked.end.seq) {
        witness.after = walked.events_len;
    }
    let (events_len, pack_len) = open.file_lengths()?;
    if events_len > walked.events_len || pack_len > walked.objects_end {
        // The register is written after the journal is durable: a batch that it knows was confirmed, and
        // the disk did not keep it. What is left of it is not thrown away.
        let lost = confirmed.filter(|confirmed| *confirmed > walked.end.seq);
        let kept = match lost {
            Some(batch) => Some((batch, set_tail_aside(root, open, &walked, (events_len, pack_len))?)),
            None => None,
        };
        let (mut events, mut pack) = handles(open)?;
        events.cut(walked.events_len).map_err(Error::io("cut back", &open.events_path()))?;
        pack.cut(walked.objects_end).map_err(Error::io("cut back", &open.pack_path()))?;
        healings.push(Healing::TornTail {
            segment: open.number,
            after_seq: walked.end.seq,
            events_bytes: events_len - walked.events_len,
            objects_bytes: pack_len - walked.objects_end,
        });
        healings.extend(kept.map(|(batch, kept)| Healing::ConfirmedBatchLost { batch, kept }));
    }
    Ok((walked, witness))
}

/// Copies what lies behind the last whole batch into a folder of its own.
fn set_tail_aside(root: &Path, open: &Open, walked: &Walked, lengths: (u64, u64)) -> Result<PathBuf, Error> {
    let folder = root.join(format!("torn-{}", walked.end.seq.saturating_add(1)));
    disk::create_dirs(&folder)?;
    let tails = [
        (open.events_path(), walked.events_len, lengths.0, "events.log"),
        (open.pack_path(), walked.objects_end, lengths.1, "objects.pack"),
    ];
    for (path, from, to, name) in tails.into_iter().filter(|(_, from, to, _)| to > from) {
        let copy = || -> std::io::Result<()> {
            let mut file = std::fs::File::open(&path)?;
            std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(from))?;
            let mut aside = std::fs::File::create(folder.join(name))?;
            std::io::copy(&mut std::io::Read::take(file, to - from), &mut aside)?;
            aside.sync_all()
        };
        copy().map_err(Error::io("set the torn end aside of", &path))?;
    }
    Ok(folder)
}

/// The register as it was found.
struct KeptRegister {
    register: Box<dyn Register>,
    applied: Option<Applied>,
    /// Why it cannot be used as it is.
    unusable: Option<String>,
}

impl KeptRegister {
    fn open(
        root: &Path,
        kind: RegisterKind,
        identity: &Identity,
        healings: &mut Vec<Healing>,
    ) -> Result<KeptRegister, Error> {
        let dir = root.join(SledRegister::NAME);
        let (register, applied): (Box<dyn Register>, _) = match kind {
            RegisterKind::Memory => (Box::new(MemoryRegister::default()), Ok(None)),
            RegisterKind::Sled => match SledRegister::open(&dir) {
                Ok((register, moved)) => {
                    if moved {
                        healings.push(Healing::SnapshotsMovedAway { dir });
                    }
                    let applied = register.applied();
                    (Box::new(register), applied)
                }
                Err(RegisterError::Refused(what)) => return Err(Error::Register { dir, what }),
                Err(RegisterError::Damaged(what)) => {
                    let unusable = Some(what);
                    return Ok(KeptRegister { register: Box::new(MemoryRegister::default()), applied: None, unusable });
                }
            },
        };
        let (applied, unusable) = match applied {
            Ok(Some(applied)) if applied.schema != Applied::SCHEMA => {
                (None, Some(format!("it has schema {}, this program's is {}", applied.schema, Applied::SCHEMA)))
            }
            Ok(Some(applied)) if applied.form != RecordForm::COMPACT_VERSION => (
                None,
                Some(format!(
                    "its records have form {}, this program's is {}",
                    applied.form,
                    RecordForm::COMPACT_VERSION
                )),
            ),
            Ok(Some(applied)) if applied.ledger_id != identity.ledger_id => {
                (None, Some(format!("it belongs to the ledger {}", applied.ledger_id)))
            }
            Ok(applied) => (applied, None),
            Err(e) => (None, Some(e.to_string())),
        };
        Ok(KeptRegister { register, applied, unusable })
    }

    /// The fold it holds; `Ok(None)` if it holds none, `Err` if that is not to be used.
    fn scan(&self) -> Result<Option<Fleet>, String> {
        if let Some(cause) = &self.unusable {
            return Err(cause.clone());
        }
        let Some(applied) = &self.applied else {
            let used = |_: &[u8], _: &[u8]| Err(RegisterError::Damaged("it was left half made".to_owned()));
            return self.register.scan(&mut { used }).map(|()| None).map_err(|e| e.to_string());
        };
        read_fold(&*self.register, applied).map(Some)
    }

    /// Is it at a batch that the journal has?
    fn agrees(&self, start: &Link, witness: &Witness, walked: &Walked) -> Result<(), String> {
        let Some(applied) = &self.applied else { return Ok(()) };
        if applied.seq > walked.end.seq {
            return Err(format!("it is at batch {}, but the journal ends at batch {}", applied.seq, walked.end.seq));
        }
        if applied.seq < start.seq {
            return Err(format!("it is at batch {}, before the last checkpoint at batch {}", applied.seq, start.seq));
        }
        if witness.head != Some(applied.head) {
            return Err(format!("its batch {} is not the journal's", applied.seq));
        }
        Ok(())
    }

    /// An empty register in its place; the old one is set aside if it held anything.
    fn renew(
        self,
        root: &Path,
        kind: RegisterKind,
        cause: Option<String>,
        healings: &mut Vec<Healing>,
    ) -> Result<Box<dyn Register>, Error> {
        let Some(cause) = cause else { return Ok(self.register) };
        drop(self.register);
        let dir = root.join(SledRegister::NAME);
        match kind {
            RegisterKind::Memory => Ok(Box::new(MemoryRegister::default())),
            RegisterKind::Sled => {
                let to = SledRegister::set_aside(&dir).map_err(Error::io("set aside", &dir))?;
                disk::sync_dir(root)?;
                let (register, _) =
                    SledRegister::open(&dir).map_err(|e| Error::Register { dir, what: e.to_string() })?;
                healings.push(Healing::RegisterRebuilt { cause, set_aside: Some(to) });
                Ok(Box::new(register))
            }
        }
    }
}

/// Reads all records of a register back into a fleet.
fn read_fold(register: &dyn Register, applied: &Applied) -> Result<Fleet, String> {
    let read = |records: &mut Records| {
        register
            .scan(&mut |key, value| {
                records.push(key, value);
                Ok(())
            })
            .map_err(|e| e.to_string())?;
        Ok(records.count)
    };
    let (count, mut fleet) = decode::fleet(RecordForm::Compact, read, |what| what)?;
    if count != applied.records || count != fleet.records() {
        return Err(format!("it has {count} records and should have {}", applied.records));
    }
    fleet.contacts = register.contacts().map_err(|e| e.to_string())?;
    Ok(fleet)
}

/// Folds in the batches from byte `from` of the open segment on.
fn fold_tail(
    root: &Path,
    open: &Open,
    from: u64,
    mut fleet: Fleet,
    register: &mut dyn Register,
    identity: &Identity,
) -> Result<Fleet, Error> {
    let mut touched = BTreeSet::new();
    let mut link = None;
    let path = open.events_path();
    let mut failure = None;
    let _ = segment::each_batch(&mut open.batches_from(from), &path, &mut |batch| {
        for event in batch.events()? {
            touched.extend(fleet.apply(&event));
        }
        link = Some(batch.link());
        if touched.len() >= TAIL_COMMIT {
            let applied = Applied::at(&batch.link(), &identity.ledger_id, fleet.records());
            let committed = register.commit(changes(&fleet, std::mem::take(&mut touched)), Some(&applied));
            failure = committed.err();
        }
        Ok(if failure.is_some() { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) })
    })?;
    if let Some(e) = failure {
        return Err(register_failed(root)(e));
    }
    if let Some(link) = link {
        let applied = Applied::at(&link, &identity.ledger_id, fleet.records());
        register.commit(changes(&fleet, touched), Some(&applied)).map_err(register_failed(root))?;
        register.flush().map_err(register_failed(root))?;
    }
    Ok(fleet)
}

/// Puts a whole fold into an empty register; `applied` comes with the last records, so that half of it is nothing.
pub(super) fn fill(register: &mut dyn Register, fleet: &Fleet, applied: &Applied) -> Result<(), RegisterError> {
    let mut chunk = Vec::with_capacity(REBUILD_COMMIT);
    for key in fleet.keys() {
        chunk.push((key.to_bytes(), fleet.encode(&key, RecordForm::Compact)));
        if chunk.len() == REBUILD_COMMIT {
            register.commit(std::mem::take(&mut chunk), None)?;
        }
    }
    register.commit(chunk, Some(applied))?;
    register.flush()
}

fn register_failed(root: &Path) -> impl Fn(RegisterError) -> Error {
    let dir = root.join(SledRegister::NAME);
    move |e| Error::Register { dir: dir.clone(), what: e.to_string() }
}
