//! Reading objects one after the other.

use super::Ledger;
use super::error::Error;
use super::sealed::Unpacked;
use crate::domain::digest::Sha256;

/// A reader of many objects. It keeps the sealed frame that it last unpacked: what came in together is read together.
#[derive(Debug)]
pub struct Objects<'a> {
    ledger: &'a Ledger,
    last: Option<Unpacked>,
}

impl Ledger {
    /// The bytes of an object, checked against its name; `None` if it is not, or no longer, kept.
    pub fn object(&self, hash: &Sha256) -> Result<Option<Vec<u8>>, Error> {
        self.objects().read(hash)
    }

    /// For many objects, best in the order in which they were kept.
    pub fn objects(&self) -> Objects<'_> {
        Objects { ledger: self, last: None }
    }
}

impl Objects<'_> {
    /// As [`Ledger::object`].
    pub fn read(&mut self, hash: &Sha256) -> Result<Option<Vec<u8>>, Error> {
        self.ledger.inner.shared.layout().object(hash, &mut self.last)
    }
}
