//! Where and how to speak HTTP(S) to a server of the operator's: the keys that sinks and the receiver of snapshots share.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::credential::{self, Found};
use super::place::existing;
use super::raw::{self, Section};
use super::url::Url;
use crate::secret::Credential;
use crate::tls::Authority;

/// Where and how to POST.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    pub url: Url,
    pub authority: Authority,
    pub login: Option<HttpLogin>,
    /// Who we are by certificate, where the other end wants to know.
    pub identity: Option<Identity>,
}

impl Http {
    /// Where its secrets are, if it has any.
    pub fn credentials(&self) -> impl Iterator<Item = &Credential> {
        let login = self.login.as_ref().map(|(HttpLogin::Bearer(login) | HttpLogin::Basic(login))| login);
        login.into_iter().chain(self.identity.as_ref().map(|identity| &identity.key))
    }
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The chain in PEM, our own certificate first.
    pub chain: PathBuf,
    /// The key is the credential's private key.
    pub key: Credential,
}

/// What goes into the header `Authorization`.
#[derive(Clone, Debug, PartialEq)]
pub enum HttpLogin {
    /// The token is the credential's password.
    Bearer(Credential),
    Basic(Credential),
}

/// The address, whom to believe there, and who we are.
pub(super) fn http(section: &mut Section<'_, '_>, at: usize, folder: &Path) -> Option<Http> {
    let example = "write one such as \"https://hooks.example.com/slp\", without a login in it";
    let url = needed(section, "url", at, example, |value| {
        value.as_str().and_then(Url::parse).ok_or_else(|| example.to_owned())
    });
    let authority = authority(section, folder);
    let basic = login(section, at, folder);
    let keys = ["token_file", "token_credential", "token_command"];
    let token = credential::source(section, folder, keys);
    section.refuse("token", credential::BY_VALUE);
    if let (Found::Source(_), Some(_)) = (&token, &basic) {
        let written = keys.into_iter().find(|key| section.place(key).is_some()).unwrap_or("token_file");
        let message = format!("{} has a token and a username; write one of them", section.name());
        section.mistake(written, message);
    }
    let bearer = token.source().map(|token| Credential {
        name: section.name().to_owned(),
        password: Some(token),
        ..Credential::default()
    });
    let identity = identity(section, folder);
    let login = bearer.map(HttpLogin::Bearer).or(basic.map(HttpLogin::Basic));
    let url = url?;
    if !url.is_encrypted() {
        unused(section, "url is not https; write https://, or leave it out");
        if login.is_some() && !url.is_local() {
            let instead = "would send a secret in the clear; write https://, or leave the secret out";
            section.mistake("url", format!("{} {instead}", section.path("url")));
        }
    }
    Some(Http { url, authority, login, identity })
}

/// A key that has no default.
pub(super) fn needed<'t, T>(
    section: &mut Section<'_, 't>,
    key: &'static str,
    at: usize,
    example: &str,
    read: impl FnOnce(&DeValue<'t>) -> Result<T, String>,
) -> Option<T> {
    if section.place(key).is_none() {
        section.mistake_at(at, format!("{} has no {key}; {example}", section.name()));
    }
    section.optional(key, read)
}

pub(super) fn authority(section: &mut Section<'_, '_>, folder: &Path) -> Authority {
    let file = section.optional("ca_file", raw::path_in(folder));
    if let Some(path) = &file {
        section.check("ca_file", existing(path));
    }
    let pin = section.optional("pin", |value| {
        let hex: String = value.as_str().unwrap_or_default().chars().filter(|char| *char != ':').collect();
        let instead = "write the SHA-256 of its certificate, 64 hex digits, with colons or without";
        hex.parse().map_err(|_| instead.to_owned())
    });
    if section.place("ca_file").is_some() && section.place("pin").is_some() {
        section.mistake("pin", format!("{} has ca_file and pin; write one of them", section.name()));
    }
    match (file, pin) {
        (_, Some(pin)) => Authority::Pin(pin),
        (Some(file), None) => Authority::File(file),
        (None, None) => Authority::System,
    }
}

/// Notes a mistake about whatever was written for TLS where there is none.
pub(super) fn unused(section: &Section<'_, '_>, why: &str) {
    for key in ["ca_file", "pin", "client_cert_file"] {
        if section.place(key).is_some() {
            section.mistake(key, format!("{} is of no use: {why}", section.path(key)));
        }
    }
}

/// A user name and where its password is; both or none.
pub(super) fn login(section: &mut Section<'_, '_>, at: usize, folder: &Path) -> Option<Credential> {
    let username = section.optional("username", raw::text);
    let password = credential::source(section, folder, ["password_file", "password_credential", "password_command"]);
    section.refuse("password", credential::BY_VALUE);
    let named = section.place("username").is_some();
    match (named, &password) {
        (true, Found::Nothing) if section.place("password").is_none() => {
            let sources = "password_file, password_credential or password_command";
            section.mistake("username", format!("{} has a username alone; write one of {sources}", section.name()));
        }
        (false, Found::Source(_)) => {
            section.mistake_at(at, format!("{} has a password alone; write username = \"…\"", section.name()));
        }
        (true | false, _) => {}
    }
    let password = password.source()?;
    Some(Credential {
        name: section.name().to_owned(),
        username: username?,
        password: Some(password),
        ..Credential::default()
    })
}

/// A certificate of ours and where its key is; both or none.
fn identity(section: &mut Section<'_, '_>, folder: &Path) -> Option<Identity> {
    let chain = section.optional("client_cert_file", raw::path_in(folder));
    if let Some(path) = &chain {
        section.check("client_cert_file", existing(path));
    }
    let keys = ["client_key_file", "client_key_credential", "client_key_command"];
    let key = credential::source(section, folder, keys);
    section.refuse("client_key", credential::BY_VALUE);
    let written = section.place("client_cert_file").is_some();
    match (written, &key) {
        (true, Found::Nothing) if section.place("client_key").is_none() => {
            let sources = "client_key_file, client_key_credential or client_key_command";
            let message =
                format!("{} has a client certificate without its key; write one of {sources}", section.name());
            section.mistake("client_cert_file", message);
        }
        (false, Found::Source(_)) => {
            let at = keys.into_iter().find(|key| section.place(key).is_some()).unwrap_or("client_key_file");
            let message = format!("{} has the key of no certificate; write client_cert_file = \"…\"", section.name());
            section.mistake(at, message);
        }
        (true | false, _) => {}
    }
    let key = Credential { name: section.name().to_owned(), private_key: Some(key.source()?), ..Credential::default() };
    Some(Identity { chain: chain?, key })
}
