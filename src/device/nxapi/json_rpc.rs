//! JSON-RPC of NX-API: a list of calls of `cli_ascii`, one a command line.

use reqwest::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::{Answer, complete, integer, one_or_many, too_large};
use crate::device::{Complaint, Error};

/// Parse error, invalid request, unknown method: nothing was run.
const NOT_SPOKEN: [i64; 3] = [-32700, -32600, -32601];
const INTERNAL: i64 = -32603;

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

pub(super) fn request(commands: &[&str]) -> Vec<u8> {
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
pub(super) fn answers(
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
            (Some(error), _) => (refusal(step, error)?, true),
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
fn refusal(step: &'static str, error: &Value) -> Result<String, Error> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OK: StatusCode = StatusCode::OK;

    fn told(status: StatusCode, body: &Value, commands: &[&str]) -> Result<Option<Vec<Answer>>, Error> {
        answers("run", status, body.to_string().as_bytes(), commands)
    }

    fn said(answers: &[Answer]) -> Vec<(&str, bool)> {
        answers.iter().map(|answer| (answer.text.as_str(), answer.refused)).collect()
    }

    #[test]
    fn a_request_is_as_recorded_ones_are() {
        let body = String::from_utf8(request(&["show license all"])).unwrap();
        assert_eq!(
            body,
            r#"[{"jsonrpc":"2.0","method":"cli_ascii","params":{"cmd":"show license all","version":1},"id":1}]"#
        );
    }

    #[test]
    fn answers_come_alone_or_in_a_list() {
        let one = json!({"jsonrpc": "2.0", "result": {"msg": "nx1 \n"}, "id": 1});
        assert_eq!(said(&told(OK, &one, &["show hostname"]).unwrap().unwrap()), [("nx1 \n", false)]);
        let two = json!([{"result": {"msg": "b"}, "id": 2}, {"result": null, "id": 1}]);
        assert_eq!(said(&told(OK, &two, &["a", "b"]).unwrap().unwrap()), [("", false), ("b", false)]);
        let short = json!([{"result": null, "id": 1}]);
        assert!(matches!(told(OK, &short, &["a", "b"]), Err(Error::Misbehaved { .. })));
        let structured = json!({"result": {"body": {"hostname": "nx1"}}, "id": 1});
        assert!(matches!(told(OK, &structured, &["a"]), Err(Error::Misbehaved { .. })));
    }

    #[test]
    fn a_refused_command_is_the_last_answer() {
        let refusal = json!({"code": -32602, "message": "Invalid params", "data": {"msg": "% Invalid command\n"}});
        let refused = json!([{"result": null, "id": 1}, {"error": refusal, "id": 2}]);
        let answers = told(StatusCode::INTERNAL_SERVER_ERROR, &refused, &["a", "b", "c"]).unwrap().unwrap();
        assert_eq!(said(&answers), [("", false), ("% Invalid command\n", true)]);
    }

    #[test]
    fn a_release_without_json_rpc_is_noticed_before_anything_runs() {
        for code in [json!(-32700), json!(-32600), json!("-32601"), json!(501)] {
            assert_eq!(told(OK, &json!({"error": {"code": code}, "id": null}), &["a"]).unwrap(), None);
        }
        assert_eq!(told(OK, &json!({"ins_api": {"msg": "?"}}), &["a"]).unwrap(), None);
        let half =
            json!([{"result": null, "id": 1}, {"error": {"code": -32601, "message": "Method not found"}, "id": 2}]);
        assert!(matches!(told(OK, &half, &["a", "b"]), Err(Error::Declined { .. })), "the first one has run");
        let nameless = json!({"error": {"code": -32602, "data": {"msg": "% Invalid"}}, "id": null});
        assert_eq!(said(&told(OK, &nameless, &["a"]).unwrap().unwrap()), [("% Invalid", true)]);
        for status in [400, 406, 415, 501] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(answers("run", status, b"<html>", &["a"]).unwrap(), None);
        }
        let error = answers("run", StatusCode::BAD_GATEWAY, b"<html>", &["a"]).unwrap_err();
        assert!(matches!(error, Error::Failed { status: 502, .. }) && error.is_transient());
    }

    #[test]
    fn the_servers_own_troubles_are_errors() {
        let internal = json!({"error": {"code": -32603, "message": "Internal error"}, "id": 1});
        assert!(told(StatusCode::INTERNAL_SERVER_ERROR, &internal, &["a"]).unwrap_err().is_transient());
        let page = json!({"error": {"message": "internal error"}});
        let error = told(StatusCode::INTERNAL_SERVER_ERROR, &page, &["a"]).unwrap_err();
        assert!(matches!(error, Error::Failed { status: 500, .. }), "{error}");
        let large = json!({"error": {"code": 413, "message": "?"}, "id": 1});
        assert!(!told(OK, &large, &["a"]).unwrap_err().is_transient());
    }
}
