//! NETCONF (RFC 6241) over any stream: one session at a time, bases 1.0 and 1.1, the licensing models of IOS XE and XR.
//!
//! Served are `get` with subtree filters, the RPCs that RESTCONF has too (`face/rpc.rs`), and `close-session`. Everything else is
//! answered with the error that the RFC names for it.

mod data;
mod request;
mod wire;

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::face::Way;
use crate::face::netconf::request::Node;
use crate::face::netconf::wire::Wire;
use crate::face::rpc::{self, Outcome};
use crate::face::station::Station;
use crate::fault::Fault;
use crate::operation::{Operation, Reply};
use crate::spec::StateModel;
use crate::system::System;
use crate::xml::escaped;

const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";
const BASE_1_0: &str = "urn:ietf:params:netconf:base:1.0";
const BASE_1_1: &str = "urn:ietf:params:netconf:base:1.1";
const FILES: &str = "http://cisco.com/ns/yang/Cisco-IOS-XE-rpc";

static SESSIONS: AtomicU32 = AtomicU32::new(1);

/// Speaks with one client until it leaves, breaks a rule of framing, or is hung up on.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(station: &Station, stream: S) -> io::Result<()> {
    let mut hang_up = station.hang_up.subscribe();
    tokio::select! {
        ended = spoken(station, stream) => ended,
        _ = hang_up.changed() => Ok(()),
    }
}

async fn spoken<S: AsyncRead + AsyncWrite + Unpin>(station: &Station, stream: S) -> io::Result<()> {
    let knobs = station.spec.netconf;
    let mut wire = Wire::new(stream, knobs.chunk, knobs.message);
    wire.send(&hello(station), None).await?;
    let Some(message) = wire.receive().await? else { return Ok(()) };
    let Some(theirs) = parsed(&message).ok().filter(|root| root.name == "hello" && root.namespace == BASE) else {
        return Ok(());
    };
    // Only servers number sessions: a client that does so is none.
    if theirs.child("session-id").is_some() {
        return Ok(());
    }
    let offers = |uri: &str| {
        let all = theirs.child("capabilities").map(|all| all.children.as_slice()).unwrap_or_default();
        all.iter().any(|capability| capability.text.trim() == uri)
    };
    wire.chunked = knobs.base_1_1 && offers(BASE_1_1);
    if !wire.chunked && !offers(BASE_1_0) {
        return Ok(());
    }
    while let Some(message) = wire.receive().await? {
        let answer = answer(station, &message);
        let fault = answer.fault;
        if fault == Some(Fault::Hang) {
            return std::future::pending().await;
        }
        if !wire.send(&answer.text, fault.as_ref()).await? || answer.last {
            break;
        }
    }
    Ok(())
}

fn hello(station: &Station) -> String {
    let mut capabilities = vec![BASE_1_0.to_string()];
    if station.spec.netconf.base_1_1 {
        capabilities.push(BASE_1_1.to_string());
    }
    for uri in ["writable-running:1.0", "xpath:1.0", "with-defaults:1.0?basic-mode=explicit"] {
        capabilities.push(format!("urn:ietf:params:netconf:capability:{uri}"));
    }
    let module = |namespace: &str, name: &str, revision: &str| format!("{namespace}?module={name}&revision={revision}");
    if is_xr(station) {
        capabilities.push(module(data::AGENT, "Cisco-IOS-XR-infra-smartlicense-oper", "2023-07-10"));
        capabilities.push(module(data::PLATFORM, "Cisco-IOS-XR-smart-license-platform-oper", "2023-01-11"));
    } else if let Some(revision) = revision(station.spec.knobs.state_model) {
        capabilities.push(module(data::LICENSING, rpc::LICENSING, revision));
    }
    let capabilities = capabilities.iter().map(|uri| format!("<capability>{}</capability>", escaped(uri)));
    let capabilities: String = capabilities.collect();
    let id = SESSIONS.fetch_add(1, Ordering::Relaxed);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<hello xmlns=\"{BASE}\"><capabilities>{capabilities}</capabilities>\
         <session-id>{id}</session-id></hello>"
    )
}

/// The revision of the model that a release has.
fn revision(model: StateModel) -> Option<&'static str> {
    match model {
        StateModel::Full => Some("2021-03-01"),
        StateModel::NoRumAck => Some("2020-11-01"),
        StateModel::None => None,
    }
}

fn is_xr(station: &Station) -> bool {
    station.spec.os == System::IosXr
}

fn parsed(message: &[u8]) -> Result<Node, String> {
    request::read(std::str::from_utf8(message).map_err(|error| error.to_string())?)
}

/// One answer, and what befalls it.
struct Answer {
    text: String,
    fault: Option<Fault>,
    last: bool,
}

fn answer(station: &Station, message: &[u8]) -> Answer {
    let (attributes, told) = match parsed(message) {
        Err(reason) => (String::new(), Err(Wrong::new("rpc", "malformed-message", reason))),
        Ok(root) if root.name != "rpc" || root.namespace != BASE => {
            let reason = format!("<{}> is no rpc", root.name);
            (String::new(), Err(Wrong::new("rpc", "malformed-message", reason)))
        }
        Ok(root) => {
            let attribute =
                |(key, value): &(String, String)| format!(" {key}=\"{}\"", escaped(value).replace('"', "&quot;"));
            let attributes = root.attributes.iter().map(attribute).collect();
            let told = if root.attribute("message-id").is_none() {
                let wrong = Wrong::new("rpc", "missing-attribute", "an rpc needs a message-id");
                Err(wrong.about("bad-attribute", "message-id"))
            } else {
                root.children.first().ok_or_else(|| Wrong::new("rpc", "operation-failed", "an empty rpc")).cloned()
            };
            (attributes, told)
        }
    };
    let mut fault = None;
    let mut last = false;
    let told = told.and_then(|operation| {
        station.meter.request("NETCONF", &operation.name);
        fault = station.faults.at_command(Way::Netconf, &operation.name);
        last = operation.name == "close-session";
        match &fault {
            Some(Fault::Forbidden) => Err(Wrong::new("application", "access-denied", "not allowed")),
            Some(Fault::Status404) => Err(Wrong::new("protocol", "operation-not-supported", "no such operation")),
            Some(Fault::Status500) => Err(Wrong::new("application", "operation-failed", "internal error")),
            _ => done(station, &operation),
        }
    });
    let inside = told.unwrap_or_else(|wrong| wrong.element());
    Answer { text: format!("<rpc-reply xmlns=\"{BASE}\"{attributes}>{inside}</rpc-reply>"), fault, last }
}

/// Does what an operation says, and tells the content of the reply.
fn done(station: &Station, operation: &Node) -> Result<String, Wrong> {
    match (operation.namespace.as_str(), operation.name.as_str()) {
        (BASE, "close-session") => Ok("<ok/>".to_string()),
        (BASE, "get") => got(station, operation),
        (data::LICENSING, name) if !is_xr(station) => called(station, rpc::LICENSING, data::LICENSING, name, operation),
        (FILES, name) if !is_xr(station) => called(station, rpc::FILES, FILES, name, operation),
        (BASE, name) => Err(Wrong::new("protocol", "operation-not-supported", format!("{name} is not supported"))),
        (namespace, name) => {
            let wrong = Wrong::new("protocol", "unknown-namespace", "no such model");
            Err(wrong.about("bad-element", name).about("bad-namespace", namespace))
        }
    }
}

fn got(station: &Station, operation: &Node) -> Result<String, Wrong> {
    let filter = operation.child("filter");
    if let Some(kind) = filter.and_then(|filter| filter.attribute("type")).filter(|kind| *kind != "subtree") {
        let wrong = Wrong::new("protocol", "bad-attribute", format!("a filter of type {kind} is not supported"));
        return Err(wrong.about("bad-attribute", "type").about("bad-element", "filter"));
    }
    let Reply::State(state) = station.apply(Operation::State) else {
        return Err(Wrong::new("application", "operation-failed", "no state"));
    };
    let spec = &station.spec;
    let trees = if is_xr(station) { data::ios_xr(spec, &state) } else { data::ios_xe(spec, &state) };
    data::selected(&trees, filter, spec.netconf.strict_filter).map_err(|unknown| match unknown.namespace {
        Some(namespace) => Wrong::new("application", "unknown-namespace", "no such model")
            .about("bad-element", unknown.name)
            .about("bad-namespace", namespace),
        None => Wrong::new("application", "unknown-element", "no such node").about("bad-element", unknown.name),
    })
}

fn called(station: &Station, module: &str, namespace: &str, name: &str, operation: &Node) -> Result<String, Wrong> {
    let leaf = |name: &str| operation.text_of(name).map(str::to_string);
    match rpc::call(station, module, name, &leaf) {
        Outcome::Output(leaf, value) => Ok(format!("<{leaf} xmlns=\"{namespace}\">{}</{leaf}>", escaped(&value))),
        Outcome::Unknown => {
            Err(Wrong::new("application", "unknown-element", "no such operation").about("bad-element", name))
        }
        Outcome::Missing(leaf) => {
            Err(Wrong::new("application", "missing-element", format!("{leaf} is missing")).about("bad-element", leaf))
        }
        Outcome::Invalid(leaf) => {
            Err(Wrong::new("application", "invalid-value", format!("{leaf} is not valid")).about("bad-element", leaf))
        }
    }
}

/// An `<rpc-error>`.
struct Wrong {
    kind: &'static str,
    tag: &'static str,
    message: String,
    info: Vec<(&'static str, String)>,
}

impl Wrong {
    fn new(kind: &'static str, tag: &'static str, message: impl Into<String>) -> Wrong {
        Wrong { kind, tag, message: message.into(), info: Vec::new() }
    }

    fn about(mut self, what: &'static str, name: impl Into<String>) -> Wrong {
        self.info.push((what, name.into()));
        self
    }

    fn element(&self) -> String {
        let info: String = self.info.iter().map(|(what, name)| format!("<{what}>{}</{what}>", escaped(name))).collect();
        let info = if info.is_empty() { info } else { format!("<error-info>{info}</error-info>") };
        format!(
            "<rpc-error><error-type>{}</error-type><error-tag>{}</error-tag><error-severity>error</error-severity>\
             <error-message xml:lang=\"en\">{}</error-message>{info}</rpc-error>",
            self.kind,
            self.tag,
            escaped(&self.message)
        )
    }
}
