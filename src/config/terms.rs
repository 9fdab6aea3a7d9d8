//! What of `[snapshot]` is about licences: their names, what was bought, and when growth and silence count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use toml::de::DeValue;

use super::raw::{self, Section, duration_in, path_in, whole};
use crate::domain::snapshot::{self, GrowthRule, Tier};

/// The operator's word on licences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The operator's table of licence names.
    pub names: Option<PathBuf>,
    /// What was bought.
    pub entitlements: Option<PathBuf>,
    /// So long without a sign of life, and an instance is a candidate for decommissioning.
    pub silent_after: Duration,
    pub growth: GrowthRule,
    /// The highest tier that may be used, by the name of a Smart or Virtual Account.
    pub allowed_tier: BTreeMap<String, Tier>,
}

impl Default for Terms {
    fn default() -> Self {
        let terms = snapshot::Terms::default();
        Terms {
            names: None,
            entitlements: None,
            silent_after: terms.silent_after.unsigned_abs(),
            growth: terms.growth,
            allowed_tier: BTreeMap::new(),
        }
    }
}

impl Terms {
    pub fn silent_after(&self) -> SignedDuration {
        SignedDuration::try_from(self.silent_after).unwrap_or(SignedDuration::MAX)
    }
}

/// Reads its keys; the table has others, too.
pub(super) fn read(section: &mut Section<'_, '_>, folder: &Path) -> Terms {
    let mut terms = Terms {
        // Whether they are there is told where they are read.
        names: section.optional("names", path_in(folder)),
        entitlements: section.optional("entitlements", path_in(folder)),
        ..Terms::default()
    };
    section.read("silent_after", &mut terms.silent_after, duration_in("1d", "3650d"));
    section.read("growth_early_percent", &mut terms.growth.early_percent, percent);
    section.read("growth_term_percent", &mut terms.growth.term_percent, percent);
    terms.allowed_tier = section.values("allowed_tier", raw::word).into_iter().collect();
    terms
}

fn percent(value: &DeValue<'_>) -> Result<u32, String> {
    whole(100, 1000)(value).map(|percent| percent as u32)
}
