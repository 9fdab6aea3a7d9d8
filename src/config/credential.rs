//! `[credentials.NAME]`: a user name, and where its secrets are.

use std::collections::BTreeMap;
use std::path::Path;

use super::place::existing;
use super::raw::{self, Section};
use crate::secret::{Credential, Source};

pub(super) const BY_VALUE: &str = "would put a secret into a file that is copied, shown and kept in version control; \
    write the same key with _file, _credential or _command behind it instead";

/// Reads all credentials of the file.
pub(super) fn read(root: &mut Section<'_, '_>, folder: &Path) -> BTreeMap<String, Credential> {
    let mut credentials = BTreeMap::new();
    for (name, place, mut section) in root.named("credentials") {
        section.check_name(&name, place);
        let username = section.optional("username", raw::text);
        let sources = "password_file, password_credential or password_command";
        let password = source(&mut section, folder, ["password_file", "password_credential", "password_command"]);
        let key = ["private_key_file", "private_key_credential", "private_key_command"];
        let private_key = source(&mut section, folder, key);
        let enable = source(&mut section, folder, ["enable_file", "enable_credential", "enable_command"]);
        section.refuse("password", BY_VALUE);
        section.refuse("enable", BY_VALUE);
        section.refuse("private_key", BY_VALUE);
        let nothing = password == Found::Nothing && private_key == Found::Nothing;
        if nothing && section.place("password").is_none() {
            let message = format!(
                "{} says nowhere where its password is; write exactly one of {sources}, or a private key",
                section.name()
            );
            section.mistake_at(place, message);
        }
        if section.place("username").is_none() {
            section.mistake_at(place, format!("{} has no username; write username = \"…\"", section.name()));
        }
        // Known by name all the same, so that whoever refers to it is not told a second time.
        credentials.insert(
            name.clone(),
            Credential {
                name,
                username: username.unwrap_or_default(),
                password: password.source(),
                private_key: private_key.source(),
                enable: enable.source(),
            },
        );
        section.finish(&["password", "enable", "private_key"]);
    }
    credentials
}

/// What was found of one secret.
#[derive(PartialEq)]
pub(super) enum Found {
    Nothing,
    /// Told as a mistake already.
    Mistake,
    Source(Source),
}

impl Found {
    pub(super) fn source(self) -> Option<Source> {
        match self {
            Found::Source(source) => Some(source),
            Found::Nothing | Found::Mistake => None,
        }
    }
}

/// Where one secret is: by file, systemd credential or command, of which at most one may be written.
pub(super) fn source(section: &mut Section<'_, '_>, folder: &Path, keys: [&'static str; 3]) -> Found {
    let [by_file, by_credential, by_command] = keys;
    let file = section.optional(by_file, raw::path_in(folder)).map(Source::File);
    if let Some(Source::File(path)) = &file {
        section.check(by_file, existing(path));
    }
    let systemd = section.optional(by_credential, credential_name).map(Source::Systemd);
    let command = section.optional(by_command, |value| command(value, folder)).map(Source::Command);
    let written: Vec<&str> = keys.into_iter().filter(|key| section.place(key).is_some()).collect();
    match (written.as_slice(), file.or(systemd).or(command)) {
        ([], _) => Found::Nothing,
        ([_], Some(source)) => Found::Source(source),
        ([_], None) => Found::Mistake,
        ([_, second, ..], _) => {
            let what = by_file.trim_end_matches("_file").replace('_', " ");
            let message = format!(
                "{} has {} sources of a {what}; write exactly one of {by_file}, {by_credential} or {by_command}",
                section.name(),
                written.len()
            );
            section.mistake(second, message);
            Found::Mistake
        }
    }
}

/// The name of a systemd credential is the name of a file in one folder.
fn credential_name(value: &toml::de::DeValue<'_>) -> Result<String, String> {
    let name = raw::text(value)?;
    if name.contains('/') || name.starts_with('.') {
        return Err("write the name that LoadCredential= gives it, without a path".to_owned());
    }
    Ok(name)
}

/// A program with a folder in its name is relative to the configuration; one without is searched for in `$PATH`.
pub(super) fn command(value: &toml::de::DeValue<'_>, folder: &Path) -> Result<Vec<String>, String> {
    let instead = r#"write a program and its arguments as a list, such as ["/usr/bin/pass", "show", "slp"]"#;
    let mut words = raw::list(value).map_err(|_| instead.to_owned())?;
    if words[0].contains('/') {
        words[0] = folder.join(&words[0]).to_str().ok_or_else(|| instead.to_owned())?.to_owned();
    }
    Ok(words)
}
