//! Appends one batch to the open segment, or leaves it as it was.

use std::sync::Arc;

use jiff::Timestamp;

use super::batch::{self, Link};
use super::disk::Durable;
use super::error::Error;
use super::pack::{Extent, Header};
use super::segment::Open;
use crate::domain::digest::Sha256;

/// Makes the writing handles of an open segment; tests put failing ones in.
pub(super) type Handles = dyn Fn(&Open) -> Result<(Box<dyn Durable>, Box<dyn Durable>), Error> + Send + Sync;

/// The writing end of the open segment.
///
/// A write that fails (a full disk) is taken back by cutting both files to the last batch; the append is
/// answered with [`Error::NotStored`] and the ledger goes on. A *sync* that fails, or a cut that fails,
/// leaves nobody knowing what the disk holds: from then on every append is answered with
/// [`Error::Poisoned`], until the ledger is opened again and reads what is really there.
pub(super) struct Writer {
    events: Box<dyn Durable>,
    pack: Box<dyn Durable>,
    pub link: Link,
    pub events_len: u64,
    pub pack_len: u64,
    poisoned: Option<Arc<str>>,
}

/// A batch that is durable.
pub(super) struct Written {
    pub objects: Vec<(Sha256, Extent)>,
}

impl Writer {
    pub(super) fn new(handles: &Handles, open: &Open, link: Link, lens: (u64, u64)) -> Result<Writer, Error> {
        let (events, pack) = handles(open)?;
        let (events_len, pack_len) = lens;
        Ok(Writer { events, pack, link, events_len, pack_len, poisoned: None })
    }

    pub(super) fn usable(&self) -> Result<(), Error> {
        match &self.poisoned {
            Some(cause) => Err(Error::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn poison(&mut self, cause: String) -> Error {
        let cause: Arc<str> = cause.into();
        self.poisoned = Some(cause.clone());
        Error::Poisoned { cause }
    }

    /// Writes and confirms one batch: the objects first, so that no batch names an object that is not there.
    pub(super) fn write(
        &mut self,
        open: &Open,
        at: Timestamp,
        events: &[&[u8]],
        objects: &[(Header, Vec<u8>)],
    ) -> Result<Written, Error> {
        self.usable()?;
        let mut written = Vec::with_capacity(objects.len());
        let mut pack_end = self.pack_len;
        if !objects.is_empty() {
            let size: usize = objects.iter().map(|(_, object)| object.len() + Header::LEN).sum();
            let mut bytes = Vec::with_capacity(size);
            for (header, object) in objects {
                bytes.extend_from_slice(&header.to_bytes());
                bytes.extend_from_slice(object);
                let extent = Extent { offset: pack_end + Header::LEN as u64, len: header.len };
                pack_end = extent.end();
                written.push((header.hash, extent));
            }
            if let Err(e) = self.pack.append(self.pack_len, &bytes) {
                return Err(self.take_back(open, &open.pack_path(), e));
            }
            if let Err(e) = self.pack.sync() {
                return Err(self.poison(format!("{} was not confirmed: {e}", open.pack_path().display())));
            }
        }
        let (line, link) = batch::line(&self.link, at, pack_end, events);
        if let Err(e) = self.events.append(self.events_len, &line) {
            return Err(self.take_back(open, &open.events_path(), e));
        }
        if let Err(e) = self.events.sync() {
            return Err(self.poison(format!("{} was not confirmed: {e}", open.events_path().display())));
        }
        self.link = link;
        self.events_len += line.len() as u64;
        self.pack_len = pack_end;
        Ok(Written { objects: written })
    }

    fn take_back(&mut self, open: &Open, file: &std::path::Path, cause: std::io::Error) -> Error {
        let cut = self.events.cut(self.events_len).and_then(|()| self.pack.cut(self.pack_len));
        match cut {
            Ok(()) => Error::NotStored { file: file.to_owned(), source: Arc::new(cause) },
            Err(second) => self.poison(format!(
                "{} could not be written ({cause}), nor {} cut back ({second})",
                file.display(),
                open.dir.display()
            )),
        }
    }
}
