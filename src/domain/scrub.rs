//! What names people, devices and secrets is taken out of a recording: the one place that does. Pure.
//!
//! Serial numbers become invented ones of the same length and make, the same one everywhere, so that what reads them
//! reads on. Where in doubt something is replaced: a recording leaves the house.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Neither a label of a secret itself, nor anything to JSON and XML.
const SECRET: &str = "(removed)";

/// A run of base64 or hex this long is a key, a signature or a digest.
const LONGEST_WORD: usize = 40;

/// What a private word is, which says what replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Private {
    Serial,
    Host,
    User,
    Account,
}

/// Words that were found, and what stands for them.
#[derive(Debug, Default)]
pub struct Scrub {
    secrets: Vec<String>,
    /// By the word; replaced only where it stands alone.
    words: BTreeMap<String, String>,
    counts: BTreeMap<Private, usize>,
    addresses: BTreeMap<String, String>,
}

/// After these, compared in lower case, comes a private word.
const LABELS: &[(&str, Private)] = &[
    ("sn", Private::Serial),
    ("serial number", Private::Serial),
    ("serial_number", Private::Serial),
    ("serial-number", Private::Serial),
    ("serialnum", Private::Serial),
    ("serial_num", Private::Serial),
    ("processor board id", Private::Serial),
    ("host-identifier", Private::Serial),
    ("suvi", Private::Serial),
    ("vdh", Private::Serial),
    ("hostname", Private::Host),
    ("host name", Private::Host),
    ("host_name", Private::Host),
    ("device name", Private::Host),
    ("switchname", Private::Host),
    ("username", Private::User),
    ("user name", Private::User),
    ("smart account", Private::Account),
    ("smart-account", Private::Account),
    ("smart_account", Private::Account),
    ("virtual account", Private::Account),
    ("virtual-account", Private::Account),
    ("virtual_account", Private::Account),
];

/// After these comes a secret, with a number for its kind of encryption in between or not.
const SECRET_LABELS: &[&str] =
    &["password", "passwd", "secret", "community", "passphrase", "key-string", "private-key", "token", "nxapi_auth"];

/// What may stand behind a label and is no name.
const NO_NAMES: &[&str] =
    &["yes", "no", "true", "false", "none", "enabled", "disabled", "privacy", "not", "is", "and", "or", "of"];

impl Scrub {
    /// `secrets` are taken out wherever they stand, also in the middle of a word, and as the base64 of a login.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut all: Vec<String> = Vec::new();
        for secret in secrets.into_iter().filter(|secret| !secret.trim().is_empty()) {
            let json = serde_json::to_string(&secret).unwrap_or_default();
            let inside = json.trim_matches('"').to_owned();
            let xml = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let base64 = data_encoding::BASE64.encode(secret.as_bytes());
            let lines = secret.lines().filter(|line| line.len() > 20).map(str::to_owned).collect::<Vec<_>>();
            all.extend([inside, xml, base64, secret].into_iter().chain(lines));
        }
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Scrub { secrets: all, ..Scrub::default() }
    }

    /// A private word that is known beforehand.
    pub fn word(&mut self, kind: Private, word: &str) {
        let word = word.trim();
        let lower = word.to_ascii_lowercase();
        if word.is_empty() || NO_NAMES.contains(&lower.as_str()) || self.words.contains_key(word) {
            return;
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let invented = match kind {
            Private::Serial => invented(word, *count),
            Private::Host => format!("host-{count}"),
            Private::User => format!("user-{count}"),
            Private::Account => format!("account-{count}"),
        };
        self.words.insert(word.to_owned(), invented);
    }

    /// Finds the private words of a text by what stands before them. All texts are looked through before one is
    /// written, so that a word is replaced also where nothing tells what it is.
    pub fn learn(&mut self, text: &str) {
        let lower = text.to_ascii_lowercase();
        for (label, kind) in LABELS {
            for (at, _) in lower.match_indices(label) {
                let alone = lower.get(..at).and_then(|before| before.chars().next_back());
                if alone.is_some_and(|c| c.is_ascii_alphanumeric()) {
                    continue;
                }
                let rest = text.get(at + label.len()..).unwrap_or_default();
                if let Some(value) = value(rest, *kind) {
                    self.word(*kind, value);
                }
            }
        }
        for (at, _) in lower.match_indices(" uptime is") {
            let before = text.get(..at).unwrap_or_default();
            if let Some(name) = before.split(|c: char| c.is_whitespace() || "\"\\>".contains(c)).next_back() {
                // `\nNAME` within JSON.
                let escaped = before.strip_suffix(name).is_some_and(|before| before.ends_with('\\'));
                self.word(Private::Host, if escaped { name.get(1..).unwrap_or_default() } else { name });
            }
        }
    }

    /// The text without anything private.
    pub fn text(&mut self, text: &str) -> String {
        let mut text = without_pem(text);
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), SECRET);
        }
        text = without_labelled(&text);
        let words = std::mem::take(&mut self.words);
        let mut by_length: Vec<(&String, &String)> = words.iter().collect();
        by_length.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        for (word, invented) in by_length {
            text = replaced_alone(&text, word, invented);
        }
        self.words = words;
        text = self.urls(&text);
        text = runs(
            &text,
            |c| c.is_ascii_alphanumeric() || "._%+-@".contains(c),
            |run, _| {
                let (_, domain) = run.split_once('@')?;
                domain.contains('.').then(|| "person@example.com".to_owned())
            },
        );
        text = runs(&text, |c| c.is_ascii_hexdigit() || ".:".contains(c), |run, before| self.address(run, before));
        text = runs(
            &text,
            |c| c.is_ascii_hexdigit() || c == '-',
            |run, before| {
                let groups: Vec<usize> = run.split('-').map(str::len).collect();
                // Behind an underscore it is part of a licence's tag, the same for everybody.
                (groups == [8, 4, 4, 4, 12] && before != Some('_')).then(|| self.uuid(run))
            },
        );
        runs(
            &text,
            |c| c.is_ascii_alphanumeric() || "+/=".contains(c),
            |run, _| {
                let body = run.trim_end_matches('=');
                let is_key = body.len() >= LONGEST_WORD
                    && body.contains(|c: char| c.is_ascii_digit())
                    && body.contains(|c: char| c.is_ascii_alphabetic());
                is_key.then(|| format!("{}{}", "A".repeat(body.len()), run.get(body.len()..).unwrap_or_default()))
            },
        )
    }

    fn uuid(&mut self, uuid: &str) -> String {
        self.word(Private::Serial, uuid);
        self.words.get(uuid).cloned().unwrap_or_else(|| invented(uuid, 0))
    }

    /// Hosts of URLs but Cisco's own.
    fn urls(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("://") {
            let (before, after) = rest.split_at(at + 3);
            out.push_str(before);
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c))).unwrap_or(after.len());
            let (host, tail) = after.split_at(end);
            let public = host.ends_with("cisco.com") || host.is_empty() || host.parse::<Ipv4Addr>().is_ok();
            // Namespaces of models are no addresses of anybody.
            let public = public || ["urn", "www.w3.org", "tail-f.com", "openconfig.net"].contains(&host);
            if public || host.starts_with("host-") {
                out.push_str(host);
            } else {
                self.word(Private::Host, host);
                out.push_str(self.words.get(host).map_or("host", String::as_str));
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }

    /// IP and MAC addresses, of IP with a port behind it or not.
    fn address(&mut self, run: &str, before: Option<char>) -> Option<String> {
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        let bare = run.trim_end_matches(['.', ':']);
        let end = run.get(bare.len()..).unwrap_or_default();
        let (host, port) = match bare.rsplit_once(':') {
            Some((host, port)) if host.parse::<Ipv4Addr>().is_ok() => (host, format!(":{port}")),
            _ => (bare, String::new()),
        };
        let count = self.addresses.len() + 1;
        let fits = |sep: char, groups: usize, digits: usize| {
            let parts: Vec<&str> = host.split(sep).collect();
            parts.len() == groups && parts.iter().all(|part| part.len() == digits)
        };
        let fresh = if let Ok(address) = host.parse::<Ipv4Addr>() {
            if address.is_unspecified() || address.octets()[0] == 255 {
                return None;
            }
            format!("192.0.2.{}", count % 254 + 1)
        } else if fits(':', 6, 2) {
            format!("02:00:00:00:00:{:02x}", count % 256)
        } else if fits('.', 3, 4) {
            format!("0200.0000.{count:04x}")
        } else if host.matches(':').count() >= 2 && host != "::" && host.parse::<Ipv6Addr>().is_ok() {
            format!("2001:db8::{count:x}")
        } else {
            return None;
        };
        let invented = self.addresses.entry(host.to_owned()).or_insert(fresh);
        Some(format!("{invented}{port}{end}"))
    }
}

/// The same make and length: letters stay letters, digits digits; `count` tells them apart.
fn invented(word: &str, count: usize) -> String {
    let mut left = count;
    let mut made: Vec<char> = word
        .chars()
        .rev()
        .map(|c| {
            let (first, many) = match c {
                '0'..='9' => (b'0', 10),
                'a'..='f' => (b'a', 6),
                'g'..='z' => (b'g', 20),
                'A'..='F' => (b'A', 6),
                'G'..='Z' => (b'G', 20),
                other => return other,
            };
            let step = u8::try_from(left % many).unwrap_or(0);
            left /= many;
            char::from(first + step)
        })
        .collect();
    made.reverse();
    made.into_iter().collect()
}

/// The value that follows a label.
fn value(rest: &str, kind: Private) -> Option<&str> {
    let seps = |c: char| c.is_whitespace() || ":=\"'\\>.,".contains(c);
    // A label is the whole word, or the name of a member or an element.
    if !rest.starts_with(seps) {
        return None;
    }
    let line = rest.get(between_label_and_value(rest, " \t\r:=\"'>.,")..).unwrap_or_default();
    let between = rest.get(..rest.len() - line.len()).unwrap_or_default();
    if kind == Private::Host && between.trim().is_empty() {
        // `hostname privacy: DISABLED`
        return None;
    }
    let end = match kind {
        Private::Account => line.find(['\n', '\r', '"', '\\', '<', ',']).unwrap_or(line.len()),
        Private::Serial => line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(line.len()),
        Private::Host | Private::User => {
            line.find(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c))).unwrap_or(line.len())
        }
    };
    let value = line.get(..end)?.trim();
    match kind {
        Private::Account => {
            let value = value.split(" As of ").next().unwrap_or(value).trim();
            (value.len() < 120 && !value.is_empty()).then_some(value)
        }
        Private::Serial => {
            ((4..=40).contains(&value.len()) && value.contains(|c: char| c.is_ascii_digit())).then_some(value)
        }
        Private::Host | Private::User => (value.len() < 120).then_some(value),
    }
}

/// How many bytes of such characters there are; of backslashes those alone that escape a quote.
fn between_label_and_value(rest: &str, between: &str) -> usize {
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let escapes = c == '\\' && matches!(chars.peek(), Some((_, '"' | '\\')));
        if !escapes && !between.contains(c) {
            return at;
        }
    }
    rest.len()
}

/// `word` where it is not part of a longer one.
fn replaced_alone(text: &str, word: &str, with: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(word) {
        let end = at + word.len();
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let mut ahead = text.get(..at).unwrap_or_default().chars().rev();
        let escape = matches!((ahead.next(), ahead.next()), (Some('n' | 'r' | 't'), Some('\\')));
        let after = text.get(end..).and_then(|after| after.chars().next());
        let joined = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        if at < from || (joined(before) && !escape) || joined(after) {
            continue;
        }
        out.push_str(text.get(from..at).unwrap_or_default());
        out.push_str(with);
        from = end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// Each longest run of such characters, changed or left; with the character before it.
fn runs(
    text: &str,
    allowed: impl Fn(char) -> bool,
    mut change: impl FnMut(&str, Option<char>) -> Option<String>,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(start) = rest.find(&allowed) {
        let (skipped, tail) = rest.split_at(start);
        out.push_str(skipped);
        before = skipped.chars().next_back().or(before);
        let end = tail.find(|c| !allowed(c)).unwrap_or(tail.len());
        let (mut run, tail) = tail.split_at(end);
        // A line end within JSON is no part of a word.
        if before == Some('\\') && run.starts_with(['n', 'r', 't']) {
            let (escape, word) = run.split_at(1);
            out.push_str(escape);
            (run, before) = (word, Some('\n'));
        } else if ["\\n", "\\r", "\\t"].iter().any(|escape| skipped.ends_with(escape)) {
            before = Some('\n');
        }
        match change(run, before) {
            Some(changed) => out.push_str(&changed),
            None => out.push_str(run),
        }
        before = run.chars().next_back().or(before);
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Keys and certificates as text, whole.
fn without_pem(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("-----BEGIN ") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        out.push_str(SECRET);
        let end = after.find("-----END ").and_then(|end| {
            let dashes = after.get(end + 9..)?.find("-----")?;
            Some(end + 9 + dashes + 5)
        });
        rest = end.and_then(|end| after.get(end..)).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// What stands behind `password`, `secret` and their like, and in the headers of a login.
fn without_labelled(text: &str) -> String {
    let mut out = text.to_owned();
    for label in SECRET_LABELS {
        let (mut from, mut done) = (0, String::with_capacity(out.len()));
        let lower = out.to_ascii_lowercase();
        while let Some(at) = lower.get(from..).and_then(|rest| rest.find(label)).map(|at| from + at) {
            let end = at + label.len();
            let rest = out.get(end..).unwrap_or_default();
            let alone = !lower.get(..at).and_then(|b| b.chars().next_back()).is_some_and(|c| c.is_ascii_alphanumeric());
            let skipped = between_label_and_value(rest, " \t:=\"'>");
            let mut start = end + skipped;
            let numbered = |text: &str| {
                let mut chars = text.chars();
                chars.next().is_some_and(|c| c.is_ascii_digit()) && chars.next() == Some(' ')
            };
            if out.get(start..).is_some_and(numbered) {
                start += 2;
            }
            let value = out.get(start..).unwrap_or_default();
            let length = value.find(|c: char| c.is_whitespace() || "\"'<\\,;".contains(c)).unwrap_or(value.len());
            if alone && skipped > 0 && length > 0 {
                done.push_str(out.get(from..start).unwrap_or_default());
                done.push_str(SECRET);
                from = start + length;
            } else {
                done.push_str(out.get(from..end).unwrap_or_default());
                from = end;
            }
        }
        done.push_str(out.get(from..).unwrap_or_default());
        out = done;
    }
    let header = |line: &str| {
        let lower = line.trim_start().to_ascii_lowercase();
        ["authorization: basic", "authorization: bearer", "authorization: digest", "cookie:", "set-cookie:"]
            .iter()
            .any(|header| lower.starts_with(header))
    };
    let line = |line: &str| match line.split_once(':') {
        Some((name, _)) if header(line) => format!("{name}: {SECRET}{}", if line.ends_with('\n') { "\n" } else { "" }),
        _ => line.to_owned(),
    };
    out.split_inclusive('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(text: &str) -> String {
        let mut scrub = Scrub::new(["Tr0ub4dor&3".to_owned()]);
        scrub.word(Private::User, "slpcol");
        scrub.word(Private::Host, "edge-berlin-01");
        scrub.learn(text);
        scrub.text(text)
    }

    #[test]
    fn nothing_private_gets_through() {
        let text = "edge-berlin-01#show version\nedge-berlin-01 uptime is 2 weeks\nProcessor board ID FOC2145X0AB\n\
            UDI: PID:C9300-48T,SN:FOC2145X0AB,UUID:0b1f9d9e-3f2c-4a57-9a35-5f2b1e0c7d11\n\
            {\"udi_serial_number\":\"FOC2145X0AB\",\"p\":\"{\\\"sn\\\":\\\"FCW9999L0ZZ\\\"}\"}\n<sn>FOC2145X0AB</sn>\n\
            enable secret 9 $9$abc$def\nsnmp-server community hush RO\n<password>Tr0ub4dor&amp;3</password>\n\
            said Tr0ub4dor&3x by slpcol from 10.20.30.40:443, fe80::1:2, 00:1b:54:aa:bb:cc and 001b.54aa.bbcc\n\
            Authorization: Basic c2xwY29sOlRyMHVi\nSet-Cookie: nxapi_auth=abcdef\n\
            -----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----\n\
            Smart Account: Example Corp As of Mar 1\nVirtual Account: Branch Berlin\nURL: https://cslu.corp.example/cslu\n\
            contact noc@corp.example\n\"key\":\"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0Z3VS5JJcds3xfn==\"\n";
        let clean = scrubbed(text);
        for private in [
            "edge-berlin",
            "FOC2145X0AB",
            "FCW9999L0ZZ",
            "0b1f9d9e",
            "$9$",
            "hush",
            "Tr0ub4dor",
            "slpcol",
            "10.20.30.40",
            "fe80",
            "1b:54",
            "001b.54aa",
            "c2xw",
            "abcdef",
            "MIIE",
            "Example Corp",
            "Branch Berlin",
            "corp.example",
            "MIIB",
            "noc@",
        ] {
            assert!(!clean.contains(private), "{private} in\n{clean}");
        }
        assert!(clean.contains("https://host-2/cslu") && clean.contains("==\""), "{clean}");
    }

    #[test]
    fn serial_numbers_keep_length_and_make_and_stay_themselves() {
        let clean = scrubbed("SN:FOC2145X0AB then SN:FCW9999L0ZZ, again FOC2145X0AB");
        let words: Vec<&str> = clean.split([':', ' ', ',']).filter(|word| word.len() == 11).collect();
        assert_eq!(words.len(), 3, "{clean}");
        assert_eq!(words[0], words[2]);
        assert_ne!(words[0], words[1]);
        let make = |word: &str| word.chars().map(|c| c.is_ascii_digit()).collect::<Vec<_>>();
        assert_eq!(make(words[0]), make("FOC2145X0AB"));
    }

    #[test]
    fn text_within_json_stays_json() {
        let text =
            r#"{"msg":"x\nrouter-7 uptime is 0\n10.9.8.7 said\nme@corp.example\nPassword\nnext\nSmart Account:\n"}"#;
        let clean = scrubbed(text);
        assert!(serde_json::from_str::<serde_json::Value>(&clean).is_ok(), "{clean}");
        assert!(!["router-7", "10.9.8.7", "me@corp"].iter().any(|private| clean.contains(private)), "{clean}");
        assert!(clean.ends_with(r#"Password\nnext\nSmart Account:\n"}"#), "{clean}");
    }

    #[test]
    fn what_names_nobody_stays() {
        for text in [
            "Sending Hostname: yes\n  Version: 17.09.04\n  Cisco IOS XE Software, Version 17.12.4\n",
            "License Authorization: \n  Status: AUTHORIZED on Nov 20 08:05:00 2026 UTC\n  Time 13:48:07.272\n",
            "regid.2017-03.com.cisco.advantagek9,1.0_38b44f1e-1111-4222-8333-5f2b1e0c7d11\n",
            "URL: https://smartreceiver.cisco.com/licservice/license\nNXOS: version 10.4(5)\n===================================\n",
            "Trust Code Installed: <none>\nSmart Account: <none>\n",
        ] {
            assert_eq!(scrubbed(text), text);
        }
    }
}
