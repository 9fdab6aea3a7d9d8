//! `[credentials.NAME]`: a user name, and where its password is.

use std::collections::BTreeMap;
use std::path::Path;

use super::place::existing;
use super::raw::{self, Section};
use crate::secret::{Credential, Source};

const BY_VALUE: &str = "would put a password into a file that is copied, shown and kept in version control; \
    write password_file, password_credential or password_command instead";

const ONE_SOURCE: &str = "write exactly one of password_file, password_credential or password_command";

/// Reads all credentials of the file.
pub(super) fn read(root: &mut Section<'_, '_>, folder: &Path) -> BTreeMap<String, Credential> {
    let mut credentials = BTreeMap::new();
    for (name, place, mut section) in root.named("credentials") {
        section.check_name(&name, place);
        let username = section.optional("username", raw::text);
        let file = section.optional("password_file", raw::path_in(folder)).map(Source::File);
        if let Some(Source::File(path)) = &file {
            section.check("password_file", existing(path));
        }
        let systemd = section.optional("password_credential", credential_name).map(Source::Systemd);
        let command = section.optional("password_command", |value| command(value, folder)).map(Source::Command);
        section.refuse("password", BY_VALUE);

        let keys = ["password_file", "password_credential", "password_command"];
        let written: Vec<&str> = keys.into_iter().filter(|key| section.place(key).is_some()).collect();
        match written[..] {
            [_] => {}
            [] if section.place("password").is_some() => {}
            [] => section
                .mistake_at(place, format!("{} says nowhere where its password is; {ONE_SOURCE}", section.name())),
            [_, second, ..] => section.mistake(
                second,
                format!("{} has {} sources of a password; {ONE_SOURCE}", section.name(), written.len()),
            ),
        }
        if section.place("username").is_none() {
            section.mistake_at(place, format!("{} has no username; write username = \"…\"", section.name()));
        }
        if let (Some(username), Some(source)) = (username, file.or(systemd).or(command)) {
            credentials.insert(name.clone(), Credential { name, username, source });
        } else {
            // Known by name all the same, so that whoever refers to it is not told a second time.
            credentials.insert(
                name.clone(),
                Credential { name, username: String::new(), source: Source::Command(Vec::new()) },
            );
        }
        section.finish(&["password"]);
    }
    credentials
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
fn command(value: &toml::de::DeValue<'_>, folder: &Path) -> Result<Vec<String>, String> {
    let instead = r#"write a program and its arguments as a list, such as ["/usr/bin/pass", "show", "slp"]"#;
    let mut words = raw::list(value).map_err(|_| instead.to_owned())?;
    if words[0].contains('/') {
        words[0] = folder.join(&words[0]).to_str().ok_or_else(|| instead.to_owned())?.to_owned();
    }
    Ok(words)
}
