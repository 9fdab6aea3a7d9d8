//! IOS XE over NETCONF: the licensing state, and the RPCs that move files.
//!
//! Works with the web server off. Report bodies are not in the model: they go through files on the device,
//! which some other way must bring here and there.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{LARGEST_ANSWER, Netconf, Reply};
use crate::device::yang::rpc::{LICENSING, Rpc};
use crate::device::yang::{self, ios_xe};
use crate::device::{Complaint, Error, Identity, Usage};
use crate::domain::state::DeviceState;

/// The first revision of the model with files in it, 17.4.1.
const FILES_SINCE: &str = "2020-11-01";

/// What the state is made of, one level below `state-info`.
const NODES: [&str; 9] = [
    "registration",
    "udi",
    "transport",
    "privacy",
    "policy",
    "rum-ack",
    "trust-code",
    "rum-reports-closed-keys",
    "usage",
];

/// A session with an IOS XE device.
#[derive(Debug)]
pub struct IosXe<S>(Netconf<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send> IosXe<S> {
    pub fn new(netconf: Netconf<S>) -> Self {
        IosXe(netconf)
    }

    /// Who is there, and its licensing state, by one question; reads only. Empty where the model is not served.
    pub async fn state(&mut self) -> Result<(Option<Identity>, DeviceState), Error> {
        let step = "read state";
        let nodes: String = NODES.iter().map(|node| format!("<{node}/>")).collect();
        let chosen = format!("<state><smart-enabled/><version/><state-info>{nodes}</state-info></state>");
        let reply = match self.get(step, &chosen).await {
            // A release that lacks one of the nodes may refuse the whole choice.
            Err(Error::Declined { complaint: Complaint::Unknown, .. }) => match self.get(step, "<state/>").await {
                Err(Error::Declined { complaint: Complaint::Unknown, .. }) => {
                    return Ok((None, DeviceState::default()));
                }
                other => other?,
            },
            other => other?,
        };
        let Some(data) = reply.data().map(yang::tree) else { return Ok((None, DeviceState::default())) };
        let state = yang::node(&data, "licensing").and_then(ios_xe::state).unwrap_or_default();
        let native = yang::node(&data, "native");
        let leaf = |name| native.and_then(|native| yang::leaf(native, name));
        let identity = state.udi.clone().map(|udi| Identity {
            udi,
            uuid: state.uuid.clone(),
            members: state.members.clone(),
            os: "ios-xe",
            software: leaf("version"),
            hostname: leaf("hostname"),
            clock: None,
        });
        Ok((identity, state))
    }

    async fn get(&mut self, step: &'static str, licensing: &str) -> Result<Reply, Error> {
        let question = format!(
            "<get><filter type=\"subtree\"><licensing xmlns=\"{}\">{licensing}</licensing>\
             <native xmlns=\"http://cisco.com/ns/yang/Cisco-IOS-XE-native\"><hostname/><version/></native></filter></get>",
            LICENSING.namespace
        );
        self.0.ask(step, &question, LARGEST_ANSWER).await
    }

    /// Writes signed reports to a file of the device, or to a URL that it can reach: see [`Rpc::save_usage`].
    pub async fn save_usage(&mut self, usage: Usage, path: &str) -> Result<(), Error> {
        self.call(&Rpc::save_usage(usage, path)?).await
    }

    /// Installs a file: see [`Rpc::import_file`].
    pub async fn import_file(&mut self, path: &str) -> Result<(), Error> {
        self.call(&Rpc::import_file(path)?).await
    }

    /// Deletes one file of the device for good.
    pub async fn delete(&mut self, path: &str) -> Result<(), Error> {
        self.call(&Rpc::delete(path)?).await
    }

    /// One RPC. It may take effect although its answer is lost.
    async fn call(&mut self, rpc: &Rpc) -> Result<(), Error> {
        let revision = self.0.capabilities().revision(LICENSING.name).filter(|_| rpc.module == LICENSING);
        if let Some(old) = revision.filter(|revision| *revision < FILES_SINCE) {
            let cause = format!("{} is of {old}, it needs {FILES_SINCE} (IOS XE 17.4.1)", LICENSING.name);
            return Err(Error::NotOffered { step: rpc.step, what: rpc.name.to_owned(), cause });
        }
        let limits = self.0.limits;
        let patience = if rpc.is_slow() { limits.slow.max(limits.read) } else { limits.read };
        let reply = self.0.ask_within(rpc.step, &rpc.xml(), LARGEST_ANSWER, patience).await?;
        rpc.judge(&yang::tree(&reply.root))
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
