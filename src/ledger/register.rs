//! The register: the fold of the journal, one record a name, ready to be read at start.
//!
//! It is a cache. Whatever happens to it, the journal has everything, and the register is made anew
//! from the last checkpoint and the batches after it. That is why no commit here waits for the disk.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::batch::Link;
use crate::domain::digest::Sha256;
use crate::domain::fleet::RecordForm;
use crate::domain::instance::DeviceName;

/// Up to where the journal is folded into a register; committed together with the records. **stored**
///
/// JSON under the key `NUL applied` of sled's tree `records`, where each record stands under
/// [`RecordKey::to_bytes`](crate::domain::fleet::RecordKey::to_bytes) as
/// [`Fleet::encode`](crate::domain::fleet::Fleet::encode) gives it, compact. Without this entry, with another
/// `schema`, `form` or `ledger_id`, or when the journal has no such batch, the register is made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Applied {
    pub schema: u32,
    /// The version of the records' compact form.
    pub form: u32,
    pub ledger_id: String,
    pub seq: u64,
    pub head: Sha256,
    /// How many records there are.
    pub records: u64,
}

impl Applied {
    /// Raised by every change of the records' shape; there is no migration, only a new fold.
    pub(super) const SCHEMA: u32 = 1;

    pub(super) fn at(link: &Link, ledger_id: &str, records: u64) -> Applied {
        let ledger_id = ledger_id.to_owned();
        Applied {
            schema: Applied::SCHEMA,
            form: RecordForm::COMPACT_VERSION,
            ledger_id,
            seq: link.seq,
            head: link.head,
            records,
        }
    }
}

/// One record's new value; `None` removes it.
pub(super) type Change = (Vec<u8>, Option<Vec<u8>>);

/// What kept the register from doing as asked, in its own words.
#[derive(Debug, thiserror::Error)]
pub(super) enum RegisterError {
    /// The stored form is not sound; the remedy is a new fold.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The file system refused; a new fold would meet the same.
    #[error("{0}")]
    Refused(String),
}

/// What is done with a record: its key and its value.
pub(super) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), RegisterError> + 'a;

/// Keeps records and where they stand. One owner; not shared.
pub(super) trait Register: Send + Sync {
    /// Up to where the journal is folded in, if this holds a fold at all.
    fn applied(&self) -> Result<Option<Applied>, RegisterError>;

    /// Changes records and, where given, `applied`: both or neither.
    fn commit(&mut self, changes: Vec<Change>, applied: Option<&Applied>) -> Result<(), RegisterError>;

    /// Visits every record in the order of keys.
    fn scan(&self, visit: &mut Visit) -> Result<(), RegisterError>;

    /// Notes when devices last answered; an older instant does not replace a newer one.
    fn note_contacts(&mut self, contacts: &[(DeviceName, Timestamp)]) -> Result<(), RegisterError>;

    fn contacts(&self) -> Result<BTreeMap<DeviceName, Timestamp>, RegisterError>;

    /// Waits until all commits so far are durable.
    fn flush(&mut self) -> Result<(), RegisterError>;
}

/// The twin without a disk: every start folds anew.
#[derive(Debug, Default)]
pub(super) struct MemoryRegister {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    applied: Option<Applied>,
    contacts: BTreeMap<DeviceName, Timestamp>,
}

impl Register for MemoryRegister {
    fn applied(&self) -> Result<Option<Applied>, RegisterError> {
        Ok(self.applied.clone())
    }

    fn commit(&mut self, changes: Vec<Change>, applied: Option<&Applied>) -> Result<(), RegisterError> {
        for (key, value) in changes {
            match value {
                Some(value) => drop(self.records.insert(key, value)),
                None => drop(self.records.remove(&key)),
            }
        }
        if applied.is_some() {
            self.applied = applied.cloned();
        }
        Ok(())
    }

    fn scan(&self, visit: &mut Visit) -> Result<(), RegisterError> {
        self.records.iter().try_for_each(|(key, value)| visit(key, value))
    }

    fn note_contacts(&mut self, contacts: &[(DeviceName, Timestamp)]) -> Result<(), RegisterError> {
        for (device, at) in contacts {
            let known = self.contacts.entry(device.clone()).or_insert(*at);
            *known = (*known).max(*at);
        }
        Ok(())
    }

    fn contacts(&self) -> Result<BTreeMap<DeviceName, Timestamp>, RegisterError> {
        Ok(self.contacts.clone())
    }

    fn flush(&mut self) -> Result<(), RegisterError> {
        Ok(())
    }
}
