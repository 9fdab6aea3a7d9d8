//! `[violations]`, and `[sites.NAME.violations]` over it: what is looked for, and how severe it is.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use toml::de::DeValue;

use super::mistake::rather;
use super::raw::{self, Section, duration_in};
use crate::domain::settings::Word;
use crate::domain::violation::{Kind, SiteRules};

/// Reads a table over what holds before.
pub(super) fn read(mut section: Section<'_, '_>, rules: &mut SiteRules) {
    section.read("off", &mut rules.off, kinds);
    let mut severities = section.section("severity");
    for (kind, word) in Kind::ALL.iter().zip(Kind::WORDS) {
        if let Some(severity) = severities.optional(word, raw::word) {
            rules.severity.insert(*kind, severity);
        }
    }
    severities.finish(&[]);
    section.read("ack_missing_after", &mut rules.ack_missing_after, days);
    section.read("collection_stale_after", &mut rules.collection_stale_after, days);
    section.read("expected_policy", &mut rules.expected_policy, |value| raw::text(value).map(Some));
    section.finish(&[]);
}

fn days(value: &DeValue<'_>) -> Result<SignedDuration, String> {
    let duration: Duration = duration_in("1h", "365d")(value)?;
    SignedDuration::try_from(duration).map_err(|_| "write a duration from 1h to 365d".to_owned())
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::of_word(name).map_err(|_| format!("{:?} is no kind; {}", raw::printable(name), rather(name, Kind::WORDS)))
}

/// A list of kinds; an empty one switches everything on again.
fn kinds(value: &DeValue<'_>) -> Result<BTreeSet<Kind>, String> {
    let instead = || r#"write a list of kinds such as ["not-slp", "orphaned"]"#.to_owned();
    let list = value.as_array().ok_or_else(instead)?;
    list.iter().map(|item| kind(item.get_ref().as_str().ok_or_else(instead)?)).collect()
}
