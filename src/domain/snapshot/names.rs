//! What a licence is called, and its tier: what devices state first, the operator's table for the rest.
//!
//! Reports name a licence by its tag only. What a tag is called is, in this order:
//!
//! 1. What a device says of both together: asked by model, by `show license tech support`, or by the list of its reports,
//!    which has the number of a report beside the name (and that report has the tag). It holds for the whole fleet.
//! 2. What an authorization code that came back from Cisco says of the tag.
//! 3. On the device itself, a name that it uses and that the tag says in its own words (`dna-advantage` and
//!    `…c9300_dna_advantage,1.0_…`), or the short tag that the command line prints beside it (`DNA_P_10M_P`).
//! 4. The operator's table.
//!
//! What none of them says stays unknown.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Family;
use crate::domain::fleet::Fleet;
use crate::domain::report::EntitlementTag;
use crate::domain::settings::words;
use crate::domain::timeline::{Called, Named};

/// A licence's level, where its name says it in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    Essentials,
    Advantage,
    Premier,
}
words!(Tier { Essentials = "essentials", Advantage = "advantage", Premier = "premier" });

impl Tier {
    /// The one level that a name or a tag holds as a word of its own or a part of one (`NW_Advantagek9`).
    pub fn in_words(text: &str) -> Option<Tier> {
        use crate::domain::settings::Word;
        let text = text.to_ascii_lowercase();
        let mut held = Tier::ALL.iter().copied().filter(|tier| text.contains(tier.word()));
        held.next().filter(|_| held.next().is_none())
    }
}

/// What is known of a licence beside its tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Naming {
    pub name: Option<Arc<str>>,
    /// In the device's words: `Perpetual`, `Subscription`.
    pub license_type: Option<Arc<str>>,
    pub tier: Option<Tier>,
    pub family: Option<Family>,
}

impl Naming {
    /// Fills in what is not known from another source.
    pub fn or(self, other: &Naming) -> Naming {
        Naming {
            name: self.name.or_else(|| other.name.clone()),
            license_type: self.license_type.or_else(|| other.license_type.clone()),
            tier: self.tier.or(other.tier),
            family: self.family.or(other.family),
        }
    }
}

/// The operator's own table: by tag, or by the name that devices use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorNames(BTreeMap<String, Naming>);

impl FromIterator<(String, Naming)> for OperatorNames {
    fn from_iter<I: IntoIterator<Item = (String, Naming)>>(rows: I) -> Self {
        OperatorNames(rows.into_iter().collect())
    }
}

/// What was thought out already: by tag, and by what the instance itself said.
pub(super) type Namings = HashMap<(Option<EntitlementTag>, Naming), Naming>;

/// What the whole fleet says of tags, and the operator's table.
#[derive(Clone, Debug, Default)]
pub(super) struct Names<'a> {
    stated: BTreeMap<&'a EntitlementTag, Naming>,
    /// By what devices call it in the lists of their reports, and answers.
    called: BTreeMap<&'a EntitlementTag, &'a Named>,
    operator: OperatorNames,
}

impl<'a> Names<'a> {
    /// What any device states of a tag holds for all and at any time: a tag is one licence. Earlier folds come first.
    pub(super) fn of([then, now]: [&'a Fleet; 2], called: &'a Called, operator: &OperatorNames) -> Names<'a> {
        let mut stated: BTreeMap<&EntitlementTag, Naming> = BTreeMap::new();
        let mut state = |tag: &'a Option<EntitlementTag>, name: &Option<Arc<str>>, kind: &Option<Arc<str>>| {
            if let Some(tag) = tag.as_ref().filter(|tag| tag.0.starts_with("regid.")) {
                let known = stated.entry(tag).or_default();
                if known.name.is_none() {
                    known.name.clone_from(name);
                }
                if known.license_type.is_none() {
                    known.license_type.clone_from(kind);
                }
            }
        };
        let again = Some(now).filter(|now| !std::ptr::eq(*now, then));
        let instances = std::iter::once(then).chain(again).flat_map(|fleet| fleet.instances.values());
        for device in instances.filter_map(|instance| instance.state.as_ref()) {
            for license in &device.licenses {
                state(&license.entitlement_tag, &license.name, &license.license_type);
            }
            for reserved in &device.reserved {
                state(&reserved.entitlement_tag, &reserved.name, &reserved.license_type);
            }
            for allowed in device.authorizations.iter().flat_map(|codes| &codes.allowed) {
                state(&allowed.entitlement_tag, &allowed.name, &allowed.license_type);
            }
        }
        let called: BTreeMap<&EntitlementTag, &Named> = called.each().collect();
        for (tag, named) in &called {
            let by_device =
                Naming { name: named.by_devices().first().map(|name| name.as_str().into()), ..Naming::default() };
            let by_answer = named.by_answers().map(|answered| Naming {
                name: answered.name.as_deref().map(Arc::from),
                license_type: answered.license_type.as_deref().map(Arc::from),
                ..Naming::default()
            });
            let known = stated.remove(tag).unwrap_or_default();
            stated.insert(tag, known.or(&by_device).or(&by_answer.unwrap_or_default()));
        }
        Names { stated, called, operator: operator.clone() }
    }

    /// What is known of a licence; `said` by the instance itself. It is thought out once for all that are `known`.
    pub(super) fn naming(&self, tag: Option<&EntitlementTag>, said: &Naming, known: &mut Namings) -> Naming {
        let key = (tag.cloned(), said.clone());
        known.entry(key).or_insert_with(|| self.thought_out(tag, said)).clone()
    }

    fn thought_out(&self, tag: Option<&EntitlementTag>, said: &Naming) -> Naming {
        let stated = tag.and_then(|tag| self.stated.get(tag));
        let named = stated.map_or_else(|| said.clone(), |stated| said.clone().or(stated));
        let words = || named.name.as_deref().and_then(Tier::in_words);
        let tier = named.tier.or_else(words).or_else(|| Tier::in_words(product(tag?)));
        let words = || named.name.as_deref().and_then(Family::in_words);
        let family = named.family.or_else(words).or_else(|| Family::in_words(product(tag?)));
        let named = Naming { tier, family, ..named };
        let keys = tag.map(|tag| tag.0.clone()).into_iter().chain(named.name.clone());
        let table = keys.filter_map(|key| self.operator.0.get(&*key));
        table.fold(named, Naming::or)
    }

    /// Which of the names that an instance uses is the one of that tag; with each the short tags that it prints for it.
    pub(super) fn name_of<'n>(
        &self,
        tag: &EntitlementTag,
        names: impl Iterator<Item = (&'n str, &'n BTreeSet<&'n str>)>,
    ) -> Option<&'n str> {
        let called =
            |naming: Option<&Naming>, name: &str| naming.and_then(|naming| naming.name.as_deref()) == Some(name);
        let by_devices = self.called.get(tag).map(|named| named.by_devices()).unwrap_or_default();
        let stated = |name: &str| {
            by_devices.iter().any(|known| known == name)
                || called(self.stated.get(tag), name)
                || called(self.operator.0.get(tag.0.as_ref()), name)
        };
        let sure =
            |name: &str, short: &BTreeSet<&str>| (stated(name), short.iter().any(|short| alike(short, product(tag))));
        let fits = names.filter_map(|(name, short)| {
            let sure = sure(name, short);
            (sure != (false, false) || same_licence(name, tag)).then_some((sure, name))
        });
        // Of a tag that says two of them the longer says more.
        fits.max_by_key(|(sure, name)| (*sure, name.len(), std::cmp::Reverse(*name))).map(|(_, name)| name)
    }
}

/// Does the tag say the name in its own words, with or without the platform before them? Marks between the words and
/// their case do not matter.
pub fn same_licence(name: &str, tag: &EntitlementTag) -> bool {
    let product = product(tag);
    let behind = product.split_once(['_', '-']).map(|(_, behind)| behind);
    plain(name).next().is_some() && (alike(product, name) || behind.is_some_and(|behind| alike(behind, name)))
}

fn alike(one: &str, other: &str) -> bool {
    plain(one).eq(plain(other))
}

fn plain(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().filter(u8::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase())
}

/// `c9300_dna_advantage` of `regid.2017-05.com.cisco.c9300_dna_advantage,1.0_…`.
fn product(tag: &EntitlementTag) -> &str {
    let name = tag.0.split(',').next().unwrap_or_default();
    name.rsplit("com.cisco.").next().unwrap_or(name)
}
