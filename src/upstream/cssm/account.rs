//! Smart Accounts and Virtual Accounts, as the API client may see them, and the numbers by which requests name them.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::instance::Account;
use crate::domain::submission::Route;
use crate::upstream::Error;

/// A Smart Account, as the API client may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmartAccount {
    pub id: String,
    pub domain: String,
    pub name: String,
    pub virtual_accounts: Vec<VirtualAccount>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualAccount {
    pub id: String,
    pub name: String,
}

/// The numbers by which requests name a Virtual Account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    pub smart: String,
    pub virtual_: String,
}

impl SmartAccount {
    /// Is the account of the route this one, or one in it?
    pub fn holds(&self, route: &Route) -> bool {
        let named = |one: &VirtualAccount| route.takes_virtual(Some(&one.name));
        self.is(&route.smart_account) && (route.virtual_account.is_none() || self.virtual_accounts.iter().any(named))
    }

    /// Does a device mean this one by that name?
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.domain.eq_ignore_ascii_case(name)
    }
}

impl Ids {
    /// Samples name CSLU, a script or the device as the system that asks; we say who we are and no host name.
    pub(super) fn headers(&self) -> Result<HeaderMap, Error> {
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|_| Error::Ours("an account's number is no header".to_owned()))
        };
        Ok(HeaderMap::from_iter([
            (HeaderName::from_static("x-csw-smart-account-id"), value(&self.smart)?),
            (HeaderName::from_static("x-csw-virtual-account-id"), value(&self.virtual_)?),
            (
                HeaderName::from_static("x-csw-requesting-system"),
                HeaderValue::from_static(r#"{"display_name":"slp-collector"}"#),
            ),
        ]))
    }
}

/// The numbers of an account, or a sentence why there are none.
pub fn ids(accounts: &[SmartAccount], account: &Account) -> Result<Ids, String> {
    let Some(smart) = &account.smart_account else { return Err("its Smart Account is not known".to_owned()) };
    let Some(virtual_) = &account.virtual_account else {
        return Err(format!("its Virtual Account in '{smart}' is not known; set virtual_account in the inventory"));
    };
    let Some(found) = accounts.iter().find(|found| found.is(smart)) else {
        return Err(format!("the API client sees no Smart Account '{smart}'"));
    };
    let named = found.virtual_accounts.iter().find(|one| one.name.eq_ignore_ascii_case(virtual_));
    match named {
        Some(one) => Ok(Ids { smart: found.id.clone(), virtual_: one.id.clone() }),
        None => Err(format!("the API client sees no Virtual Account '{virtual_}' in '{smart}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_or_domain() {
        let inside = vec![VirtualAccount { id: "22".into(), name: "Branch".into() }];
        let (id, domain, name) = ("11".to_owned(), "example.com".to_owned(), "Example Ltd".to_owned());
        let all = [SmartAccount { id, domain, name, virtual_accounts: inside }];
        let account = |smart: &str, virtual_: Option<&str>| Account {
            smart_account: Some(smart.into()),
            virtual_account: virtual_.map(str::to_owned).map(Into::into),
        };
        let found = Ok(Ids { smart: "11".into(), virtual_: "22".into() });
        assert_eq!(ids(&all, &account("Example.com", Some("branch"))), found);
        assert_eq!(ids(&all, &account("Example Ltd", Some("Branch"))), found);
        for (account, told) in [
            (account("example.com", None), "inventory"),
            (account("example.com", Some("Lab")), "'Lab'"),
            (account("example.net", Some("Branch")), "'example.net'"),
            (Account::default(), "Smart Account"),
        ] {
            assert!(ids(&all, &account).unwrap_err().contains(told));
        }
    }
}
