//! Which part of a subscription a licence is: the network stack, DNA, or something added to them.

use serde::{Deserialize, Serialize};

use crate::domain::settings::words;

/// A licence's family, where its name says it or the operator's table does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    Network,
    Dna,
    /// No name says so in words of its own: only the operator's table tells it.
    AddOn,
}
words!(Family { Network = "network", Dna = "dna", AddOn = "add-on" });

impl Family {
    /// The one family that a name or a tag holds as a word of its own: `network-advantage`, `C9300_48P_NW_Advantagek9`,
    /// `dna-advantage`, `AIR-DNA-A`. Inferred from names that devices state; Cisco publishes no list.
    pub fn in_words(text: &str) -> Option<Family> {
        let has = |words: &[&str]| {
            let mut parts = text.split(|letter: char| !letter.is_ascii_alphanumeric());
            parts.any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
        };
        match (has(&["network", "nw"]), has(&["dna"])) {
            (true, false) => Some(Family::Network),
            (false, true) => Some(Family::Dna),
            (true, true) | (false, false) => None,
        }
    }
}
