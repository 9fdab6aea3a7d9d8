//! A write to a device, on record before it is sent: what was begun may have happened, whatever
//! becomes of the answer, of the connection, or of us.

use super::{Error, House};
use crate::config::Device;
use crate::device;
use crate::domain::event::{DeviceWritten, Fact, Write};

pub(super) struct Writing<'a> {
    house: &'a House,
    begun: DeviceWritten,
}

impl<'a> Writing<'a> {
    /// Records that it is about to be sent.
    pub(super) async fn begin(house: &'a House, device: &Device, write: Write, detail: &str) -> Result<Self, Error> {
        let device = device.name.clone();
        let begun = DeviceWritten { device, write, detail: detail.to_owned(), refused: None, unanswered: false };
        let fact = Fact::DeviceWritten(begun.clone());
        house.ledger.append_async(house.clock.now(), vec![fact], Vec::new()).await?;
        Ok(Writing { house, begun })
    }

    /// Records how it failed, if it did, and hands the answer on.
    pub(super) async fn end<T>(self, answer: Result<T, device::Error>) -> Result<Result<T, device::Error>, Error> {
        if let Err(error) = &answer {
            let refused = Some(error.to_string());
            let unanswered = matches!(error, device::Error::Unreachable { .. });
            let fact = Fact::DeviceWritten(DeviceWritten { refused, unanswered, ..self.begun });
            self.house.ledger.append_async(self.house.clock.now(), vec![fact], Vec::new()).await?;
        }
        Ok(answer)
    }
}
