//! Cisco's licensing service: close, list, fetch, import.
//!
//! Paths, methods and the keys `usage` and `usage_list` are public. The elements of `/list`, the form of an import's
//! body and every error body are not; the knobs say which reading this device follows, and the errors are the lab's.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use crate::face::page::{JSON, Page};
use crate::face::station::Station;
use crate::operation::{Fetched, Listed, Operation, Refusal, Reply};
use crate::spec::{ImportForm, ListShape};

pub const ROOT: &str = "/smartlic-service/";

/// Days that `/days` without a number means.
const USUAL_DAYS: u32 = 90;

pub fn answer(station: &Station, method: &str, path: &str, body: &[u8]) -> Page {
    let knobs = &station.spec.knobs;
    let (allowed, operation) = match path.strip_prefix(ROOT).unwrap_or_default() {
        "close-reports" => ("POST", Ok(Operation::Close)),
        "list" => ("GET", Ok(Operation::List)),
        "all-reports" => ("GET", Ok(Operation::AllReports)),
        "days" => ("GET", Ok(Operation::Days(USUAL_DAYS))),
        "import" => ("POST", unwrapped(&knobs.import_form, body).map(Operation::Import)),
        other => match other.strip_prefix("days/").map(str::parse) {
            Some(Ok(days)) => ("GET", Ok(Operation::Days(days))),
            Some(Err(_)) => ("GET", Err("the number of days is no number")),
            None => return Page::bare(404, "Not Found"),
        },
    };
    if method != allowed {
        return Page::method(allowed);
    }
    match operation.map(|operation| station.apply(operation)) {
        Err(reason) => Page::text(400, JSON, json!({ "error": { "message": reason } }).to_string()),
        Ok(Reply::List(list)) => Page::ok(JSON, &json!({ "usage_list": listed(knobs.list_shape, &list) })),
        Ok(Reply::Reports(reports)) => Page::text(200, JSON, usage(knobs.usage_as_object_when_single, &reports)),
        Ok(Reply::Refused(refusal)) => refused(&refusal),
        Ok(_) => Page::ok(JSON, &json!({})),
    }
}

/// The file inside an import's body, if the body has the form this device takes.
fn unwrapped(form: &ImportForm, body: &[u8]) -> Result<Vec<u8>, &'static str> {
    let file = match form {
        ImportForm::Raw => Some(body.to_vec()),
        ImportForm::Base64 => BASE64.decode(body.trim_ascii()).ok(),
        ImportForm::Json(key) => {
            let wrapped: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
            let text = wrapped.as_ref().and_then(|object| object.get(key)).and_then(Value::as_str);
            text.and_then(|text| BASE64.decode(text.as_bytes()).ok())
        }
    };
    file.filter(|file| file.trim_ascii_start().starts_with(b"<")).ok_or("the body is not in the form this device takes")
}

fn listed(shape: ListShape, list: &[Listed]) -> Vec<Value> {
    let element = |listed: &Listed| match shape {
        ListShape::IdAndTimestamp => json!(listed),
        ListShape::Strings => {
            json!({ "report_id": listed.report_id.to_string(), "timestamp": listed.timestamp.to_string() })
        }
        ListShape::Ids => json!(listed.report_id),
        ListShape::IdOnly => json!({ "report_id": listed.report_id }),
    };
    list.iter().map(element).collect()
}

/// Put together from the reports' own text, so that not a byte of a signed object is written anew.
fn usage(as_object: bool, reports: &[Fetched]) -> String {
    let all: Vec<&str> = reports.iter().map(|report| report.json.as_str()).collect();
    match all.as_slice() {
        [] => "{}".to_string(),
        [single] if as_object => format!("{{\"usage\":{single}}}"),
        several => format!("{{\"usage\":[{}]}}", several.join(",")),
    }
}

fn refused(refusal: &Refusal) -> Page {
    Page::text(400, JSON, json!({ "error": refusal }).to_string())
}
