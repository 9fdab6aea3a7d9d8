//! Who may import whom, read from the sources. `docs/architecture.md` says why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rooms of `src/`, in the order of the data's way, and whom each may name. Itself is understood.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    // Digests and words of the domain are its vocabulary; nothing else is.
    ("tls", &["domain"]),
    ("schedule", &["domain"]),
    ("secret", &["domain"]),
    ("config", &["domain", "schedule", "secret", "tls"]),
    ("device", &["domain", "tls"]),
    ("ledger", &["domain"]),
    ("exchange", &["domain"]),
    ("inspect", &["domain", "exchange"]),
    ("web", &["domain", "tls", "config", "secret"]),
    ("notify", &["domain", "tls", "config", "secret", "web"]),
    ("upstream", &["domain", "tls", "config", "secret", "web"]),
    ("receiver", &["domain", "config", "secret", "web"]),
    ("metrics", &["domain"]),
    (
        "flow",
        &[
            "domain", "device", "ledger", "exchange", "notify", "upstream", "receiver", "tls", "config", "schedule",
            "secret", "metrics",
        ],
    ),
    ("http", &["domain", "ledger", "metrics"]),
    ("control", &["domain", "flow", "ledger", "config", "secret"]),
    (
        "daemon",
        &[
            "domain", "device", "ledger", "exchange", "tls", "config", "schedule", "secret", "metrics", "flow", "http",
            "control",
        ],
    ),
    ("cli", &["*"]),
];

/// Crates that few rooms may name, so that they can be exchanged or watched in one place.
const KEPT_TO: &[(&str, &[&str])] = &[
    ("rustls", &["tls"]),
    ("tokio_rustls", &["tls"]),
    ("rustls_native_certs", &["tls"]),
    ("sled", &["ledger"]),
    ("chrono", &["schedule"]),
    ("cron", &["schedule"]),
    ("reqwest", &["device", "web", "notify", "upstream", "receiver"]),
    ("hyper", &["http", "receiver"]),
    ("hyper_util", &["http"]),
    ("russh", &["device"]),
    ("russh_sftp", &["device"]),
    ("lettre", &["notify"]),
    ("parquet", &["exchange"]),
];

const MOST_LINES: usize = 700;

/// A word or a sign of source text, without comments and without what stands in quotes.
type Token = String;

fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    let is = |at: usize, c: char| text.get(at) == Some(&c);
    while let Some(&c) = text.get(at) {
        if c == '/' && is(at + 1, '/') {
            while at < text.len() && !is(at, '\n') {
                at += 1;
            }
        } else if c == '/' && is(at + 1, '*') {
            let mut depth = 0;
            loop {
                if is(at, '/') && is(at + 1, '*') {
                    (depth, at) = (depth + 1, at + 2);
                } else if is(at, '*') && is(at + 1, '/') {
                    (depth, at) = (depth - 1, at + 2);
                } else {
                    at += 1;
                }
                if depth == 0 || at >= text.len() {
                    break;
                }
            }
        } else if c == 'r' && raw_string(&text, at).is_some() {
            at = raw_string(&text, at).unwrap();
        } else if c == '"' {
            at += 1;
            while at < text.len() && !is(at, '"') {
                at += if is(at, '\\') { 2 } else { 1 };
            }
            at += 1;
        } else if c == '\'' && (is(at + 1, '\\') || is(at + 2, '\'')) {
            at += if is(at + 1, '\\') { 3 } else { 2 };
            while at < text.len() && !is(at, '\'') {
                at += 1;
            }
            at += 1;
        } else if c.is_alphanumeric() || c == '_' {
            let from = at;
            while text.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
                at += 1;
            }
            tokens.push(text[from..at].iter().collect());
        } else if c == ':' && is(at + 1, ':') {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            at += 1;
        }
    }
    tokens
}

/// Where a raw string that begins here ends.
fn raw_string(text: &[char], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    if before.is_some_and(|c| (c.is_alphanumeric() || *c == '_') && *c != 'b') {
        return None;
    }
    let hashes = text[at + 1..].iter().take_while(|c| **c == '#').count();
    if text.get(at + 1 + hashes) != Some(&'"') {
        return None;
    }
    let mut end = at + 2 + hashes;
    while end < text.len() {
        if text[end] == '"' && text[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(end + 1 + hashes);
        }
        end += 1;
    }
    Some(end)
}

/// The names that a path whose first part ended before `at` goes on with: one, or those of a group.
fn heads(tokens: &[Token], at: usize) -> Vec<&str> {
    let Some(first) = tokens.get(at) else { return Vec::new() };
    if first != "{" {
        return vec![first];
    }
    let (mut depth, mut heads, mut fresh) = (0, Vec::new(), false);
    for token in &tokens[at..] {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => {
                fresh = true;
                continue;
            }
            name if depth == 1 && (fresh || heads.is_empty()) => heads.push(name),
            _ => {}
        }
        fresh = false;
        if depth == 0 {
            break;
        }
    }
    heads
}

/// The rooms that a file names. `depth`: how many modules it lies below the crate's root.
fn named(source: &str, depth: usize) -> BTreeSet<String> {
    let tokens = tokens(source);
    let known: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    let mut named = BTreeSet::new();
    for at in 0..tokens.len() {
        if tokens[at] == "crate" && tokens.get(at + 1).is_some_and(|token| token == "::") {
            named.extend(heads(&tokens, at + 2).into_iter().map(str::to_owned));
        } else if tokens[at] == "crate" && at > 0 && tokens[at - 1] == "use" {
            named.insert("the whole crate under another name".to_owned());
        } else if tokens[at] == "super" && (at < 2 || tokens[at - 1] != "::") {
            let mut supers = 1;
            while tokens[at + 1..].get(2 * supers - 1).is_some_and(|token| token == "super") {
                supers += 1;
            }
            if supers >= depth {
                let reached = heads(&tokens, at + 2 * supers).into_iter().filter(|head| known.contains(head));
                named.extend(reached.map(str::to_owned));
            }
        }
    }
    named
}

/// The crates of [`KEPT_TO`] that a file names.
fn crates(source: &str) -> BTreeSet<&'static str> {
    let tokens = tokens(source);
    let mut found = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |before| tokens[before].as_str());
        let path = tokens.get(at + 1).is_some_and(|next| next == "::") && before != "::";
        let imported = before == "use" || before == "crate";
        found.extend(KEPT_TO.iter().filter(|(kept, _)| kept == token && (path || imported)).map(|(kept, _)| *kept));
    }
    found
}

/// What a file of a room does that it may not.
fn violations(file: &str, source: &str) -> Vec<String> {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let (room, depth) = (path.split('/').next().unwrap_or(path), path.split('/').count());
    let mut violations = Vec::new();
    if !source.starts_with("//!") {
        violations.push(format!("{file} does not begin with what it is for (`//!`)"));
    }
    let lines = source.lines().count();
    if lines > MOST_LINES {
        violations.push(format!("{file} has {lines} lines, more than {MOST_LINES}: split it by noun"));
    }
    for found in crates(source) {
        let owners = KEPT_TO.iter().find(|(kept, _)| *kept == found).map_or(&[][..], |(_, owners)| *owners);
        if !owners.contains(&room) {
            violations.push(format!("{file} names {found}, which only {owners:?} may"));
        }
    }
    if room == "lib" || room == "main" {
        return violations;
    }
    match ROOMS.iter().find(|(known, _)| *known == room) {
        None => violations.push(format!("{file} is a room that this test does not know")),
        Some((_, allowed)) => {
            for other in named(source, depth) {
                if other != room && !allowed.contains(&"*") && !allowed.contains(&other.as_str()) {
                    violations.push(format!("{file} names {other}; {room} may only name {allowed:?}"));
                }
            }
        }
    }
    violations
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of `src/`, by its path within.
fn sources() -> BTreeMap<String, String> {
    let src = root().join("src");
    let mut sources = BTreeMap::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
                sources.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

#[test]
fn nobody_imports_whom_it_may_not() {
    let sources = sources();
    assert!(sources.len() > 50 && sources.contains_key("flow/mod.rs"), "{:?}", sources.keys());
    let violations: Vec<String> = sources.iter().flat_map(|(file, source)| violations(file, source)).collect();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

/// Its interface moves with every version, so it is wrapped once.
#[test]
fn russh_is_named_in_one_place() {
    let named: Vec<String> =
        sources().into_iter().filter(|(_, source)| crates(source).contains("russh")).map(|(file, _)| file).collect();
    let wrapped = |file: &String| file == "device/ssh.rs" || file.starts_with("device/ssh/");
    assert!(!named.is_empty() && named.iter().all(wrapped), "{named:?}");
}

#[test]
fn every_room_is_in_the_crate_and_the_table_in_the_documentation() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let map = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let rooms: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    let declared: BTreeSet<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or(line.strip_prefix("mod "))?.strip_suffix(';'))
        .collect();
    assert_eq!(declared, rooms);
    for (room, allowed) in ROOMS {
        let whom = match allowed {
            [] => "nobody".to_owned(),
            ["*"] => "everybody".to_owned(),
            names => names.join(", "),
        };
        let row = format!("| `{room}` | {whom} |");
        assert!(map.contains(&row), "docs/architecture.md lacks the row: {row}");
    }
}

#[test]
fn a_violation_is_found_in_whatever_form_it_is_written() {
    let told = |file: &str, body: &str| violations(file, &format!("//! Made up.\n{body}"));
    for (file, body) in [
        ("domain/plan.rs", "use crate::ledger::Ledger;"),
        ("domain/plan.rs", "use crate::{domain::fleet::{Fleet, Answer}, flow};"),
        ("domain/plan.rs", "use crate::{\n    domain::fleet::Fleet,\n    ledger::{self, Ledger},\n};"),
        ("domain/plan.rs", "use super::super::ledger;"),
        ("domain/mod.rs", "use super::ledger;"),
        ("tls.rs", "fn f() { super::flow::poll::poll() }"),
        ("device/http.rs", "fn f() { let x = crate :: config::Config::load(p); }"),
        ("ledger/mod.rs", "use crate as everything;"),
        ("exchange/seal.rs", "let text = \"//\"; use crate::device::Target;"),
        ("exchange/seal.rs", "let c = '\"'; use crate::device::Target; // \""),
        ("exchange/seal.rs", "let raw = r#\"a \" b\"#; fn f<'a>(x: &'a str) {} use crate::device::Target;"),
        ("flow/mod.rs", "use rustls::ClientConfig;"),
        ("flow/mod.rs", "fn f(x: sled::Db) {}"),
        ("config/read.rs", "use chrono as c;"),
        ("notify/mail.rs", "use crate::flow::House;"),
        ("flow/tell.rs", "use lettre::Message;"),
        ("garage.rs", "fn f() {}"),
    ] {
        assert_eq!(told(file, body).len(), 1, "{file}: {body}: {:?}", told(file, body));
    }
    for (file, body) in [
        ("domain/plan.rs", "use crate::domain::fleet::Fleet; use super::deadline;"),
        ("domain/plan.rs", "/// As [`crate::ledger`] does. /* use crate::flow; */\nfn f() { g(\"crate::cli::main\") }"),
        ("domain/plan.rs", "/* /* use crate::flow; */ use crate::cli; */ let c = 'c'; let s = b\"crate::cli\";"),
        ("flow/poll.rs", "use super::{Error, House}; use crate::{device, ledger::Ledger};"),
        ("tls.rs", "use rustls::ClientConfig;\n#[cfg(test)]\nmod tests { use super::*; use super::Trust; }"),
        ("ledger/sled_register.rs", "use sled::Db; let sled = 1; f(sled);"),
        ("device/http.rs", "fn f() { x.rustls(); }"),
        ("daemon.rs", "use crate::flow; use crate::control;"),
        ("cli/run.rs", "use crate::daemon; use super::Stop;"),
    ] {
        assert_eq!(told(file, body), Vec::<String>::new(), "{file}: {body}");
    }
    assert_eq!(violations("tls.rs", "fn f() {}").len(), 1);
    assert_eq!(told("tls.rs", &"\n".repeat(MOST_LINES)).len(), 1);
}

#[test]
fn the_readme_tells_the_test_command_that_ci_runs() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let run = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    let commands: BTreeSet<&str> =
        readme.lines().map(str::trim).filter(|line| line.starts_with("cargo test")).collect();
    let [command] = Vec::from_iter(commands)[..] else { panic!("README.md has not one `cargo test` on a line") };
    assert!(run.lines().any(|line| line.trim().ends_with(command)), ".ci/run does not run `{command}`");
}
