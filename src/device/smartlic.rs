//! IOS XE's own REST interface for licensing, `/smartlic-service`, with state through RESTCONF.
//!
//! Documented by Cisco: the paths, Basic login, the order close, fetch, import. Not published:
//! the elements of `/list` and the body of `/import`; both are read and tried tolerantly, and
//! nothing is believed before it is read back.

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::budget::Budget;
use super::http::{Answer, Body, Http, json};
use super::own_file::Written;
use super::tape::Tape;
use super::{
    Error, Fetched, Identity, Learned, Proven, Reach, Session, Span, Target, Witness, restconf, signed_only, witnessed,
};
use crate::domain::event::{ImportForm, Write};
use crate::domain::report::ReportId;
use crate::domain::report::read::RawReport;
use crate::domain::rum_file;
use crate::domain::state::{DeviceState, ListedReport, ReportState};

const JSON: &str = "application/json";
const NO_SERVICE: &str = "needs IOS XE 17.3.2 or later, `ip http secure-server` and the session module SL_HTTP";

/// A session over HTTPS with one IOS XE device.
pub struct Smartlic {
    http: Http,
}

impl Smartlic {
    /// Nothing is sent before the first question.
    pub fn new(target: Target, budget: Budget) -> Self {
        Smartlic { http: Http::new(target, budget) }
    }

    /// What is asked and answered is noted on a tape, or played from it.
    pub fn taped(self, tape: &Tape) -> Self {
        Smartlic { http: self.http.taped(tape) }
    }

    async fn get(&mut self, step: &'static str, path: &str, accept: &'static str) -> Result<Answer, Error> {
        self.http.ask(step, Method::GET, path, accept, None).await
    }
}

impl Session for Smartlic {
    async fn state(&mut self) -> Result<(Option<Identity>, DeviceState), Error> {
        restconf::state(&mut self.http).await
    }

    async fn list(&mut self) -> Result<Vec<ListedReport>, Error> {
        let step = "list reports";
        let answer = self.get(step, "/smartlic-service/list", JSON).await?;
        succeeded(step, &answer, NO_SERVICE)?;
        if answer.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Vec::new());
        }
        let value = json(step, "a list of reports as JSON", &answer.body)?;
        let mut listed = Vec::new();
        collect_ids(&value, 0, &mut listed);
        listed.sort_by_key(|listed| listed.report_id);
        listed.dedup_by_key(|listed| listed.report_id);
        Ok(listed)
    }

    async fn fetch<W: Witness>(&mut self, span: &Span, witness: &mut W) -> Result<Fetched, Error> {
        let step = "fetch reports";
        let path = match span {
            Span::Days(days) => format!("/smartlic-service/days/{days}"),
            Span::All | Span::Unreported | Span::One(_) => "/smartlic-service/all-reports".to_owned(),
        };
        witnessed(witness, Write::FetchReports, &format!("GET {path}"), async {
            let answer = self.get(step, &path, JSON).await?;
            succeeded(step, &answer, NO_SERVICE)?;
            let (reports, problems) = signed_reports(step, &answer.body)?;
            Ok(Fetched { reports, problems, _share: Some(answer.share) })
        })
        .await
    }

    async fn close_reports<W: Witness>(&mut self, witness: &mut W) -> Result<(), Error> {
        let (step, path) = ("close reports", "/smartlic-service/close-reports");
        witnessed(witness, Write::CloseReports, &format!("POST {path}"), async {
            let body = Body { content_type: JSON, bytes: b"{}".to_vec() };
            let mut answer = self.http.ask(step, Method::POST, path, JSON, Some(body)).await?;
            if answer.status == StatusCode::BAD_REQUEST {
                // Nobody waits for a share while holding one.
                drop(answer);
                // Cisco's sample sends a member of no meaning; a release may insist on one.
                let body = Body { content_type: JSON, bytes: br#"{"test":""}"#.to_vec() };
                answer = self.http.ask(step, Method::POST, path, JSON, Some(body)).await?;
            }
            succeeded(step, &answer, NO_SERVICE)
        })
        .await
    }

    async fn import<W: Witness>(&mut self, file: &[u8], form: &ImportForm, witness: &mut W) -> Result<(), Error> {
        let step = "import";
        let bytes = match form {
            ImportForm::Raw | ImportForm::File => file.to_vec(),
            ImportForm::Base64 => data_encoding::BASE64.encode(file).into_bytes(),
            ImportForm::Json(key) => {
                let wrapped = serde_json::json!({ key.as_str(): data_encoding::BASE64.encode(file) });
                wrapped.to_string().into_bytes()
            }
        };
        witnessed(
            witness,
            Write::ImportFile,
            &format!("POST /smartlic-service/import as {form}, {} bytes", file.len()),
            async {
                let body = Body { content_type: JSON, bytes };
                let answer = self.http.ask(step, Method::POST, "/smartlic-service/import", JSON, Some(body)).await?;
                succeeded(step, &answer, NO_SERVICE)
            },
        )
        .await
    }

    async fn discard<W: Witness>(&mut self, _: &Written, _: &mut W) -> Result<(), Error> {
        let tried = "the licensing service reaches no files".to_owned();
        Err(Error::NoWayForFiles { step: "delete our own file", tried })
    }

    fn reach(&self) -> Reach {
        Reach { fetching_closes: false, fetches_each: false, by_file: false }
    }

    fn proven(&self) -> Proven {
        Proven { certificate: self.http.proven(), host_key: None }
    }

    fn learned(&self) -> Learned {
        Learned::default()
    }

    async fn close(self) {}
}

/// The signed reports of an answer, and what is wrong with single ones. An answer that is not
/// whole is refused as a whole: the device still has everything.
fn signed_reports(step: &'static str, body: &[u8]) -> Result<(Vec<RawReport>, Vec<String>), Error> {
    let whole = || json(step, "signed reports as JSON", body);
    let file = match rum_file::read(body) {
        Ok(file) => file,
        // Cisco's own sample takes an answer without `usage` for "there are none".
        Err(error) => {
            return match whole()? {
                Value::Object(members) if !members.contains_key("usage") => Ok((Vec::new(), Vec::new())),
                Value::Object(members) if members["usage"].as_array().is_some_and(Vec::is_empty) => {
                    Ok((Vec::new(), Vec::new()))
                }
                _ => Err(Error::Misbehaved { step, expected: "signed reports as JSON", got: error.reason }),
            };
        }
    };
    if !file.problems.is_whole() {
        whole()?;
    }
    Ok(signed_only(file))
}

fn succeeded(step: &'static str, answer: &Answer, remedy: &'static str) -> Result<(), Error> {
    let status = answer.status.as_u16();
    match answer.status {
        ok if ok.is_success() => Ok(()),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            Err(Error::Unsupported { step, status, remedy })
        }
        _ => Err(Error::Failed { step, status }),
    }
}

/// The elements of `/list` are not published: any object that holds a report id counts, whatever
/// its other members and wherever it stands; bare numbers in a list named so count too.
fn collect_ids(value: &Value, depth: usize, into: &mut Vec<ListedReport>) {
    if depth > 8 {
        return;
    }
    match value {
        Value::Array(entries) => {
            for entry in entries {
                match id(entry) {
                    Some(report_id) => {
                        into.push(ListedReport { report_id, state: None, feature: None, start: None, end: None })
                    }
                    None => collect_ids(entry, depth + 1, into),
                }
            }
        }
        Value::Object(members) => {
            let member = |names: &[&str]| names.iter().find_map(|name| members.get(*name));
            if let Some(report_id) = member(&["report_id", "report-id", "reportId", "rum_report_id", "id"]).and_then(id)
            {
                let time = |names: &[&str]| member(names).and_then(instant);
                let state = member(&["state", "report_state", "report-state"]).and_then(Value::as_str);
                into.push(ListedReport {
                    report_id,
                    state: state
                        .and_then(|word| ReportState::read(word.strip_prefix("rum-report-state-").unwrap_or(word))),
                    feature: None,
                    start: time(&["start_time", "report-start-time"]),
                    end: time(&["end_time", "report-end-time"]),
                });
            } else {
                members.values().for_each(|member| collect_ids(member, depth + 1, into));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A report id as a number or a string of digits.
fn id(value: &Value) -> Option<ReportId> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).map(ReportId)
}

/// Epoch seconds or RFC 3339.
fn instant(value: &Value) -> Option<Timestamp> {
    match value.as_i64() {
        Some(seconds) => Timestamp::from_second(seconds).ok(),
        None => value.as_str()?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ids(value: &Value) -> Vec<u64> {
        let mut listed = Vec::new();
        collect_ids(value, 0, &mut listed);
        listed.iter().map(|listed| listed.report_id.0).collect()
    }

    #[test]
    fn reads_every_shape_a_list_may_have() {
        assert_eq!(ids(&json!({"usage_list": [{"report_id": 7, "timestamp": 1700000000}]})), [7]);
        assert_eq!(ids(&json!({"usage_list": [7, "8"]})), [7, 8]);
        assert_eq!(ids(&json!({"usage_list": {"report-id": "18446744073709551615"}})), [u64::MAX]);
        assert_eq!(ids(&json!({"a": {"b": [{"c": [{"reportId": 9}]}]}})), [9]);
        assert!(ids(&json!({"usage_list": []})).is_empty());
        assert!(ids(&json!("nothing")).is_empty());
    }

    #[test]
    fn a_state_in_the_list_is_taken() {
        let mut listed = Vec::new();
        collect_ids(&json!([{"report_id": 1, "state": "ACK", "start_time": 1700000000}]), 0, &mut listed);
        assert_eq!(listed[0].state, Some(ReportState::Acknowledged));
        assert_eq!(listed[0].start, Timestamp::from_second(1_700_000_000).ok());
    }
}
