//! The Smart Account and Virtual Account a device belongs to, where anybody knows them.

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    pub smart: String,
    pub smart_id: String,
    pub domain: String,
    pub virtual_name: String,
    pub virtual_id: String,
}

impl Account {
    pub fn new(smart: impl Into<String>, domain: impl Into<String>, virtual_name: impl Into<String>) -> Account {
        Account {
            smart: smart.into(),
            smart_id: String::new(),
            domain: domain.into(),
            virtual_name: virtual_name.into(),
            virtual_id: String::new(),
        }
    }

    /// `Smart Account/Virtual Account`, for a person.
    pub fn virtual_path(&self) -> String {
        format!("{}/{}", self.smart, self.virtual_name)
    }
}
