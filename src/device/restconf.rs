//! RESTCONF (RFC 8040) of IOS XE: the licensing state, and the RPCs that move files.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::budget::Budget;
use super::http::{Answer, Body, Http, json};
use super::tape::Tape;
use super::yang::rpc::Rpc;
use super::yang::{self, ios_xe};
use super::{Complaint, Error, Identity, Target, Usage};
use crate::domain::digest::Sha256;
use crate::domain::state::DeviceState;

const YANG: &str = "application/yang-data+json";
const STATE: &str = "/restconf/data/cisco-smart-license:licensing/state";
const HOSTNAME: &str = "/restconf/data/Cisco-IOS-XE-native:native/hostname";
const VERSION: &str = "/restconf/data/Cisco-IOS-XE-native:native/version";
const NO_RESTCONF: &str = "needs `restconf` on the device";
const NO_RPC: &str = "needs `restconf` on the device and IOS XE 17.4.1 or later";

/// RESTCONF with one device, over a connection of its own.
pub struct Restconf {
    http: Http,
}

impl Restconf {
    /// Nothing is sent before the first question.
    pub fn new(target: Target, budget: Budget) -> Self {
        Restconf { http: Http::new(target, budget) }
    }

    /// What is asked and answered is noted on a tape, or played from it.
    pub fn taped(self, tape: &Tape) -> Self {
        Restconf { http: self.http.taped(tape) }
    }

    /// Who is there, and its licensing state; reads only. Empty where the model is not served.
    pub async fn state(&mut self) -> Result<(Option<Identity>, DeviceState), Error> {
        state(&mut self.http).await
    }

    /// Writes signed reports to a file of the device, or to a URL that it can reach: see [`Rpc::save_usage`].
    pub async fn save_usage(&mut self, usage: Usage, path: &str) -> Result<(), Error> {
        call(&mut self.http, &Rpc::save_usage(usage, path)?).await
    }

    /// Installs a file: see [`Rpc::import_file`].
    pub async fn import_file(&mut self, path: &str) -> Result<(), Error> {
        call(&mut self.http, &Rpc::import_file(path)?).await
    }

    /// Deletes one file of the device for good.
    pub async fn delete(&mut self, path: &str) -> Result<(), Error> {
        call(&mut self.http, &Rpc::delete(path)?).await
    }

    /// The certificate that the device showed, once it has answered with it.
    pub fn proven(&self) -> Option<Sha256> {
        self.http.proven()
    }
}

/// [`Restconf::state`] over a connection that somebody else keeps.
pub(super) async fn state(http: &mut Http) -> Result<(Option<Identity>, DeviceState), Error> {
    let step = "read state";
    let answer = http.ask(step, Method::GET, STATE, YANG, None).await?;
    if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::NO_CONTENT | StatusCode::BAD_REQUEST) {
        // Not served: reports will tell the identity, where the mode allows to fetch them.
        return Ok((None, DeviceState::default()));
    }
    succeeded(step, &answer, NO_RESTCONF)?;
    let state = ios_xe::state(&json(step, "RESTCONF state as JSON", &answer.body)?);
    // Its share goes back before the next answer needs one: sessions that hold one and wait for another could all
    // wait for each other.
    drop(answer);
    let Some(state) = state else { return Ok((None, DeviceState::default())) };
    let Some(udi) = state.udi.clone() else { return Ok((None, state)) };
    let hostname = leaf(http, "read host name", HOSTNAME, "hostname").await?;
    let software = leaf(http, "read software version", VERSION, "version").await?;
    let identity = Identity {
        udi,
        uuid: state.uuid.clone(),
        members: state.members.clone(),
        os: "ios-xe",
        software,
        hostname,
        clock: http.clock(),
    };
    Ok((Some(identity), state))
}

/// A leaf that some images do not serve: then `None`.
async fn leaf(http: &mut Http, step: &'static str, path: &str, name: &str) -> Result<Option<String>, Error> {
    let answer = http.ask(step, Method::GET, path, YANG, None).await?;
    if !answer.status.is_success() {
        return Ok(None);
    }
    Ok(serde_json::from_slice::<Value>(&answer.body).ok().and_then(|value| yang::leaf(&value, name)))
}

/// One operation. It may take effect although its answer is lost.
async fn call(http: &mut Http, rpc: &Rpc) -> Result<(), Error> {
    let step = rpc.step;
    if rpc.is_slow() {
        http.be_patient();
    }
    let path = format!("/restconf/operations/{}:{}", rpc.module.name, rpc.name);
    let body = Body { content_type: YANG, bytes: rpc.json().to_string().into_bytes() };
    let answer = http.ask(step, Method::POST, &path, YANG, Some(body)).await?;
    succeeded(step, &answer, NO_RPC)?;
    if answer.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let value = json(step, "an operation's output as JSON", &answer.body)?;
    rpc.judge(yang::node(&value, "output").unwrap_or(&value))
}

/// An answer that is no success, in the words of its `errors` body where it has one.
fn succeeded(step: &'static str, answer: &Answer, remedy: &'static str) -> Result<(), Error> {
    let status = answer.status.as_u16();
    if answer.status.is_success() {
        return Ok(());
    }
    match answer.status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            Err(Error::Unsupported { step, status, remedy })
        }
        _ => Err(declined(step, &answer.body).unwrap_or(Error::Failed { step, status })),
    }
}

/// `{"ietf-restconf:errors":{"error":[{"error-tag":…,"error-message":…}]}}`, the name with or without its module.
fn declined(step: &'static str, body: &[u8]) -> Option<Error> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let error = yang::list(yang::node(yang::node(&value, "errors")?, "error")).first()?;
    let word = |name| yang::leaf(error, name);
    let tag = word("error-tag")?;
    let said = word("error-message").or_else(|| word("error-path")).unwrap_or_default();
    Some(Error::declined(step, Complaint::of_tag(&tag), &tag, &said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_bodies_are_read_with_and_without_their_module() {
        for name in ["errors", "ietf-restconf:errors"] {
            let body = format!(
                r#"{{"{name}":{{"error":[{{"error-type":"application","error-tag":"access-denied","error-message":"no\u001b[2J"}}]}}}}"#
            );
            let error = declined("import", body.as_bytes()).unwrap();
            assert_eq!(error.to_string(), "import: the device declined (access-denied): no\\u{1b}[2J");
        }
        assert!(declined("import", b"<html>").is_none());
        assert!(declined("import", b"{\"errors\":{\"error\":[]}}").is_none());
    }
}
