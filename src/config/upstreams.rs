//! `[upstreams.NAME]`: a server that reports go to, or that knows of them, by its API.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use super::mistake::one_of;
use super::place::known_credential;
use super::raw::{self, Section};
use super::url::Url;
use super::web::{authority, needed};
use crate::domain::advisory::Release;
use crate::domain::settings::{Word, words};
use crate::domain::submission::Route;
use crate::secret::Credential;
use crate::tls::Authority;

/// The base of Cisco's cloud API, as Cisco's samples have it.
const CSSM_URL: &str = "https://swapi.cisco.com/services/api/smart-accounts-and-licensing";
/// Where its tokens are given out.
const CSSM_TOKEN_URL: &str = "https://cloudsso.cisco.com/as/token.oauth2";

/// A server, the way to it, and what it is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// The base: paths of the API are put behind it.
    pub url: Url,
    pub authority: Authority,
    pub proxy: Option<Proxy>,
    /// Who we are there.
    pub credential: Credential,
    /// The longest that one request may take.
    pub timeout: Duration,
    /// How often it is asked what it knows.
    pub every: Duration,
    pub api: Api,
}

impl Upstream {
    /// As `type` has it.
    pub fn word(&self) -> &'static str {
        let kind = match self.api {
            Api::Cssm(_) => Kind::Cssm,
            Api::OnPrem(_) => Kind::OnPrem,
        };
        kind.word()
    }
}

/// Which API the server speaks.
#[derive(Clone, Debug, PartialEq)]
pub enum Api {
    Cssm(Cssm),
    OnPrem(OnPrem),
}

/// What an upstream is called by its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cssm,
    OnPrem,
}
words!(Kind { Cssm = "cssm", OnPrem = "on-prem" });

/// Cisco's cloud.
#[derive(Clone, Debug, PartialEq)]
pub struct Cssm {
    pub token_url: Url,
    /// The accounts that go by it.
    pub accounts: Vec<Route>,
    /// May reports be submitted? Else it is only read.
    pub submit: bool,
    /// How long to wait for an answer before asking again, where the server does not say.
    pub poll_interval: Duration,
}

/// License On-Prem, which is only read.
#[derive(Clone, Debug, PartialEq)]
pub struct OnPrem {
    pub token_url: Url,
    /// Its own accounts that are read; empty: all that it shows.
    pub accounts: Vec<String>,
    /// Where the API client alone is not enough.
    pub user: Option<Credential>,
    /// Its release, where the server does not tell.
    pub version: Option<String>,
}

/// What stands between: HTTP CONNECT.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    pub url: Url,
    pub login: Option<Credential>,
}

/// Reads all upstreams of the file.
pub(super) fn read(
    root: &mut Section<'_, '_>,
    folder: &Path,
    credentials: &BTreeMap<String, Credential>,
) -> BTreeMap<String, Upstream> {
    let mut upstreams = BTreeMap::new();
    for (name, at, mut section) in root.named("upstreams") {
        section.check_name(&name, at);
        let written = section.place("type").is_some();
        let kind = section.optional("type", raw::word::<Kind>);
        for key in ["client_secret", "password", "proxy_password"] {
            section.refuse(key, "would put a secret into this file; write it as a [credentials.NAME] table");
        }
        let Some(kind) = kind else {
            if !written {
                let words = one_of(Kind::WORDS);
                section.mistake_at(at, format!("{} has no type; write type = {words}", section.name()));
            }
            // What else it may have depends on the type.
            continue;
        };
        let mut timeout = Duration::from_secs(60);
        section.read("timeout", &mut timeout, raw::duration_in("100ms", "10m"));
        let mut every = Duration::from_secs(24 * 3600);
        section.read("every", &mut every, raw::duration_in("10m", "30d"));
        let authority = authority(&mut section, folder);
        let proxy = proxy(&mut section, credentials);
        let named = needed(&mut section, "credential", at, "write the name of a [credentials.NAME] table", raw::text);
        if let Some(name) = &named {
            section.check("credential", known_credential(name, credentials));
        }
        let (url, api) = match kind {
            Kind::Cssm => {
                let (mut url, api) = (Url::parse(CSSM_URL), cssm(&mut section, at));
                section.read("url", &mut url, |value| address(value).map(Some));
                (url, api)
            }
            Kind::OnPrem => {
                let example = r#"write one such as "https://ssm.example.com:8443/api/v1""#;
                let url = needed(&mut section, "url", at, example, address);
                let api = on_prem(&mut section, url.as_ref(), credentials);
                (url, api)
            }
        };
        section.finish(&["client_secret", "password", "proxy_password"]);
        let credential = named.and_then(|name| credentials.get(&name)).cloned();
        if let (Some(url), Some(credential), Some(api)) = (url, credential, api) {
            upstreams.insert(name, Upstream { url, authority, proxy, credential, timeout, every, api });
        }
    }
    upstreams
}

fn cssm(section: &mut Section<'_, '_>, at: usize) -> Option<Api> {
    let mut token_url = Url::parse(CSSM_TOKEN_URL);
    section.read("token_url", &mut token_url, |value| address(value).map(Some));
    let example =
        r#"write a list such as ["example.com", "example.com/Branch"]: Smart Accounts, or one Virtual Account"#;
    let accounts = needed(section, "accounts", at, example, |value| {
        let routes = raw::list(value).ok().map(|list| list.iter().map(|text| text.parse().ok()).collect());
        routes.flatten().ok_or_else(|| example.to_owned())
    });
    let mut submit = false;
    section.read("submit", &mut submit, raw::yes_or_no);
    let mut poll_interval = Duration::from_secs(300);
    section.read("poll_interval", &mut poll_interval, raw::duration_in("1s", "1h"));
    Some(Api::Cssm(Cssm { token_url: token_url?, accounts: accounts?, submit, poll_interval }))
}

fn on_prem(
    section: &mut Section<'_, '_>,
    url: Option<&Url>,
    credentials: &BTreeMap<String, Credential>,
) -> Option<Api> {
    let mut token_url = url.and_then(|url| Url::parse(&format!("{}/oauth/token", url.origin())));
    section.read("token_url", &mut token_url, |value| address(value).map(Some));
    let mut accounts = Vec::new();
    section.read("accounts", &mut accounts, |value| {
        let names = raw::list(value).ok().map(|list| list.iter().map(|name| (*name).to_owned()).collect());
        names.ok_or_else(|| r#"write a list such as ["Local account"], by their names on that server"#.to_owned())
    });
    let user = section.optional("user_credential", raw::text);
    if let Some(name) = &user {
        section.check("user_credential", known_credential(name, credentials));
    }
    let version = section.optional("version", |value| {
        let version = value.as_str().filter(|text| text.parse::<Release>().is_ok()).map(str::to_owned);
        version.ok_or_else(|| r#"write one such as "9-202406", as the server's page has it"#.to_owned())
    });
    let user = user.and_then(|name| credentials.get(&name)).cloned();
    Some(Api::OnPrem(OnPrem { token_url: token_url?, accounts, user, version }))
}

fn proxy(section: &mut Section<'_, '_>, credentials: &BTreeMap<String, Credential>) -> Option<Proxy> {
    let url = section.optional("proxy", |value| {
        let instead = r#"write one such as "http://proxy.example.com:3128", its login as proxy_credential"#;
        value.as_str().and_then(Url::parse).filter(|url| !url.is_encrypted()).ok_or_else(|| instead.to_owned())
    });
    let login = section.optional("proxy_credential", raw::text);
    if let Some(name) = &login {
        section.check("proxy_credential", known_credential(name, credentials));
        if section.place("proxy").is_none() {
            let path = section.path("proxy_credential");
            section.mistake("proxy_credential", format!("{path} is of no use without a proxy; write proxy = \"…\""));
        }
    }
    Some(Proxy { url: url?, login: login.and_then(|name| credentials.get(&name)).cloned() })
}

/// An address to which a secret may be sent.
fn address(value: &DeValue<'_>) -> Result<Url, String> {
    let url = value.as_str().and_then(Url::parse).filter(|url| url.is_encrypted() || url.is_local());
    url.ok_or_else(|| r#"write one such as "https://api.example.com/path", without a login in it"#.to_owned())
}
