//! What an answer says of licences beside their tags: authorization codes list those that they allow, each by its tag
//! and by the name that Cisco gives it.

use serde::{Deserialize, Serialize};

use crate::domain::report::EntitlementTag;
use crate::domain::xml::Element;

/// More than any device has.
const MOST: usize = 1_000;
/// No name in any published file is near that.
const LONGEST: usize = 300;

/// One licence of an authorization code. **stored**
///
/// From `entitlement` in `authorizationCode`, as in the one public transcript of such a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedLicence {
    pub entitlement_tag: EntitlementTag,
    /// `displayName`, such as `Router US Export Lic. for DNA`.
    pub name: Option<String>,
    /// `tagDescription`.
    pub description: Option<String>,
    /// `licenseType`, in capitals.
    pub license_type: Option<String>,
    pub count: Option<u64>,
}

/// Those of all codes among the elements, in their order, each tag once.
pub(super) fn find(elements: &[&Element]) -> Vec<StatedLicence> {
    let mut found: Vec<StatedLicence> = Vec::new();
    for element in elements.iter().filter(|element| element.name == "entitlement") {
        let text = |name| {
            let text = element.child_text(name).map(str::trim).filter(|text| !text.is_empty() && text.len() <= LONGEST);
            text.map(str::to_owned)
        };
        let Some(tag) = text("tag").filter(|tag| tag.starts_with("regid.")) else { continue };
        let stated = StatedLicence {
            entitlement_tag: EntitlementTag::from(tag),
            name: text("displayName"),
            description: text("tagDescription"),
            license_type: text("licenseType"),
            count: text("count").and_then(|count| count.parse().ok()),
        };
        if found.len() < MOST && !found.iter().any(|known| known.entitlement_tag == stated.entitlement_tag) {
            found.push(stated);
        }
    }
    found
}
