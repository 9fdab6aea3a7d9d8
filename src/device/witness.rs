//! Who hears of every write to a device, before it is sent and after.

use std::future::Future;

use super::Error;
use crate::domain::event::Write;

/// Hears of each write before it is sent: whoever keeps the record, or asks a person for leave.
pub trait Witness: Send {
    /// It is about to be sent; an error keeps it from being sent.
    fn begins(&mut self, write: Write, detail: &str) -> impl Future<Output = Result<(), Error>> + Send;

    /// How that ended.
    fn ended(&mut self, failure: Option<&Error>) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Does one write before a witness.
pub(crate) async fn witnessed<W: Witness, T>(
    witness: &mut W,
    write: Write,
    detail: &str,
    doing: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    witness.begins(write, detail).await?;
    let outcome = doing.await;
    witness.ended(outcome.as_ref().err()).await?;
    outcome
}
