//! The form `ins_api` of NX-API, which every release knows: all command lines in one text.

use reqwest::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::{Answer, complete, integer, one_or_many, too_large};
use crate::device::{Complaint, Error};

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

pub(super) fn request(step: &'static str, commands: &[&str]) -> Result<Vec<u8>, Error> {
    // The form parts commands by this sign and has no way to write it within one.
    if let Some(bad) = commands.iter().find(|command| command.contains(';')) {
        return Err(Error::Ours { step, cause: format!("{bad:?} cannot be sent: NX-API parts commands at `;`") });
    }
    let input = &commands.join(" ;");
    let ins_api = InsApi { version: "1.0", kind: "cli_show_ascii", chunk: "0", sid: "1", input, output_format: "json" };
    serde_json::to_vec(&InsApiRequest { ins_api }).map_err(|error| Error::Ours { step, cause: error.to_string() })
}

pub(super) fn answers(
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OK: StatusCode = StatusCode::OK;

    fn told(outputs: &Value, commands: &[&str]) -> Result<Vec<Answer>, Error> {
        let outputs = json!({ "output": outputs });
        let body = json!({"ins_api": {"type": "cli_show_ascii", "version": "1.0", "sid": "eoc", "outputs": outputs}});
        answers("run", OK, body.to_string().as_bytes(), commands)
    }

    fn said(answers: &[Answer]) -> Vec<(&str, bool)> {
        answers.iter().map(|answer| (answer.text.as_str(), answer.refused)).collect()
    }

    #[test]
    fn the_type_stands_before_the_input() {
        let body = String::from_utf8(request("run", &["a", "b | include c"]).unwrap()).unwrap();
        assert_eq!(
            body,
            r#"{"ins_api":{"version":"1.0","type":"cli_show_ascii","chunk":"0","sid":"1","input":"a ;b | include c","output_format":"json"}}"#
        );
        assert!(matches!(request("run", &["a;b"]), Err(Error::Ours { .. })));
    }

    #[test]
    fn a_refused_command_is_the_last_answer() {
        let output = json!({"input": "b", "msg": "Input CLI command error", "code": "400", "clierror": "% Invalid\n"});
        let outputs = json!([{"body": "x", "code": "200", "msg": "Success"}, output]);
        assert_eq!(said(&told(&outputs, &["a", "b", "c"]).unwrap()), [("x", false), ("% Invalid\n", true)]);
        let top = json!({"ins_api": {"code": "400", "msg": "Input is not valid"}}).to_string();
        let answers = answers("run", OK, top.as_bytes(), &["a"]).unwrap();
        assert_eq!(said(&answers), [("Input is not valid", true)]);
    }

    #[test]
    fn the_servers_own_troubles_are_errors() {
        assert!(told(&json!({"code": "500", "msg": "Backend processing error"}), &["a"]).unwrap_err().is_transient());
        for code in [json!("413"), json!("501"), json!(502), json!(null)] {
            let error = told(&json!({"code": code, "msg": "?"}), &["a"]).unwrap_err();
            assert!(matches!(error, Error::Declined { .. }) && !error.is_transient(), "{error}");
        }
        let error = answers("run", StatusCode::BAD_GATEWAY, b"<html>", &["a"]).unwrap_err();
        assert!(matches!(error, Error::Failed { status: 502, .. }), "{error}");
    }

    #[test]
    fn bodies_may_be_missing_or_empty() {
        for body in [json!({}), json!(null), json!("")] {
            assert_eq!(said(&told(&json!({"body": body, "code": 200}), &["a"]).unwrap()), [("", false)]);
        }
        assert!(told(&json!({"body": {"x": 1}, "code": "200"}), &["a"]).is_err());
        assert!(told(&json!([]), &["a"]).is_err());
    }
}
