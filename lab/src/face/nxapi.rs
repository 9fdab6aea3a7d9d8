//! NX-API: the command line of NX-OS over HTTPS, as JSON-RPC and in the older form `ins_api`.
//!
//! The shapes of answers and errors follow public recordings of other commands; that licensing commands are answered
//! so, and with which HTTP status a refused command comes in JSON-RPC, is inferred. A request is one session of the
//! command line: what it sets lasts until the next request.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli::{Cli, Then};
use crate::face::page::{JSON, Page};
use crate::face::station::Station;
use crate::sign;

pub const PATH: &str = "/ins";

const JSON_RPC: &str = "application/json-rpc";
const COOKIE: &str = "nxapi_auth";
/// Seconds that a cookie spares the login.
const REMEMBERED: i64 = 600;
/// Commands one request may hold.
const MOST_COMMANDS: usize = 100;

pub fn answer(station: &Station, method: &str, content_type: Option<&str>, body: &[u8]) -> Page {
    if method != "POST" {
        return Page::method("POST");
    }
    let kind = content_type.and_then(|kind| kind.split(';').next()).map(str::trim);
    let known = station.spec.nxapi.json_rpc;
    match kind {
        Some("application/json-rpc") if known => json_rpc(station, body),
        Some("application/json-rpc") => Page::bare(400, "Bad Request"),
        Some("application/json") => ins_api(station, body),
        _ => Page::bare(415, "Unsupported Media Type"),
    }
}

/// The cookie that a login earns.
pub fn cookie(station: &Station) -> Option<String> {
    station.spec.nxapi.cookie.then(|| format!("{COOKIE}={}; Secure; HttpOnly;", token(station, station.clock.now())))
}

/// Whether the cookies of a request spare its login.
pub fn remembers(station: &Station, cookies: &str) -> bool {
    let own = cookies.split(';').find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    own.is_some_and(|given| {
        let issued = given.split(':').nth(1).and_then(|issued| issued.parse().ok());
        issued.is_some_and(|issued| given == token(station, issued) && station.clock.now() - issued < REMEMBERED)
    })
}

fn token(station: &Station, issued: i64) -> String {
    let spec = &station.spec;
    let secret = format!("{}:{}:{issued}", spec.name, spec.password);
    format!("{}:{issued}:{}", spec.user, sign::fingerprint(secret.as_bytes()))
}

/// What a command printed, or why it was refused.
fn run(station: &Station, session: &mut Cli, line: &str) -> Result<String, String> {
    let said = session.obey(line, &mut |operation| station.apply(operation));
    if let Then::Ask { question, .. } = said.then {
        // Nobody is there to answer.
        return Err(format!("{question}\n% Interactive command\n"));
    }
    let complains = |line: &str| line.starts_with('%') || line.starts_with("Error:");
    if said.text.lines().any(complains) { Err(said.text) } else { Ok(said.text) }
}

fn json_rpc(station: &Station, body: &[u8]) -> Page {
    let failed = |code: i64, message: &str, id: &Value| json!({ "jsonrpc": "2.0", "error": { "code": code, "message": message }, "id": id });
    let Ok(calls) = serde_json::from_slice::<Value>(body) else {
        return Page::text(500, JSON_RPC, failed(-32700, "Parse error", &Value::Null).to_string());
    };
    let calls = match calls {
        Value::Array(calls) => calls,
        single => vec![single],
    };
    let mut session = Cli::new(Arc::clone(&station.spec), false);
    let mut answers = Vec::new();
    let mut status = 200;
    for call in calls.iter().take(MOST_COMMANDS) {
        let id = call.get("id").unwrap_or(&Value::Null);
        let answer = match (call["method"].as_str(), call["params"]["cmd"].as_str()) {
            (Some("cli_ascii"), Some(line)) => match run(station, &mut session, line) {
                Ok(text) if text.is_empty() => json!({ "jsonrpc": "2.0", "result": null, "id": id }),
                Ok(text) => json!({ "jsonrpc": "2.0", "result": { "msg": text }, "id": id }),
                Err(text) => {
                    let mut error = failed(-32602, "Invalid params", id);
                    error["error"]["data"] = json!({ "msg": text });
                    error
                }
            },
            (Some("cli_ascii"), None) => failed(-32600, "Invalid Request", id),
            _ => failed(-32601, "Method not found", id),
        };
        let refused = answer.get("error").is_some();
        answers.push(answer);
        if refused {
            status = 500;
            break;
        }
    }
    let single = answers.len() == 1 && station.spec.nxapi.single_as_object;
    let body = if single { answers.remove(0) } else { Value::Array(answers) };
    Page::text(status, JSON_RPC, body.to_string())
}

fn ins_api(station: &Station, body: &[u8]) -> Page {
    let knobs = station.spec.nxapi;
    let answered = |kind: &str, output: Value| {
        let outputs = json!({ "output": output });
        let answer = json!({ "type": kind, "version": "1.0", "sid": "eoc", "outputs": outputs });
        Page::ok(JSON, &json!({ "ins_api": answer }))
    };
    let refused = |message: &str| answered("", json!({ "code": "400", "msg": message, "clierror": "" }));
    let text = String::from_utf8_lossy(body);
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let word = |name: &str| request["ins_api"][name].as_str();
    let (Some(kind), Some(input)) = (word("type"), word("input")) else { return refused("Input is not valid") };
    if knobs.strict_order && text.find("\"type\"") > text.find("\"input\"") {
        return refused("Input is not valid");
    }
    let mut session = Cli::new(Arc::clone(&station.spec), false);
    let mut outputs = Vec::new();
    for line in input.split(" ;").take(MOST_COMMANDS) {
        let mut output = json!({ "input": line.trim() });
        let (code, message) = match kind {
            "cli_show" => ("501", "Structured output unsupported"),
            "cli_show_ascii" => match run(station, &mut session, line) {
                Ok(text) => {
                    output["body"] = json!(text);
                    ("200", "Success")
                }
                Err(text) => {
                    output["clierror"] = json!(text);
                    ("400", "Input CLI command error")
                }
            },
            _ => ("400", "Unsupported command type"),
        };
        output["code"] = json!(code);
        output["msg"] = json!(message);
        outputs.push(output);
        if code != "200" {
            break;
        }
    }
    let single = outputs.len() == 1 && knobs.single_as_object;
    answered(kind, if single { outputs.remove(0) } else { Value::Array(outputs) })
}
