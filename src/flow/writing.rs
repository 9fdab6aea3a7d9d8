//! Writes to a device, on record before they are sent: what was begun may have happened, whatever
//! becomes of the answer, of the connection, or of us.

use super::rehearse::Asking;
use super::{Error, House};
use crate::config::Device;
use crate::device::{self, Witness};
use crate::domain::event::{DeviceWritten, Fact, Write};
use crate::domain::instance::DeviceName;

/// Keeps the record of one dialogue.
pub(super) struct Writings<'a> {
    house: &'a House,
    device: DeviceName,
    /// What the writes are for, such as the name of an answer; stands before each detail.
    about: String,
    begun: Option<DeviceWritten>,
    /// The record could not be kept: nothing more is sent, and the error is ours.
    failed: Option<Error>,
    /// Who is asked before each write; `None`: nobody need be.
    asking: Option<&'a mut Asking>,
    /// Is anything recorded that may have ended the running reports?
    pub(super) closed: bool,
}

impl<'a> Writings<'a> {
    pub(super) fn of(house: &'a House, device: &Device) -> Self {
        let device = device.name.clone();
        Writings { house, device, about: String::new(), begun: None, failed: None, asking: None, closed: false }
    }

    /// A person is asked before each write.
    pub(super) fn asking(house: &'a House, device: &Device, asking: &'a mut Asking) -> Self {
        Writings { asking: Some(asking), ..Writings::of(house, device) }
    }

    pub(super) fn about(&mut self, what: &str) {
        what.clone_into(&mut self.about);
    }

    /// Takes an outcome apart: a record that could not be kept is our error, not the device's.
    pub(super) fn settle<T>(&mut self, outcome: Result<T, device::Error>) -> Result<Result<T, device::Error>, Error> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(outcome),
        }
    }

    async fn record(&mut self, fact: DeviceWritten) -> Result<(), device::Error> {
        let kept = self.house.ledger.append_async(self.house.clock.now(), vec![Fact::DeviceWritten(fact)], Vec::new());
        kept.await.map_err(|error| {
            let cause = error.to_string();
            self.failed = Some(error.into());
            device::Error::Ours { step: "keep a record of a write", cause }
        })
    }
}

impl Witness for Writings<'_> {
    async fn begins(&mut self, write: Write, detail: &str) -> Result<(), device::Error> {
        let detail = [self.about.as_str(), detail].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        if let Some(asking) = &mut self.asking {
            asking.begins(write, &detail.join(" ")).await?;
        }
        self.closed |= matches!(write, Write::CloseReports | Write::SaveUsage);
        let begun = DeviceWritten {
            device: self.device.clone(),
            write,
            detail: detail.join(" "),
            refused: None,
            unanswered: false,
        };
        self.begun = Some(begun.clone());
        self.record(begun).await
    }

    async fn ended(&mut self, failure: Option<&device::Error>) -> Result<(), device::Error> {
        if let Some(asking) = &mut self.asking {
            asking.ended(failure);
        }
        let Some((begun, error)) = self.begun.take().zip(failure) else { return Ok(()) };
        let refused = Some(error.to_string());
        let unanswered = matches!(error, device::Error::Unreachable { .. });
        self.record(DeviceWritten { refused, unanswered, ..begun }).await
    }
}
