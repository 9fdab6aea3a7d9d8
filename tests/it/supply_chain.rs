//! `deny.toml` held against what cargo would build: bans, licences, sources, wildcards.
//!
//! cargo-deny is the tool for it; this is its strict core, for every machine that has cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn deny() -> toml::Table {
    std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap()
}

fn texts(value: &toml::Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The packages of the build for this kind of machine, all features on.
fn packages() -> Vec<Value> {
    let arguments = ["metadata", "--format-version", "1", "--all-features", "--locked", "--offline"];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Names and sources of every package that the lock file holds, for all platforms.
fn locked() -> Vec<(String, Option<String>)> {
    let lock: toml::Table = std::fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let text = |package: &toml::Value, key: &str| package.get(key).map(|text| text.as_str().unwrap().to_owned());
    let packages = lock["package"].as_array().unwrap();
    packages.iter().map(|package| (text(package, "name").unwrap(), text(package, "source"))).collect()
}

#[test]
fn nothing_banned_is_locked_on_any_platform() {
    let banned: BTreeMap<String, String> = deny()["bans"]["deny"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ban| (ban["crate"].as_str().unwrap().to_owned(), ban["reason"].as_str().unwrap().to_owned()))
        .collect();
    assert!(banned.len() >= 6 && banned.contains_key("openssl-sys"), "{banned:?}");
    for (name, _) in locked() {
        assert_eq!(banned.get(&name), None, "{name} is banned");
    }
}

#[test]
fn everything_comes_from_an_allowed_registry() {
    let allowed: Vec<String> =
        texts(&deny()["sources"]["allow-registry"]).into_iter().map(|url| format!("registry+{url}")).collect();
    let workspace = ["slp-collector", "lab"];
    for (name, source) in locked() {
        match source {
            Some(source) => assert!(allowed.contains(&source), "{name} comes from {source}"),
            None => assert!(workspace.contains(&name.as_str()), "{name} comes from a folder"),
        }
    }
}

#[test]
fn licences_are_allowed_and_all_allowed_ones_needed() {
    let allowed: BTreeSet<String> = texts(&deny()["licenses"]["allow"]).into_iter().collect();
    let mut used = BTreeSet::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let Some(licence) = package["license"].as_str() else { panic!("{name} states no licence") };
        let words = Expression::read(licence).unwrap_or_else(|| panic!("{name}: {licence:?} is not SPDX"));
        match words.needs(&allowed) {
            Some(needed) => used.extend(needed),
            None => panic!("{name} has the licence {licence}, which deny.toml does not allow"),
        }
    }
    assert_eq!(used, allowed, "allowed, but of no use to any package");
}

#[test]
fn no_dependency_takes_any_version() {
    for package in packages().iter().filter(|package| package["source"].is_null()) {
        for dependency in package["dependencies"].as_array().unwrap() {
            let by_path = !dependency["path"].is_null();
            assert!(by_path || dependency["req"] != "*", "{} of {}", dependency["name"], package["name"]);
        }
    }
}

/// A licence expression.
#[derive(Debug, PartialEq)]
enum Expression {
    Licence(String),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

impl Expression {
    /// `OR` binds least, then `AND`; `/` is how `OR` was once written; `A WITH B` is a licence of its own.
    fn read(text: &str) -> Option<Expression> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let tokens: Vec<&str> = spaced.split_whitespace().collect();
        let mut rest = &tokens[..];
        let expression = Self::any(&mut rest)?;
        rest.is_empty().then_some(expression)
    }

    fn any(rest: &mut &[&str]) -> Option<Expression> {
        Self::chain(rest, "OR", Self::all).map(|mut of| if of.len() == 1 { of.remove(0) } else { Expression::Any(of) })
    }

    fn all(rest: &mut &[&str]) -> Option<Expression> {
        Self::chain(rest, "AND", Self::one).map(|mut of| if of.len() == 1 { of.remove(0) } else { Expression::All(of) })
    }

    fn chain(
        rest: &mut &[&str],
        between: &str,
        part: fn(&mut &[&str]) -> Option<Expression>,
    ) -> Option<Vec<Expression>> {
        let mut parts = vec![part(rest)?];
        while rest.first() == Some(&between) {
            *rest = &rest[1..];
            parts.push(part(rest)?);
        }
        Some(parts)
    }

    fn one(rest: &mut &[&str]) -> Option<Expression> {
        let (first, after) = rest.split_first()?;
        *rest = after;
        match *first {
            "(" => {
                let inner = Self::any(rest)?;
                *rest = rest.strip_prefix(&[")"])?;
                Some(inner)
            }
            ")" | "OR" | "AND" | "WITH" => None,
            name => match rest {
                ["WITH", exception, after @ ..] => {
                    *rest = after;
                    Some(Expression::Licence(format!("{name} WITH {exception}")))
                }
                _ => Some(Expression::Licence(name.to_owned())),
            },
        }
    }

    /// The allowed licences under which this may be used; `None` when it may not.
    fn needs(&self, allowed: &BTreeSet<String>) -> Option<BTreeSet<String>> {
        match self {
            Expression::Licence(name) => allowed.contains(name).then(|| BTreeSet::from([name.clone()])),
            Expression::All(of) => {
                let needs: Option<Vec<_>> = of.iter().map(|part| part.needs(allowed)).collect();
                Some(needs?.into_iter().flatten().collect())
            }
            Expression::Any(of) => of.iter().filter_map(|part| part.needs(allowed)).min_by_key(BTreeSet::len),
        }
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_says() {
    let allowed: BTreeSet<String> = ["MIT", "ISC"].map(str::to_owned).into();
    let may = |text: &str| Expression::read(text).map(|expression| expression.needs(&allowed).is_some());
    for (text, expected) in [
        ("MIT", Some(true)),
        ("GPL-3.0", Some(false)),
        ("GPL-3.0 OR MIT", Some(true)),
        ("Apache-2.0/MIT", Some(true)),
        ("MIT AND GPL-3.0", Some(false)),
        ("MIT AND ISC OR GPL-3.0", Some(true)),
        ("GPL-3.0 OR MIT AND GPL-2.0", Some(false)),
        ("(GPL-3.0 OR MIT) AND ISC", Some(true)),
        ("MIT WITH a-condition", Some(false)),
        ("", None),
        ("MIT OR", None),
        ("(MIT", None),
        ("MIT ISC", None),
    ] {
        assert_eq!(may(text), expected, "{text}");
    }
}
