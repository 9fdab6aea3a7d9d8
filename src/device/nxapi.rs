//! NX-API: command lines of NX-OS over HTTPS, their output as text.
//!
//! JSON-RPC is spoken first (`cli_ascii`), the older `ins_api` form (`cli_show_ascii`) where a release does not know
//! that. What a command prints, or why it was refused, is the same text as over SSH. That licensing commands are
//! taken this way is inferred from other commands that are; no public recording shows one.

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::budget::Budget;
use super::flash::Md5;
use super::http::{self, Body, Http};
use super::{Complaint, Error, Target, inline};
use crate::domain::digest::Sha256;
use crate::domain::problem::{excerpt, printable};

const PATH: &str = "/ins";
/// Spares the device a login each request; documented to last 600 s. The login goes along for when it has ended.
const COOKIE: &str = "nxapi_auth";
const JSON_RPC: &str = "application/json-rpc";
const JSON: &str = "application/json";
const NO_NXAPI: &str = "needs `feature nxapi` on the device";
/// Parse error, invalid request, unknown method: nothing was run.
const NOT_SPOKEN: [i64; 3] = [-32700, -32600, -32601];
const INTERNAL: i64 = -32603;

/// A session with one NX-OS device.
pub struct NxApi {
    http: Http,
    /// Known once a request was understood.
    form: Option<Form>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    JsonRpc,
    InsApi,
}

/// What one command line answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub command: String,
    /// As printed; for a refused command the refusal (`% Invalid command`).
    pub text: String,
    pub refused: bool,
}

/// A file as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub bytes: Vec<u8>,
    /// By the MD5 that the device printed of it. Otherwise a line end may have come to its end.
    pub proved: bool,
}

impl NxApi {
    /// Nothing is sent before the first command.
    pub fn new(target: Target, budget: Budget) -> Self {
        NxApi { http: Http::new(target, budget).keeping(COOKIE), form: None }
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
            let answer = self.post(step, JSON_RPC, json_rpc_request(commands)).await?;
            if let Some(answers) = json_rpc_answers(step, answer.status, &answer.body, commands)? {
                self.form = Some(Form::JsonRpc);
                return Ok(answers);
            }
            // This release does not speak JSON-RPC, so nothing was run yet.
            if self.form == Some(Form::JsonRpc) {
                return Err(Error::unreadable(step, "an answer to JSON-RPC", "it was answered before", &answer.body));
            }
        }
        let answer = self.post(step, JSON, ins_api_request(step, commands)?).await?;
        let answers = ins_api_answers(step, answer.status, &answer.body, commands)?;
        self.form = Some(Form::InsApi);
        Ok(answers)
    }

    /// A file's content by `show file`, proved by the MD5 that the device prints of it where it prints one. The
    /// device may end what it shows with a line end of its own; text that has not the MD5 is refused.
    pub async fn file(&mut self, step: &'static str, path: &str) -> Result<File, Error> {
        let refused =
            |said: &str| Error::FileRefused { step, path: path.to_owned(), said: printable(&excerpt(said.trim())) };
        let commands = [format!("show file {path}"), format!("show file {path} md5sum")];
        let mut answers = self.run(step, &[&commands[0], &commands[1]]).await?.into_iter();
        let shown = match answers.next() {
            Some(shown) if !shown.refused && !is_absence(&shown.text) => shown.text.into_bytes(),
            Some(shown) => return Err(refused(&shown.text)),
            None => return Err(refused("nothing")),
        };
        let Some(digest) = answers.next().filter(|told| !told.refused).and_then(|told| Md5::told(&told.text)) else {
            return Ok(File { bytes: shown, proved: false });
        };
        let length = shown.len();
        let proved = tokio::task::spawn_blocking(move || inline::prove(&shown, digest)).await.ok().flatten();
        proved.map(|bytes| File { bytes, proved: true }).ok_or_else(|| Error::Misbehaved {
            step,
            expected: "the text whose MD5 the device printed",
            got: format!("{length} bytes that no known change of line ends turns into it"),
        })
    }

    /// The certificate that the device showed, once it has answered with it.
    pub fn proven(&self) -> Option<Sha256> {
        self.http.proven()
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

/// What stands in place of a file that is not there; not every release complains with a percent sign.
fn is_absence(text: &str) -> bool {
    text.len() < 300 && text.to_ascii_lowercase().contains("no such file")
}

#[derive(Serialize)]
struct Call<'a> {
    jsonrpc: &'static str,
    method: &'static str,
    params: Params<'a>,
    id: usize,
}

#[derive(Serialize)]
struct Params<'a> {
    cmd: &'a str,
    version: u32,
}

fn json_rpc_request(commands: &[&str]) -> Vec<u8> {
    let calls: Vec<Call<'_>> = commands
        .iter()
        .enumerate()
        .map(|(index, cmd)| Call {
            jsonrpc: "2.0",
            method: "cli_ascii",
            params: Params { cmd, version: 1 },
            id: index + 1,
        })
        .collect();
    serde_json::to_vec(&calls).unwrap_or_default()
}

/// `None` where the device does not speak JSON-RPC.
fn json_rpc_answers(
    step: &'static str,
    status: StatusCode,
    body: &[u8],
    commands: &[&str],
) -> Result<Option<Vec<Answer>>, Error> {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) if status.is_success() => {
            return Err(Error::unreadable(step, "JSON-RPC", &error.to_string(), body));
        }
        Err(_) => {
            let unspoken = [
                StatusCode::BAD_REQUEST,
                StatusCode::NOT_ACCEPTABLE,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                StatusCode::NOT_IMPLEMENTED,
            ];
            return if unspoken.contains(&status) {
                Ok(None)
            } else {
                Err(Error::Failed { step, status: status.as_u16() })
            };
        }
    };
    if value.get("ins_api").is_some() {
        return Ok(None);
    }
    let entries = one_or_many(&value);
    let code = |entry: &Value| entry.pointer("/error/code").and_then(integer);
    let unspoken = |entry: &Value| code(entry).is_some_and(|code| NOT_SPOKEN.contains(&code) || code == 501);
    // A web server's own page about its trouble may be JSON too.
    let spoken = |entry: &Value| entry.get("jsonrpc").is_some() || code(entry).is_some();
    if !status.is_success() && !entries.iter().any(spoken) {
        return Err(Error::Failed { step, status: status.as_u16() });
    }
    // Where one command was answered, the form is spoken, and asking again would run it twice.
    if entries.iter().all(unspoken) && !entries.is_empty() {
        return Ok(None);
    }
    let mut answers = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        let id = i64::try_from(index + 1).unwrap_or(i64::MAX);
        let own = |entry: &&Value| entry.get("id").and_then(integer) == Some(id);
        // An error may come without the id.
        let lone = entries.first().filter(|_| entries.len() == 1 && commands.len() == 1);
        let Some(entry) = entries.iter().find(own).or(lone) else { break };
        let (text, refused) = match (entry.get("error"), entry.get("result")) {
            (Some(error), _) => (json_rpc_refusal(step, error)?, true),
            (None, Some(Value::Null)) => (String::new(), false),
            (None, Some(result)) => match result.get("msg").or_else(|| result.get("body")).unwrap_or(result) {
                Value::String(text) => (text.clone(), false),
                _ => return Err(Error::unreadable(step, "the output as text", "structured output came", body)),
            },
            (None, None) => break,
        };
        answers.push(Answer { command: (*command).to_owned(), text, refused });
        if refused {
            return Ok(Some(answers));
        }
    }
    complete(step, answers, commands, body).map(Some)
}

/// Why a command was refused, in the device's words; an error where not the command is at fault.
fn json_rpc_refusal(step: &'static str, error: &Value) -> Result<String, Error> {
    let code = error.get("code").and_then(integer).unwrap_or(0);
    let said = error.pointer("/data/msg").or_else(|| error.get("data")).and_then(Value::as_str);
    match said.filter(|said| !said.trim().is_empty()) {
        Some(said) => Ok(said.to_owned()),
        None if code == INTERNAL || code == 500 => Err(Error::Failed { step, status: 500 }),
        None if code == 413 => Err(too_large(step)),
        None => {
            let message = error.get("message").and_then(Value::as_str).unwrap_or("no reason given");
            Err(Error::declined(step, Complaint::Failed, &code.to_string(), message))
        }
    }
}

/// The members in the order that some releases insist on: `type` before `input`.
#[derive(Serialize)]
struct InsApi<'a> {
    version: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    chunk: &'static str,
    sid: &'static str,
    input: &'a str,
    output_format: &'static str,
}

#[derive(Serialize)]
struct InsApiRequest<'a> {
    ins_api: InsApi<'a>,
}

fn ins_api_request(step: &'static str, commands: &[&str]) -> Result<Vec<u8>, Error> {
    // The form parts commands by this sign and has no way to write it within one.
    if let Some(bad) = commands.iter().find(|command| command.contains(';')) {
        return Err(Error::Ours { step, cause: format!("{bad:?} cannot be sent: NX-API parts commands at `;`") });
    }
    let input = &commands.join(" ;");
    let ins_api = InsApi { version: "1.0", kind: "cli_show_ascii", chunk: "0", sid: "1", input, output_format: "json" };
    serde_json::to_vec(&InsApiRequest { ins_api }).map_err(|error| Error::Ours { step, cause: error.to_string() })
}

fn ins_api_answers(
    step: &'static str,
    status: StatusCode,
    body: &[u8],
    commands: &[&str],
) -> Result<Vec<Answer>, Error> {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(_) if !status.is_success() => return Err(Error::Failed { step, status: status.as_u16() }),
        Err(error) => return Err(Error::unreadable(step, "an ins_api answer", &error.to_string(), body)),
    };
    let Some(top) = value.get("ins_api") else {
        return Err(Error::unreadable(step, "an ins_api answer", "no ins_api in it", body));
    };
    // A request that is refused as a whole has its code at the top.
    let outputs = one_or_many(top.pointer("/outputs/output").unwrap_or(top));
    let mut answers = Vec::new();
    for (command, output) in commands.iter().zip(outputs) {
        let word = |name: &str| output.get(name).and_then(Value::as_str).unwrap_or_default();
        let code = output.get("code").and_then(integer).unwrap_or(0);
        let text = match (code, output.get("body")) {
            (200, Some(Value::String(text))) => Ok(text.clone()),
            (200, None | Some(Value::Null)) => Ok(String::new()),
            (200, Some(Value::Object(members))) if members.is_empty() => Ok(String::new()),
            (200, Some(_)) => {
                return Err(Error::unreadable(step, "the output as text", "structured output came", body));
            }
            (413, _) => return Err(too_large(step)),
            (500, _) => return Err(Error::Failed { step, status: 500 }),
            (501, _) => return Err(Error::declined(step, Complaint::Unknown, "501", word("msg"))),
            _ if !word("clierror").trim().is_empty() => Err(word("clierror").to_owned()),
            (400, _) => Err(word("msg").to_owned()),
            _ => return Err(Error::declined(step, Complaint::Failed, &code.to_string(), word("msg"))),
        };
        let refused = text.is_err();
        let text = text.unwrap_or_else(|refusal| refusal);
        answers.push(Answer { command: (*command).to_owned(), text, refused });
        if refused {
            return Ok(answers);
        }
    }
    complete(step, answers, commands, body)
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OK: StatusCode = StatusCode::OK;

    fn rpc(status: StatusCode, body: &Value, commands: &[&str]) -> Result<Option<Vec<Answer>>, Error> {
        json_rpc_answers("run", status, body.to_string().as_bytes(), commands)
    }

    fn ins(outputs: &Value, commands: &[&str]) -> Result<Vec<Answer>, Error> {
        let body = json!({"ins_api": {"type": "cli_show_ascii", "version": "1.0", "sid": "eoc", "outputs": {"output": outputs}}});
        ins_api_answers("run", OK, body.to_string().as_bytes(), commands)
    }

    fn said(answers: &[Answer]) -> Vec<(&str, bool)> {
        answers.iter().map(|answer| (answer.text.as_str(), answer.refused)).collect()
    }

    #[test]
    fn the_type_stands_before_the_input() {
        let body = String::from_utf8(ins_api_request("run", &["a", "b | include c"]).unwrap()).unwrap();
        assert_eq!(
            body,
            r#"{"ins_api":{"version":"1.0","type":"cli_show_ascii","chunk":"0","sid":"1","input":"a ;b | include c","output_format":"json"}}"#
        );
        assert!(matches!(ins_api_request("run", &["a;b"]), Err(Error::Ours { .. })));
        let body = String::from_utf8(json_rpc_request(&["show license all"])).unwrap();
        assert_eq!(
            body,
            r#"[{"jsonrpc":"2.0","method":"cli_ascii","params":{"cmd":"show license all","version":1},"id":1}]"#
        );
    }

    #[test]
    fn json_rpc_answers_come_alone_or_in_a_list() {
        let one = json!({"jsonrpc": "2.0", "result": {"msg": "nx1 \n"}, "id": 1});
        assert_eq!(said(&rpc(OK, &one, &["show hostname"]).unwrap().unwrap()), [("nx1 \n", false)]);
        let two = json!([{"result": {"msg": "b"}, "id": 2}, {"result": null, "id": 1}]);
        assert_eq!(said(&rpc(OK, &two, &["a", "b"]).unwrap().unwrap()), [("", false), ("b", false)]);
        let short = json!([{"result": null, "id": 1}]);
        assert!(matches!(rpc(OK, &short, &["a", "b"]), Err(Error::Misbehaved { .. })));
        let structured = json!({"result": {"body": {"hostname": "nx1"}}, "id": 1});
        assert!(matches!(rpc(OK, &structured, &["a"]), Err(Error::Misbehaved { .. })));
    }

    #[test]
    fn a_refused_command_is_the_last_answer() {
        let refusal = json!({"code": -32602, "message": "Invalid params", "data": {"msg": "% Invalid command\n"}});
        let refused = json!([{"result": null, "id": 1}, {"error": refusal, "id": 2}]);
        let answers = rpc(StatusCode::INTERNAL_SERVER_ERROR, &refused, &["a", "b", "c"]).unwrap().unwrap();
        assert_eq!(said(&answers), [("", false), ("% Invalid command\n", true)]);
        let output = json!({"input": "b", "msg": "Input CLI command error", "code": "400", "clierror": "% Invalid\n"});
        let outputs = json!([{"body": "x", "code": "200", "msg": "Success"}, output]);
        assert_eq!(said(&ins(&outputs, &["a", "b", "c"]).unwrap()), [("x", false), ("% Invalid\n", true)]);
    }

    #[test]
    fn a_release_without_json_rpc_is_noticed_before_anything_runs() {
        for code in [json!(-32700), json!(-32600), json!("-32601"), json!(501)] {
            assert_eq!(rpc(OK, &json!({"error": {"code": code}, "id": null}), &["a"]).unwrap(), None);
        }
        assert_eq!(rpc(OK, &json!({"ins_api": {"msg": "?"}}), &["a"]).unwrap(), None);
        let half =
            json!([{"result": null, "id": 1}, {"error": {"code": -32601, "message": "Method not found"}, "id": 2}]);
        assert!(matches!(rpc(OK, &half, &["a", "b"]), Err(Error::Declined { .. })), "the first one has run");
        let nameless = json!({"error": {"code": -32602, "data": {"msg": "% Invalid"}}, "id": null});
        assert_eq!(said(&rpc(OK, &nameless, &["a"]).unwrap().unwrap()), [("% Invalid", true)]);
        for status in [400, 406, 415, 501] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(json_rpc_answers("run", status, b"<html>", &["a"]).unwrap(), None);
        }
        let error = json_rpc_answers("run", StatusCode::BAD_GATEWAY, b"<html>", &["a"]).unwrap_err();
        assert!(matches!(error, Error::Failed { status: 502, .. }) && error.is_transient());
    }

    #[test]
    fn the_servers_own_troubles_are_errors() {
        let internal = json!({"error": {"code": -32603, "message": "Internal error"}, "id": 1});
        assert!(rpc(StatusCode::INTERNAL_SERVER_ERROR, &internal, &["a"]).unwrap_err().is_transient());
        assert!(ins(&json!({"code": "500", "msg": "Backend processing error"}), &["a"]).unwrap_err().is_transient());
        for code in [json!("413"), json!("501"), json!(502), json!(null)] {
            let error = ins(&json!({"code": code, "msg": "?"}), &["a"]).unwrap_err();
            assert!(matches!(error, Error::Declined { .. }) && !error.is_transient(), "{error}");
        }
        let top = json!({"ins_api": {"code": "400", "msg": "Input is not valid"}}).to_string();
        let answers = ins_api_answers("run", OK, top.as_bytes(), &["a"]).unwrap();
        assert_eq!(said(&answers), [("Input is not valid", true)]);
    }

    #[test]
    fn ins_api_bodies_may_be_missing_or_empty() {
        for body in [json!({}), json!(null), json!("")] {
            assert_eq!(said(&ins(&json!({"body": body, "code": 200}), &["a"]).unwrap()), [("", false)]);
        }
        assert!(ins(&json!({"body": {"x": 1}, "code": "200"}), &["a"]).is_err());
        assert!(ins(&json!([]), &["a"]).is_err());
    }
}
