//! IOS XR over NETCONF: the licensing state. Nothing can be saved or imported this way: its licensing RPCs
//! register and reserve, and know no usage (published models, 7.4.1 to 26.2.1).

use tokio::io::{AsyncRead, AsyncWrite};

use super::{LARGEST_ANSWER, Netconf, Reply};
use crate::device::yang::{self, ios_xr};
use crate::device::{Complaint, Error, Identity};
use crate::domain::state::DeviceState;

const AGENT: &str = "<smart-agent xmlns=\"http://cisco.com/ns/yang/Cisco-IOS-XR-infra-smartlicense-oper\">\
                     <licensing><state/></licensing></smart-agent>";
const PLATFORM: &str = "<plat-smart-license xmlns=\"http://cisco.com/ns/yang/Cisco-IOS-XR-smart-license-platform-oper\">\
                        <summary/></plat-smart-license>";

/// A session with an IOS XR device.
#[derive(Debug)]
pub struct IosXr<S>(Netconf<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send> IosXr<S> {
    pub fn new(netconf: Netconf<S>) -> Self {
        IosXr(netconf)
    }

    /// Who is there, and what of its licensing the models tell; reads only. Empty where they are not served.
    /// Host name and software version are not in them.
    pub async fn state(&mut self) -> Result<(Option<Identity>, DeviceState), Error> {
        let reply = match self.get(&[AGENT, PLATFORM]).await {
            // Not every platform has a model of its own.
            Err(Error::Declined { complaint: Complaint::Unknown, .. }) => match self.get(&[AGENT]).await {
                Err(Error::Declined { complaint: Complaint::Unknown, .. }) => {
                    return Ok((None, DeviceState::default()));
                }
                other => other?,
            },
            other => other?,
        };
        let state = reply.data().map(yang::tree).as_ref().and_then(ios_xr::state).unwrap_or_default();
        let identity = state.udi.clone().map(|udi| Identity {
            udi,
            uuid: state.uuid.clone(),
            members: state.members.clone(),
            os: "ios-xr",
            software: None,
            hostname: None,
            clock: None,
        });
        Ok((identity, state))
    }

    async fn get(&mut self, filters: &[&str]) -> Result<Reply, Error> {
        let question = format!("<get><filter type=\"subtree\">{}</filter></get>", filters.concat());
        self.0.ask("read state", &question, LARGEST_ANSWER).await
    }

    /// As [`Netconf::is_over`].
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }

    /// Ends the session.
    pub async fn close(self) -> Result<(), Error> {
        self.0.close().await
    }
}
