//! License On-Prem (before: SSM On-Prem), read only: a token, accounts, product instances, licences, alerts.
//!
//! Confirmed by public programs that use it: port 8443; `POST /oauth/token` with a JSON body, by client credentials or with
//! a user's password besides (one program has it under `/backend/oauth/token`); behind `/api/v1`, `POST
//! upstream_satellites/accounts`, `GET accounts/NAME/virtual-accounts`, `GET …/virtual-accounts/NAME/devices`, and `POST
//! accounts/NAME/licenses` and `…/alerts` with the body `{"limit": -1}` for all. That `offset` and `limit` turn pages where
//! it says that there are more is inferred. What the answers hold is read in [`super::said`].
//!
//! Nothing is ever written: On-Prem reports to Cisco for its devices by itself.

use std::collections::HashSet;
use std::sync::Arc;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::Error;
use super::certificate;
use super::http::{Answer, Http, password, segment};
use super::said::{self, Local, Said};
use crate::config::Upstream;
use crate::config::upstreams::OnPrem as Settings;
use crate::domain::instance::{Account, Udi};
use crate::domain::problem::Problems;
use crate::secret::Secret;

/// So many accounts and Virtual Accounts in them are read, and so many pages of each, at most.
const ACCOUNTS: usize = 1_000;
const PAGES: usize = 10_000;
/// So many product instances are taken in one reading.
const DEVICES: usize = 1_000_000;

/// Reads all that the server tells. What is only nice to know and is not told becomes a problem of the reading, not an
/// error: who may list devices need not be allowed to see alerts.
pub async fn read(upstream: &Upstream, settings: &Settings) -> Result<Said, Error> {
    let mut session = Session { http: Http::to(upstream).await?, upstream, settings, bearer: None };
    session.log_in().await?;
    let certificates = certificate::chain(&session.http.chain());
    let mut said = Said { certificates, ..Said::default() };
    let (locals, version) = session.accounts(&mut said.problems).await?;
    said.version = version;
    said.synced = locals.iter().filter_map(|local| local.synced).min();
    for local in &locals {
        session.account(local, &mut said).await?;
    }
    Ok(said)
}

/// Logs in and lists accounts; what was found, in one sentence.
pub async fn probe(upstream: &Upstream, settings: &Settings) -> Result<String, Error> {
    let mut session = Session { http: Http::to(upstream).await?, upstream, settings, bearer: None };
    session.log_in().await?;
    let mut problems = Problems::default();
    let (locals, _) = session.accounts(&mut problems).await?;
    let found = locals.into_iter().map(|local| format!("account '{}' is there", local.name));
    Ok(found.chain(problems.sentences()).collect::<Vec<_>>().join("; "))
}

/// Some requests in a row.
struct Session<'a> {
    http: Http,
    upstream: &'a Upstream,
    settings: &'a Settings,
    bearer: Option<Secret>,
}

impl Session<'_> {
    /// Which error names a refused client or user is RFC 6749 §5.2. Any refusal that is not plainly about something else
    /// counts as one, for a password must not be tried twice.
    async fn log_in(&mut self) -> Result<(), Error> {
        const STEP: &str = "get a token";
        self.bearer = None;
        let client = &self.upstream.credential;
        let secret = password(client).await?;
        self.http.hides(&secret);
        let mut body = json!({
            "grant_type": "client_credentials", "client_id": client.username, "client_secret": secret.expose(),
        });
        if let Some(user) = &self.settings.user {
            let secret = password(user).await?;
            self.http.hides(&secret);
            body["grant_type"] = "password".into();
            body["username"] = user.username.as_str().into();
            body["password"] = secret.expose().into();
        }
        let request = self.http.client.post(self.settings.token_url.expose());
        let answer = self.http.send(STEP, with_json(request, &body)).await?;
        if is_refusal(answer.status) {
            let error = serde_json::from_slice::<Value>(&answer.body).ok();
            let error = error.as_ref().and_then(|error| error.get("error")?.as_str());
            let refused = match (error, &self.settings.user) {
                (Some("invalid_client" | "unauthorized_client"), _) | (_, None) => client,
                (_, Some(user)) => user,
            };
            return Err(Error::CredentialRefused {
                step: STEP,
                place: self.http.place.clone(),
                credential: refused.name.clone(),
                answer: format!("HTTP {}: {}", answer.status.as_u16(), self.http.said(&answer.body)),
            });
        }
        let told = self.http.json(STEP, &answer)?;
        let token = told.get("access_token").and_then(Value::as_str);
        let token = token.filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
        let token = token.ok_or_else(|| self.odd(STEP, "an access_token", self.http.said(&answer.body)))?;
        let token = Secret::new(token);
        self.http.hides(&token);
        self.bearer = Some(token);
        Ok(())
    }

    /// One request with the token; a token that the server no longer takes is asked for anew, once.
    async fn ask(
        &mut self,
        step: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let url = format!("{}/{path}", self.upstream.url.expose().trim_end_matches('/'));
        let mut answer = self.send(step, &method, &url, body).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.log_in().await?;
            answer = self.send(step, &method, &url, body).await?;
        }
        self.http.json(step, &answer)
    }

    async fn send(
        &self,
        step: &'static str,
        method: &Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let bearer = self.bearer.as_ref().map_or("", Secret::expose);
        let bearer = HeaderValue::from_str(&format!("Bearer {bearer}"));
        let mut bearer = bearer.map_err(|_| Error::Ours("the token has characters that no header may have".into()))?;
        bearer.set_sensitive(true);
        let request = self.http.client.request(method.clone(), url).header(AUTHORIZATION, bearer);
        let request = match body {
            Some(body) => with_json(request, body),
            None => request.header(ACCEPT, "application/json"),
        };
        self.http.send(step, request).await
    }

    /// The accounts that are wanted, and the server's version where it tells it here.
    async fn accounts(&mut self, problems: &mut Problems) -> Result<(Vec<Local>, Option<String>), Error> {
        const STEP: &str = "list accounts";
        let told = self.ask(STEP, Method::POST, "upstream_satellites/accounts", Some(&json!({ "limit": -1 }))).await?;
        let read = said::accounts(&told, problems);
        let (mut locals, version) = read.map_err(|got| self.odd(STEP, "a list of accounts", got))?;
        let wanted = &self.settings.accounts;
        for name in wanted {
            if !locals.iter().any(|local| local.is(name)) {
                problems.fault(format!("it has no account '{name}', or does not show it to this client"));
            }
        }
        locals.retain(|local| wanted.is_empty() || wanted.iter().any(|name| local.is(name)));
        if locals.len() > ACCOUNTS {
            problems.fault(format!("only {ACCOUNTS} of its {} accounts were read", locals.len()));
            locals.truncate(ACCOUNTS);
        }
        Ok((locals, version))
    }

    async fn account(&mut self, local: &Local, said: &mut Said) -> Result<(), Error> {
        const STEP: &str = "list Virtual Accounts";
        let own = segment(&local.name);
        let told = self.ask(STEP, Method::GET, &format!("accounts/{own}/virtual-accounts"), None).await?;
        let names = said::virtual_accounts(&told, &mut said.problems);
        let mut names = names.map_err(|got| self.odd(STEP, "a list of Virtual Accounts", got))?;
        if names.len() > ACCOUNTS {
            said.problems.fault(format!("only {ACCOUNTS} of the {} Virtual Accounts were read", names.len()));
            names.truncate(ACCOUNTS);
        }
        // Where it does not tell to which Smart Account it belongs, its own name may well be another one.
        let stated = local.smart_account.clone();
        said.smart_accounts.extend(stated.clone().filter(|name| !said.smart_accounts.contains(name)));
        let smart_account: Option<Arc<str>> = stated.map(Arc::from);
        for name in &names {
            let account = Account { smart_account: smart_account.clone(), virtual_account: Some(name.as_str().into()) };
            self.devices(&own, name, &account, said).await?;
        }
        let account = Account { smart_account, virtual_account: None };
        let all = json!({ "virtualAccounts": names, "limit": -1 });
        let licenses = self.extra("list licences", &format!("accounts/{own}/licenses"), &all, said).await?;
        if let Some(told) = licenses {
            match said::licenses(&told, &account, &mut said.problems) {
                Ok(read) => said.licenses.extend(read),
                Err(got) => said.problems.fault(format!("list licences: expected a list, got {got}")),
            }
        }
        let alerts =
            self.extra("list alerts", &format!("accounts/{own}/alerts"), &json!({ "limit": -1 }), said).await?;
        if let Some(told) = alerts {
            match said::alerts(&told, &local.name) {
                Ok(read) => said.alerts.extend(read),
                Err(got) => said.problems.fault(format!("list alerts: expected a list, got {got}")),
            }
        }
        Ok(())
    }

    /// Something that is nice to know: `None`, and a problem, where it is not told.
    async fn extra(
        &mut self,
        step: &'static str,
        path: &str,
        body: &Value,
        said: &mut Said,
    ) -> Result<Option<Value>, Error> {
        match self.ask(step, Method::POST, path, Some(body)).await {
            Ok(told) => Ok(Some(told)),
            Err(
                error @ (Error::Busy { .. }
                | Error::TooLarge { .. }
                | Error::Refused { .. }
                | Error::Misbehaved { .. }
                | Error::TooSlow { .. }),
            ) => {
                said.problems.fault(error.to_string());
                Ok(None)
            }
            Err(
                error @ (Error::Unreachable { .. }
                | Error::Untrusted { .. }
                | Error::CredentialRefused { .. }
                | Error::Secret(_)
                | Error::Ours(_)),
            ) => Err(error),
        }
    }

    async fn devices(&mut self, own: &str, name: &str, account: &Account, said: &mut Said) -> Result<(), Error> {
        const STEP: &str = "list product instances";
        let path = format!("accounts/{own}/virtual-accounts/{}/devices", segment(name));
        let (mut had, mut entries, mut asked) = (HashSet::<Udi>::new(), 0usize, path.clone());
        for _ in 0..PAGES {
            let told = self.ask(STEP, Method::GET, &asked, None).await?;
            let page = said::devices(&told, account, &mut said.problems);
            let page = page.map_err(|got| self.odd(STEP, "a list of devices", got))?;
            entries += page.entries;
            let before = had.len();
            said.devices.extend(page.seen.into_iter().filter(|seen| had.insert(seen.udi.clone())));
            let all = page.total.is_none_or(|total| entries as u64 >= total);
            let stands_still = page.entries == 0 || had.len() == before;
            if all || stands_still || said.devices.len() > DEVICES {
                if !all {
                    let total = page.total.unwrap_or_default();
                    said.problems.fault(format!(
                        "the Virtual Account '{name}' has {total} product instances by its own word, and {} were handed out",
                        had.len()
                    ));
                }
                return Ok(());
            }
            asked = format!("{path}?offset={entries}&limit={}", page.entries);
        }
        said.problems.fault(format!("the Virtual Account '{name}' has more than {PAGES} pages; the rest was not read"));
        Ok(())
    }

    fn odd(&self, step: &'static str, expected: &'static str, got: String) -> Error {
        Error::Misbehaved { step, place: self.http.place.clone(), expected, got }
    }
}

impl Local {
    fn is(&self, name: &str) -> bool {
        self.name.trim().eq_ignore_ascii_case(name.trim())
    }
}

fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    let request = request.header(ACCEPT, "application/json").header("content-type", "application/json");
    request.body(body.to_string())
}

/// Is it about who asks? A wrong path, method, size or hour is not.
fn is_refusal(status: StatusCode) -> bool {
    let other = [
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::NOT_ACCEPTABLE,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::GONE,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_client_error() && !other.contains(&status)
}
