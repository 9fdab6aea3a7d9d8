//! Cisco's cloud API (CSSM): a token, the accounts, usage reports up, acknowledgements down, and what it knows of devices.
//!
//! Every path, key and status is from Cisco's own samples and from programs that ran against it, none from a published
//! contract. That the newer base (`https://apx.cisco.com/v1/software/apis`) has the same paths is **not confirmed**. What is
//! read is read tolerantly: keys that we do not know are passed over, those that we need and miss are told.

mod account;
mod answer;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use answer::{acknowledgement, header_text, is_duplicate, number, seen, text};

use super::Error;
use super::certificate::{self, Certificate};
use super::http::{Answer, Http, password, segment};
use crate::config::Upstream;
use crate::config::upstreams::{Api, Cssm as Settings};
use crate::domain::cross_check::Seen;
use crate::domain::instance::Udi;
use crate::domain::submission::Route;
use crate::secret::Secret;

pub use account::{Ids, SmartAccount, VirtualAccount, ids};
pub use answer::Acknowledgement;

/// A token is not used for its last seconds: a request may be on its way while it ends.
const MARGIN: Duration = Duration::from_secs(60);
/// What a token is taken to be good for when nobody says.
const USUAL_LIFE: Duration = Duration::from_secs(600);
/// Devices are read in pages of so many, and so many pages at most.
const PAGE: usize = 100;
const PAGES: usize = 10_000;
/// The longest that an answer may ask us to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A pass at the API that is good for a while.
#[derive(Clone, Debug)]
pub struct Token {
    bearer: Secret,
    until: Instant,
    /// The client and the server that it is of.
    of: (String, String),
}

/// Some requests in a row.
pub struct Session<'a> {
    http: Http,
    upstream: &'a Upstream,
    settings: &'a Settings,
    token: &'a mut Option<Token>,
}

/// The reports of one chassis: the report objects byte for byte as they are kept.
#[derive(Clone, Debug)]
pub struct Usage<'a> {
    pub udi: &'a Udi,
    pub reports: Vec<&'a str>,
}

/// What became of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// Its answer is asked for under this number, which may exceed 2^53, after that time.
    Accepted { poll_id: u64, wait: Duration },
    /// `duplicate`: it says that it had reports of it before.
    Failed { said: String, duplicate: bool },
}

/// What became of the question for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    Working { wait: Duration },
    Complete(Vec<Acknowledgement>),
    Failed { said: String },
}

/// A licence of a Virtual Account and how much of it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Licence {
    pub tag: String,
    pub name: Option<String>,
    pub entitled: Option<u64>,
    pub in_use: Option<u64>,
    /// In the API's own words.
    pub compliance: Option<String>,
}

/// Readings, and what of them could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View<T> {
    pub items: Vec<T>,
    pub problems: Vec<String>,
}

/// Bytes that one report object takes in a request, about.
pub fn size(object: &str) -> usize {
    object.len() + 64
}

impl<'a> Session<'a> {
    /// Begins; asks for a token where there is none that is still good.
    pub async fn open(upstream: &'a Upstream, token: &'a mut Option<Token>) -> Result<Session<'a>, Error> {
        let Api::Cssm(settings) = &upstream.api else {
            return Err(Error::Ours(format!("{} takes no reports", upstream.word())));
        };
        let mut session = Session { http: Http::to(upstream).await?, upstream, settings, token };
        let of = session.identity();
        match &*session.token {
            Some(token) if token.of == of && Instant::now() < token.until => session.http.hides(&token.bearer),
            Some(_) | None => session.renew().await?,
        }
        Ok(session)
    }

    /// The chain that the server showed, its own certificate first.
    pub fn certificates(&self) -> Vec<Certificate> {
        certificate::chain(&self.http.chain())
    }

    fn identity(&self) -> (String, String) {
        (self.upstream.credential.username.clone(), self.settings.token_url.expose().to_owned())
    }

    /// Client credentials (RFC 6749 §4.4); which error names a refused client is §5.2.
    async fn renew(&mut self) -> Result<(), Error> {
        const STEP: &str = "get a token";
        *self.token = None;
        let credential = &self.upstream.credential;
        let secret = password(credential).await?;
        self.http.hides(&secret);
        let form = [
            ("client_id", credential.username.as_str()),
            ("client_secret", secret.expose()),
            ("grant_type", "client_credentials"),
        ];
        let request = self.http.client.post(self.settings.token_url.expose());
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(encoded(&form));
        let answer = self.http.send(STEP, request.header(ACCEPT, "application/json")).await?;
        let told: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let error = told.as_ref().and_then(|told| text(told, "error"));
        let refused = matches!(error.as_deref(), Some("invalid_client" | "unauthorized_client"));
        if answer.status == StatusCode::UNAUTHORIZED || (refused && !answer.status.is_success()) {
            let said = error.map_or_else(|| self.http.said(&answer.body), |error| self.http.said(error.as_bytes()));
            return Err(Error::CredentialRefused {
                step: STEP,
                place: self.token_place(),
                credential: credential.name.clone(),
                answer: format!("HTTP {}: {said}", answer.status.as_u16()),
            });
        }
        let told = self.http.json(STEP, &answer)?;
        let bearer = text(&told, "access_token").filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
        let Some(bearer) = bearer else { return Err(self.missing(STEP, "an access_token", &told)) };
        let life = number(&told, "expires_in").map_or(USUAL_LIFE, Duration::from_secs).min(Duration::from_secs(86_400));
        let token = Token {
            bearer: Secret::new(bearer),
            until: Instant::now() + life.saturating_sub(MARGIN),
            of: self.identity(),
        };
        self.http.hides(&token.bearer);
        *self.token = Some(token);
        Ok(())
    }

    fn token_place(&self) -> String {
        format!("{} {}", self.upstream.word(), self.settings.token_url.origin())
    }

    /// Sends with the token. One that the server no longer takes is renewed once.
    async fn ask(
        &mut self,
        step: &'static str,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Error> {
        let url = format!("{}/{path}", self.upstream.url.expose().trim_end_matches('/'));
        let mut renewed = false;
        loop {
            let bearer = self.token.as_ref().map_or("", |token| token.bearer.expose());
            let bearer = HeaderValue::from_str(&format!("Bearer {bearer}"));
            let mut bearer =
                bearer.map_err(|_| Error::Ours("the token has characters that no header may have".into()))?;
            bearer.set_sensitive(true);
            let mut request = self.http.client.request(method.clone(), &url).headers(headers.clone());
            request = request.header(AUTHORIZATION, bearer).header(ACCEPT, "application/json");
            if let Some(body) = &body {
                request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
            }
            let answer = self.http.send(step, request).await?;
            if answer.status == StatusCode::UNAUTHORIZED && !renewed {
                renewed = true;
                self.renew().await?;
                continue;
            }
            return Ok(answer);
        }
    }

    /// The accounts that the API client may see.
    pub async fn accounts(&mut self) -> Result<Vec<SmartAccount>, Error> {
        const STEP: &str = "search accounts";
        let answer = self.ask(STEP, Method::GET, "v2/accounts/search", HeaderMap::new(), None).await?;
        let told = self.http.json(STEP, &answer)?;
        let Some(list) = told.get("accounts").and_then(Value::as_array) else {
            return Err(self.missing(STEP, "a list of accounts", &told));
        };
        let virtual_ = |told: &Value| {
            Some(VirtualAccount { id: header_text(told, "virtual_account_id")?, name: text(told, "name")? })
        };
        let smart = |told: &Value| {
            let name = text(told, "name");
            let inside = told.get("virtual_accounts").and_then(Value::as_array).into_iter().flatten();
            Some(SmartAccount {
                id: header_text(told, "account_id")?,
                domain: text(told, "domain").or_else(|| name.clone())?,
                name: name.or_else(|| text(told, "domain"))?,
                virtual_accounts: inside.filter_map(virtual_).collect(),
            })
        };
        Ok(list.iter().filter_map(smart).collect())
    }

    /// Hands reports over. Payload and signature go out byte for byte as the device signed them.
    ///
    /// The form is the shorter of the two that samples know. `timestamp` and nonce are ours: those of a device's own file
    /// are not kept with its reports.
    pub async fn report(
        &mut self,
        ids: &Ids,
        at: Timestamp,
        nonce: &str,
        usage: &[Usage<'_>],
    ) -> Result<Reported, Error> {
        const STEP: &str = "report usage";
        let mut reports = Vec::with_capacity(usage.len());
        for device in usage {
            let kept = device.reports.iter().map(|object| serde_json::from_str::<Kept<'_>>(object));
            let usage: Result<Vec<Kept<'_>>, _> = kept.collect();
            let usage = usage.map_err(|error| Error::Ours(format!("a report of {}: {error}", device.udi)))?;
            reports.push(Reports { sudi: Sudi::of(device.udi), usage });
        }
        let body = Body { data: Data { timestamp: at.as_millisecond(), nonce, reports } };
        let body = serde_json::to_vec(&body).map_err(|error| Error::Ours(error.to_string()))?;
        let answer = self.ask(STEP, Method::POST, "v2/devices/reportusage", ids.headers()?, Some(body)).await?;
        let told = self.told(STEP, &answer)?;
        match text(&told, "status").as_deref() {
            Some("OK_POLL") => match (number(&told, "poll_id"), self.message(&told)) {
                (Some(poll_id), _) => Ok(Reported::Accepted { poll_id, wait: self.wait(&told) }),
                (None, Some(said)) => Ok(Reported::Failed { duplicate: is_duplicate(&said), said }),
                (None, None) => Err(self.missing(STEP, "a poll_id", &told)),
            },
            Some("FAILED") => {
                let said = self.message(&told).unwrap_or_else(|| "it gave no reason".to_owned());
                Ok(Reported::Failed { duplicate: is_duplicate(&said), said })
            }
            Some(_) | None => Err(self.missing(STEP, "the status OK_POLL or FAILED", &told)),
        }
    }

    /// Asks for the answer to an upload.
    pub async fn poll(&mut self, ids: &Ids, at: Timestamp, nonce: &str, poll_id: u64) -> Result<Polled, Error> {
        const STEP: &str = "ask for acknowledgements";
        let data = json!({
            "timestamp": at.as_millisecond(), "nonce": nonce, "poll_id": poll_id, "action": "acknowledgements",
        });
        let body = json!({ "data": data }).to_string().into_bytes();
        let answer = self.ask(STEP, Method::POST, "v2/accounts/poll", ids.headers()?, Some(body)).await?;
        let told = self.told(STEP, &answer)?;
        match text(&told, "status").as_deref() {
            Some("COMPLETE") => {
                let list = told.pointer("/data/acknowledgements").and_then(Value::as_array);
                let Some(list) = list else { return Err(self.missing(STEP, "data.acknowledgements", &told)) };
                Ok(Polled::Complete(list.iter().map(acknowledgement).collect()))
            }
            Some("OK_POLL") => Ok(match self.message(&told) {
                None => Polled::Working { wait: self.wait(&told) },
                Some(said) => Polled::Failed { said },
            }),
            Some("FAILED") => {
                let said = self.message(&told).unwrap_or_else(|| "it gave no reason".to_owned());
                Ok(Polled::Failed { said })
            }
            Some(_) | None => Err(self.missing(STEP, "the status COMPLETE, OK_POLL or FAILED", &told)),
        }
    }

    /// The product instances that it knows in the accounts of these routes.
    pub async fn devices(&mut self, accounts: &[SmartAccount], routes: &[Route]) -> Result<View<Seen>, Error> {
        const STEP: &str = "read devices";
        let mut view = View { items: Vec::new(), problems: Vec::new() };
        for account in accounts {
            let named = |one: &&VirtualAccount| {
                let means = |route: &Route| account.is(&route.smart_account) && route.takes_virtual(Some(&one.name));
                routes.iter().any(means)
            };
            let names: Vec<&str> = account.virtual_accounts.iter().filter(named).map(|one| one.name.as_str()).collect();
            if names.is_empty() {
                continue;
            }
            let path = format!("v1/accounts/{}/devices", segment(&account.domain));
            let mut offset = 0;
            for page in 0.. {
                let body = json!({ "virtualAccounts": names, "limit": PAGE, "offset": offset }).to_string();
                let answer = self.ask(STEP, Method::POST, &path, HeaderMap::new(), Some(body.into_bytes())).await?;
                let told = self.told(STEP, &answer)?;
                let Some(list) = told.get("devices").and_then(Value::as_array) else {
                    return Err(self.missing(STEP, "a list of devices", &told));
                };
                for device in list {
                    match seen(account, device) {
                        Ok(seen) => view.items.push(seen),
                        Err(problem) => view.problems.push(problem),
                    }
                }
                offset += list.len();
                let all = number(&told, "totalRecords").is_some_and(|total| offset as u64 >= total);
                if list.is_empty() || all {
                    break;
                }
                if page == PAGES {
                    view.problems.push(format!("'{}' has more devices than are read", account.name));
                    break;
                }
            }
        }
        Ok(view)
    }

    /// The licences of a Virtual Account.
    pub async fn licences(&mut self, ids: &Ids, at: Timestamp, nonce: &str) -> Result<View<Licence>, Error> {
        const STEP: &str = "read licences";
        // An empty list of tags asks for all, by public programs.
        let data = json!({ "timestamp": at.as_millisecond(), "nonce": nonce, "tags": [] });
        let body = json!({ "data": data }).to_string().into_bytes();
        let answer = self.ask(STEP, Method::POST, "v3/licenses/summary", ids.headers()?, Some(body)).await?;
        let told = self.told(STEP, &answer)?;
        let Some(list) = told.get("summary").and_then(Value::as_array) else {
            return Err(self.missing(STEP, "a summary", &told));
        };
        let mut view = View { items: Vec::new(), problems: Vec::new() };
        for told in list {
            let Some(tag) = text(told, "tag") else {
                view.problems.push("a licence without a tag is left out".to_owned());
                continue;
            };
            view.items.push(Licence {
                tag,
                name: text(told, "display_name"),
                entitled: number(told, "prepaid_entitled").or_else(|| number(told, "entitled")),
                in_use: number(told, "prepaid_inuse").or_else(|| number(told, "inuse")),
                compliance: text(told, "compliance_status"),
            });
        }
        Ok(view)
    }

    /// The JSON of an answer; a refusal in the API's own words is one, whatever the status above it.
    fn told(&self, step: &'static str, answer: &Answer) -> Result<Value, Error> {
        if answer.status.is_client_error()
            && let Ok(told) = serde_json::from_slice::<Value>(&answer.body)
            && text(&told, "status").as_deref() == Some("FAILED")
        {
            return Ok(told);
        }
        self.http.json(step, answer)
    }

    /// The API's message and its code, where it says anything.
    fn message(&self, told: &Value) -> Option<String> {
        let said: Vec<String> = ["message", "message_code"].iter().filter_map(|key| text(told, key)).collect();
        (!said.is_empty()).then(|| self.http.said(said.join(" / ").as_bytes()))
    }

    fn wait(&self, told: &Value) -> Duration {
        let said = number(told, "poll_interval").filter(|seconds| *seconds > 0).map(Duration::from_secs);
        said.unwrap_or(self.settings.poll_interval).min(LONGEST_WAIT)
    }

    fn missing(&self, step: &'static str, expected: &'static str, told: &Value) -> Error {
        let got = self.http.said(told.to_string().as_bytes());
        Error::Misbehaved { step, place: self.http.place.clone(), expected, got }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    timestamp: i64,
    nonce: &'a str,
    reports: Vec<Reports<'a>>,
}

#[derive(Serialize)]
struct Reports<'a> {
    sudi: Sudi<'a>,
    usage: Vec<Kept<'a>>,
}

#[derive(Serialize)]
struct Sudi<'a> {
    udi_pid: &'a str,
    udi_serial_number: &'a str,
}

impl<'a> Sudi<'a> {
    fn of(udi: &'a Udi) -> Self {
        Sudi { udi_pid: &udi.pid, udi_serial_number: &udi.sn }
    }
}

/// A kept report object: text as it came, not values, so that nothing of it is written anew.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(borrow)]
    signature: &'a RawValue,
}

fn encoded(form: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = form.iter().map(|(key, value)| format!("{key}={}", segment(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_paths_are_escaped() {
        assert_eq!(encoded(&[("a", "x y&z=1+ü")]), "a=x%20y%26z%3D1%2B%C3%BC");
        assert_eq!((segment(".."), segment("a/../b")), ("%2E%2E".to_owned(), "a%2F..%2Fb".to_owned()));
    }
}
