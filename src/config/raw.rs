//! A TOML file as tables that note which keys were asked for, and every mistake on the way.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::mistake::{Mistakes, one_of, rather};
use crate::domain::settings::{ByteSize, Word};
use crate::schedule::Schedule;

/// One configuration file: its text, and the mistakes found in it so far.
pub(super) struct Document<'t> {
    file: &'t Path,
    text: &'t str,
    mistakes: RefCell<Mistakes>,
}

impl<'t> Document<'t> {
    pub(super) fn new(file: &'t Path, text: &'t str) -> Self {
        Document { file, text, mistakes: RefCell::default() }
    }

    /// The root table; `None` when the text is not TOML, in which case nothing else can be said of it.
    pub(super) fn parse(&self) -> Option<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            self.mistake(at, format!("is not TOML: {}; write key = value or [table]", error.message()));
        }
        errors.is_empty().then(|| table.into_inner())
    }

    /// Notes a mistake at a byte of the text.
    pub(super) fn mistake(&self, at: usize, message: String) {
        self.mistakes.borrow_mut().add(self.file, self.line(at), message);
    }

    pub(super) fn into_mistakes(self) -> Mistakes {
        self.mistakes.into_inner()
    }

    fn line(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        1 + self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
    }
}

/// A table of the file. Every key that is asked for is known from then on; [`finish`](Section::finish) reports the rest.
pub(super) struct Section<'d, 't> {
    document: &'d Document<'t>,
    /// `""` for the root, else `poll` or `sites.north`.
    name: String,
    /// `None` when the file does not have the table: every key is at its default.
    table: Option<&'d DeTable<'t>>,
    known: Vec<&'static str>,
}

impl<'d, 't> Section<'d, 't> {
    pub(super) fn root(document: &'d Document<'t>, table: &'d DeTable<'t>) -> Self {
        Section { document, name: String::new(), table: Some(table), known: Vec::new() }
    }

    /// The table under `key`.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'d, 't> {
        self.known.push(key);
        let found = self.entry(key).and_then(|(_, value)| self.table_of(key, value));
        Section { document: self.document, name: self.path(key), table: found, known: Vec::new() }
    }

    /// The tables under `key`, each under a name that the operator chose, and where that name is.
    pub(super) fn named(&mut self, key: &'static str) -> Vec<(String, usize, Section<'d, 't>)> {
        self.known.push(key);
        let Some(outer) = self.entry(key).and_then(|(_, value)| self.table_of(key, value)) else { return Vec::new() };
        let mut sections = Vec::new();
        for (name, value) in outer {
            let path = format!("{}.{}", self.path(key), name.get_ref());
            if let Some(table) = self.table_of(&format!("{key}.{}", name.get_ref()), value) {
                let section = Section { document: self.document, name: path, table: Some(table), known: Vec::new() };
                sections.push((name.get_ref().to_string(), name.span().start, section));
            }
        }
        sections
    }

    /// The values under `key`, each under a name that the operator chose.
    pub(super) fn values<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&DeValue<'t>) -> Result<T, String>,
    ) -> Vec<(String, T)> {
        self.known.push(key);
        let Some(table) = self.entry(key).and_then(|(_, value)| self.table_of(key, value)) else { return Vec::new() };
        let mut values = Vec::new();
        for (name, value) in table {
            match read(value.get_ref()) {
                Ok(value) => values.push((name.get_ref().to_string(), value)),
                Err(instead) => {
                    let path = format!("{}.{}", self.path(key), printable(name.get_ref()));
                    self.document
                        .mistake(value.span().start, format!("{path} is {}; {instead}", shown(value.get_ref())));
                }
            }
        }
        values
    }

    /// Reads `key` into `slot`, where the file has it; notes a mistake when `read` cannot.
    ///
    /// `read` answers with the value, or with what to write instead.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        slot: &mut T,
        read: impl FnOnce(&DeValue<'t>) -> Result<T, String>,
    ) {
        if let Some(value) = self.optional(key, read) {
            *slot = value;
        }
    }

    /// As [`read`](Self::read), for a key without a default.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'t>) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(key);
        let (_, value) = self.entry(key)?;
        match read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(instead) => {
                let message = format!("{} is {}; {instead}", self.path(key), self.shown(key, value.get_ref()));
                self.document.mistake(value.span().start, message);
                None
            }
        }
    }

    /// Where `key` is written, if it is.
    pub(super) fn place(&self, key: &str) -> Option<usize> {
        self.entry(key).map(|(key, _)| key.span().start)
    }

    /// Notes a mistake about `key`, at its place or at the start of the file.
    pub(super) fn mistake(&self, key: &str, message: String) {
        self.document.mistake(self.place(key).unwrap_or(0), message);
    }

    /// Notes a mistake at a byte of the text.
    pub(super) fn mistake_at(&self, at: usize, message: String) {
        self.document.mistake(at, message);
    }

    /// Notes a mistake about a value that was read and then found wanting: `checked` is what to write instead.
    pub(super) fn check(&self, key: &str, checked: Result<(), String>) {
        if let (Err(instead), Some((_, value))) = (checked, self.entry(key)) {
            let message = format!("{} is {}; {instead}", self.path(key), shown(value.get_ref()));
            self.document.mistake(value.span().start, message);
        }
    }

    /// Notes a mistake about a name that the operator gave to this table; it may become the name of a file.
    pub(super) fn check_name(&self, name: &str, at: usize) {
        let good = name.chars().all(|char| char.is_alphanumeric() || "-_.".contains(char));
        if !good || name.is_empty() || name.starts_with(['-', '.']) || name.len() > 64 {
            let instead = "write up to 64 letters, digits, '-', '_' and '.', a letter or digit first";
            self.document.mistake(at, format!("{:?} is not a name; {instead}", printable(name)));
        }
    }

    /// The table's own name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A key that is refused with a reason of its own.
    pub(super) fn refuse(&mut self, key: &'static str, reason: &str) {
        if self.place(key).is_some() {
            self.mistake(key, format!("{} {reason}", self.path(key)));
        }
    }

    /// Notes every key that nobody asked for; `refused` are those that have been answered for already.
    pub(super) fn finish(self, refused: &[&str]) {
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) || refused.contains(&name) {
                continue;
            }
            let message = format!("{} is not a known key; {}", self.path(&printable(name)), rather(name, &self.known));
            self.document.mistake(key.span().start, message);
        }
    }

    /// The full name of a key, as messages write it.
    pub(super) fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// A value as a message quotes it; what somebody may have taken for the place of a password is not shown.
    fn shown(&self, key: &str, value: &DeValue<'_>) -> String {
        let path = self.path(key);
        let kept = ["username", "password_file", "token_file", "client_key_file"];
        let of_a_server = ["password", "token", "url", "client_key"].iter().any(|secret| key.starts_with(secret));
        let of_an_upstream = key.ends_with("url") || key == "proxy";
        let secret = path.starts_with("credentials")
            || ((path.starts_with("sinks") || path.starts_with("snapshot.post")) && of_a_server)
            || (path.starts_with("upstreams") && of_an_upstream);
        let secret = secret && !kept.contains(&key);
        if secret { "not right".to_owned() } else { shown(value) }
    }

    fn entry(&self, key: &str) -> Option<(&'d Spanned<std::borrow::Cow<'t, str>>, &'d Spanned<DeValue<'t>>)> {
        self.table?.iter().find(|(name, _)| name.get_ref() == key)
    }

    fn table_of(&self, key: &str, value: &'d Spanned<DeValue<'t>>) -> Option<&'d DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let path = self.path(key);
            let message = format!("{path} is {}; write it as a table, [{path}]", self.shown(key, value.get_ref()));
            self.document.mistake(value.span().start, message);
        }
        table
    }
}

/// A value as a message quotes it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{:?}", text.chars().take(80).collect::<String>()),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(list) if list.len() <= 8 => {
            let items: Vec<String> = list.iter().map(|item| shown(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A key as it stands in the file, without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(80).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

// What a value may be. Each answers with the value or with what to write instead.

pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value.as_str() {
        Some(text) if !text.trim().is_empty() && !text.chars().any(char::is_control) => Ok(text.to_owned()),
        Some(_) | None => Err("write a text in quotes".to_owned()),
    }
}

pub(super) fn path_in(folder: &Path) -> impl Fn(&DeValue<'_>) -> Result<std::path::PathBuf, String> {
    move |value| match text(value) {
        Ok(text) => Ok(folder.join(text)),
        Err(_) => Err("write a path in quotes".to_owned()),
    }
}

pub(super) fn word<T: Word>(value: &DeValue<'_>) -> Result<T, String> {
    let got = value.as_str().unwrap_or_default();
    T::of_word(got).map_err(|unknown| format!("write {}", one_of(unknown.expected)))
}

pub(super) fn whole(least: u64, most: u64) -> impl Fn(&DeValue<'_>) -> Result<u64, String> {
    move |value| {
        let number = value.as_integer().and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("write a whole number from {least} to {most}"))
    }
}

pub(super) fn port(value: &DeValue<'_>) -> Result<u16, String> {
    let port = whole(1, 65535)(value)?;
    u16::try_from(port).map_err(|_| "write a number from 1 to 65535".to_owned())
}

pub(super) fn yes_or_no(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "write true or false".to_owned())
}

pub(super) fn duration_in(least: &str, most: &str) -> impl Fn(&DeValue<'_>) -> Result<Duration, String> {
    let read = |text: &str| duration::parse(text).unwrap_or_default();
    let (from, to) = (read(least), read(most));
    let bounds = format!("write a duration from {least} to {most}");
    move |value| {
        let duration = value.as_str().and_then(duration::parse);
        let duration = duration.ok_or_else(|| format!("write {}", duration::EXPECTED))?;
        (from..=to).contains(&duration).then_some(duration).ok_or_else(|| bounds.clone())
    }
}

pub(super) fn size(value: &DeValue<'_>) -> Result<ByteSize, String> {
    let size = value.as_str().and_then(|text| text.parse().ok());
    size.filter(|size| *size > ByteSize(0))
        .ok_or_else(|| r#"write a size such as "64MiB" (units B, kB, KiB, MB, MiB, GB, GiB)"#.to_owned())
}

pub(super) fn schedule(value: &DeValue<'_>) -> Result<Schedule, String> {
    let example = r#"write five fields in UTC such as "0 3 * * *""#;
    let text = value.as_str().ok_or_else(|| example.to_owned())?;
    text.parse().map_err(|reason| format!("it {reason}; {example}"))
}

/// A list of texts, at least one.
pub(super) fn list(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let instead = || r#"write a list of texts such as ["a", "b"]"#.to_owned();
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(instead)?;
    list.iter().map(|item| text(item.get_ref()).map_err(|_| instead())).collect()
}
