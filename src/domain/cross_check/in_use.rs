//! How much of each licence is in use by the devices' own word, by account: to lay beside an upstream's count.
//!
//! It is laid beside and no more. An upstream counts what was reported to it some time ago, and of devices that nobody
//! polls here, so that another number there is no difference to pursue.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Scope, Watched};
use crate::domain::bundle;
use crate::domain::fleet::Fleet;
use crate::domain::instance::Account;
use crate::domain::plan::watched_as;

/// Counts at the last poll of every instance that is not retired; a pair or stack counts once, as it does itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InUse(BTreeMap<Account, HashMap<String, u64>>);

impl InUse {
    /// `watched` is in the order of names. What is in no known account is left out.
    pub fn of(fleet: &Fleet, watched: &[Watched]) -> InUse {
        let mut by_account: BTreeMap<Account, HashMap<String, u64>> = BTreeMap::new();
        for instance in fleet.instances.values().filter(|instance| instance.retired.is_none()) {
            let Some(state) = &instance.state else { continue };
            let device = instance.device.as_ref().and_then(|name| watched_as(watched, name));
            let account = bundle::account(device, Some(instance));
            if account.smart_account.is_none() {
                continue;
            }
            let counts = by_account.entry(account).or_default();
            for license in &state.licenses {
                let Some(count) = license.count else { continue };
                let tag = license.entitlement_tag.as_ref().map(|tag| plain(&tag.0));
                let names: BTreeSet<String> = license.name.as_deref().map(plain).into_iter().chain(tag).collect();
                for name in names {
                    let sum = counts.entry(name).or_default();
                    *sum = sum.saturating_add(count);
                }
            }
        }
        InUse(by_account)
    }

    /// The count of a licence in an account there, or in all Virtual Accounts of it where it names none. `names`: the tag
    /// and the name that it has there, the surest first. `None`: no device of that account tells a licence so called.
    pub fn count(&self, scope: &Scope, there: &Account, names: &[&str]) -> Option<u64> {
        let told = |here: &Account| {
            let lacks = there.virtual_account.is_some() && here.virtual_account.is_none();
            !lacks && there.smart_account.is_some() && !scope.in_our_words(there, here).contradicts(here)
        };
        let inside: Vec<&HashMap<String, u64>> =
            self.0.iter().filter(|(here, _)| told(here)).map(|(_, counts)| counts).collect();
        names.iter().map(|name| plain(name)).find_map(|name| {
            let counts = inside.iter().filter_map(|counts| counts.get(&name).copied());
            counts.reduce(u64::saturating_add)
        })
    }
}

fn plain(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, add, one, scope, udi};
    use super::*;
    use crate::domain::state::License;

    fn license(name: &str, tag: Option<&str>, count: u64) -> License {
        let entitlement_tag = tag.map(|tag| crate::domain::report::EntitlementTag(tag.into()));
        License { name: Some(name.to_owned()), entitlement_tag, count: Some(count), ..License::default() }
    }

    #[test]
    fn counts_add_up_by_account_and_are_found_by_tag_or_name() {
        let mut fleet = one(None);
        (1..4).for_each(|number| add(&mut fleet, number, None));
        let mut has = |number: usize, virtual_account: Option<&str>, licenses: Vec<License>| {
            let state = fleet.instances.get_mut(&udi(number)).unwrap().state.as_mut().unwrap();
            state.virtual_account = virtual_account.map(str::to_owned).map(Into::into);
            state.licenses = licenses.into_iter().map(Into::into).collect();
        };
        has(0, Some("Branch"), vec![license("network-advantage", Some("regid.na"), 2), license("dna", None, 1)]);
        has(1, Some("branch"), vec![license("Network-Advantage", Some("regid.na"), 3)]);
        has(2, Some("Lab"), vec![license("network-advantage", None, 40)]);
        has(3, None, vec![license("network-advantage", Some("regid.na"), 500)]);
        let in_use = InUse::of(&fleet, &[]);
        let count = |there: &Account, names: &[&str]| in_use.count(&scope(), there, names);
        let branch = account("example", "Branch");
        assert_eq!(count(&branch, &["regid.na", "network-advantage"]), Some(5));
        assert_eq!(count(&branch, &["regid.other", "NETWORK-ADVANTAGE "]), Some(5));
        assert_eq!((count(&branch, &["dna"]), count(&branch, &["dna-premier"])), (Some(1), None));
        assert_eq!(count(&account("example", "Elsewhere"), &["dna"]), None);
        let whole = Account { virtual_account: None, ..branch };
        assert_eq!(count(&whole, &["network-advantage"]), Some(545));
        assert_eq!(count(&Account::default(), &["network-advantage"]), None, "nobody says whose it is");
        // The Smart Account's domain is as good as its name.
        let by_domain = Scope { smart_accounts: vec![("Example".to_owned(), "example.com".to_owned())], ..scope() };
        assert_eq!(in_use.count(&by_domain, &account("example.com", "Lab"), &["network-advantage"]), Some(40));
    }
}
