//! Reading many records into a fleet, on as many threads as there are cores.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::fleet::{Fleet, RecordForm, RecordKey};

/// Bytes of records that go to a thread at once.
const CHUNK: usize = 256 << 10;
/// Chunks that wait for a thread.
const WAITING: usize = 8;
const MOST_THREADS: usize = 4;

/// Records one after the other, as they are stored.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Where each key ends, and where its record ends.
    ends: Vec<(usize, usize)>,
}

/// Takes records in; given to the one who reads them.
pub(super) struct Records {
    chunk: Chunk,
    sender: SyncSender<Chunk>,
    pub count: u64,
}

impl Records {
    pub(super) fn push(&mut self, key: &[u8], record: &[u8]) {
        self.count += 1;
        let chunk = &mut self.chunk;
        chunk.bytes.extend_from_slice(key);
        let key_end = chunk.bytes.len();
        chunk.bytes.extend_from_slice(record);
        chunk.ends.push((key_end, chunk.bytes.len()));
        if chunk.bytes.len() >= CHUNK {
            self.send();
        }
    }

    fn send(&mut self) {
        // That no thread is left to take it is told when they are joined.
        let _ = self.sender.send(std::mem::take(&mut self.chunk));
    }
}

/// Runs `read`, which pushes records, and decodes them beside it.
///
/// The error of `read` comes before that of a record: it may be its cause.
pub(super) fn fleet<T, E>(
    form: RecordForm,
    read: impl FnOnce(&mut Records) -> Result<T, E>,
    bad_record: impl FnOnce(String) -> E,
) -> Result<(T, Fleet), E> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let (sender, receiver) = sync_channel(WAITING);
    let receiver = Arc::new(Mutex::new(receiver));
    let (done, parts) = std::thread::scope(|scope| {
        let start = |receiver: Arc<_>| scope.spawn(move || decode(&receiver, form));
        let workers: Vec<_> = (0..threads).map(|_| start(receiver.clone())).collect();
        // Only the threads hold it: should they all die, sending ends instead of waiting for ever.
        drop(receiver);
        let mut records = Records { chunk: Chunk::default(), sender, count: 0 };
        let done = read(&mut records);
        records.send();
        drop(records);
        let parts: Vec<_> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err("decoding it panicked".to_owned())))
            .collect();
        (done, parts)
    });
    let done = done?;
    let mut whole = Fleet::default();
    let mut bad = None;
    for part in parts {
        match part {
            Ok(part) => whole.join(part),
            Err(what) => bad = Some(what),
        }
    }
    match bad {
        Some(what) => Err(bad_record(what)),
        None => {
            whole.acquaint();
            Ok((done, whole))
        }
    }
}

fn decode(chunks: &Mutex<Receiver<Chunk>>, form: RecordForm) -> Result<Fleet, String> {
    let mut fleet = Fleet::default();
    let mut bad = None;
    loop {
        let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(chunk) = next else { break };
        // After a bad record chunks are still taken, so that the reader comes to its end.
        if bad.is_none() {
            bad = decode_chunk(&mut fleet, &chunk, form).err();
        }
    }
    bad.map_or(Ok(fleet), Err)
}

fn decode_chunk(fleet: &mut Fleet, chunk: &Chunk, form: RecordForm) -> Result<(), String> {
    let mut start = 0;
    for &(key_end, end) in &chunk.ends {
        let (key, record) = (&chunk.bytes[start..key_end], &chunk.bytes[key_end..end]);
        let named = || String::from_utf8_lossy(key).replace('\0', " ");
        let own = RecordKey::from_bytes(key).ok_or_else(|| format!("{:?} is no key of a record", named()))?;
        fleet.decode(own, record, form).map_err(|e| format!("the record {:?}: {e}", named()))?;
        start = end;
    }
    Ok(())
}
