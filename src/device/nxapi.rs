//! NX-API: command lines of NX-OS over HTTPS, their output as text.
//!
//! JSON-RPC is spoken first (`cli_ascii`), the older `ins_api` form (`cli_show_ascii`) where a release does not know
//! that. What a command prints, or why it was refused, is the same text as over SSH. That licensing commands are
//! taken this way is inferred from other commands that are; no public recording shows one.

mod ins_api;
mod json_rpc;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::budget::Budget;
use super::http::{self, Body, Http};
use super::tape::Tape;
use super::{Complaint, Error, Target};
use crate::domain::digest::Sha256;
use crate::domain::state::Stamp;

const PATH: &str = "/ins";
/// Spares the device a login each request; documented to last 600 s. The login goes along for when it has ended.
const COOKIE: &str = "nxapi_auth";
const JSON_RPC: &str = "application/json-rpc";
const JSON: &str = "application/json";
const NO_NXAPI: &str = "needs `feature nxapi` on the device";

/// A session with one NX-OS device.
pub struct NxApi {
    http: Http,
    /// Known once a request was understood.
    form: Option<Form>,
}

/// How command lines and what they print are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    JsonRpc,
    InsApi,
}

impl Form {
    /// Reads what came for `commands`. `None`: the device does not speak this form, and ran nothing.
    pub fn answers(
        self,
        step: &'static str,
        status: StatusCode,
        body: &[u8],
        commands: &[&str],
    ) -> Result<Option<Vec<Answer>>, Error> {
        match self {
            Form::JsonRpc => json_rpc::answers(step, status, body, commands),
            Form::InsApi => ins_api::answers(step, status, body, commands).map(Some),
        }
    }
}

/// What one command line answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub command: String,
    /// As printed; for a refused command the refusal (`% Invalid command`).
    pub text: String,
    pub refused: bool,
}

impl NxApi {
    /// Nothing is sent before the first command.
    pub fn new(target: Target, budget: Budget) -> Self {
        NxApi { http: Http::new(target, budget).keeping(COOKIE), form: None }
    }

    /// What is asked and answered is noted on a tape, or played from it.
    pub fn taped(self, tape: &Tape) -> Self {
        NxApi { http: self.http.taped(tape), ..self }
    }

    /// Runs command lines in one request, in order. A device stops at the first one that it refuses: then that is
    /// the last answer, and there are fewer than commands.
    pub async fn run(&mut self, step: &'static str, commands: &[&str]) -> Result<Vec<Answer>, Error> {
        if let Some(bad) = commands.iter().find(|line| line.trim().is_empty() || line.contains(char::is_control)) {
            return Err(Error::Ours { step, cause: format!("{bad:?} is not one command line") });
        }
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        if self.form != Some(Form::InsApi) {
            let answer = self.post(step, JSON_RPC, json_rpc::request(commands)).await?;
            if let Some(answers) = Form::JsonRpc.answers(step, answer.status, &answer.body, commands)? {
                self.form = Some(Form::JsonRpc);
                return Ok(answers);
            }
            // This release does not speak JSON-RPC, so nothing was run yet.
            if self.form == Some(Form::JsonRpc) {
                return Err(Error::unreadable(step, "an answer to JSON-RPC", "it was answered before", &answer.body));
            }
        }
        let answer = self.post(step, JSON, ins_api::request(step, commands)?).await?;
        let answers = ins_api::answers(step, answer.status, &answer.body, commands)?;
        self.form = Some(Form::InsApi);
        Ok(answers)
    }

    /// From now on answers may take as long as a save or an import does.
    pub fn be_patient(&mut self) {
        self.http.be_patient();
    }

    /// The certificate that the device showed, once it has answered with it.
    pub fn proven(&self) -> Option<Sha256> {
        self.http.proven()
    }

    /// The device's clock, as its last answer was dated.
    pub(super) fn clock(&self) -> Option<Stamp> {
        self.http.clock()
    }

    async fn post(&mut self, step: &'static str, kind: &'static str, bytes: Vec<u8>) -> Result<http::Answer, Error> {
        let body = Body { content_type: kind, bytes };
        let answer = self.http.ask(step, Method::POST, PATH, kind, Some(body)).await?;
        let status = answer.status.as_u16();
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                Err(Error::Unsupported { step, status, remedy: NO_NXAPI })
            }
            StatusCode::PAYLOAD_TOO_LARGE => Err(too_large(step)),
            _ => Ok(answer),
        }
    }
}

fn too_large(step: &'static str) -> Error {
    Error::declined(step, Complaint::Failed, "413", "larger than NX-API takes or gives in one piece")
}

fn complete(step: &'static str, answers: Vec<Answer>, commands: &[&str], body: &[u8]) -> Result<Vec<Answer>, Error> {
    if answers.len() < commands.len() {
        let wrong = format!("{} answers to {} commands", answers.len(), commands.len());
        return Err(Error::unreadable(step, "an answer to each command", &wrong, body));
    }
    Ok(answers)
}

fn one_or_many(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// A number, or a string of digits: codes come as both.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}
