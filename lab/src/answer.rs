//! An answer file as a device reads it: acknowledgements, policy and account, each signed by the portal.
//!
//! The elements around are known from one transcript of a real answer and from Cisco's sample. **The JSON inside
//! `smartLicenseRumAck/data` is invented by the lab**, because in that transcript it is blacked out: an array of
//! `{"sudi":{…},"report_id":N,"status":"ACKNOWLEDGED"}`.

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::operation::Refusal;
use crate::policy::{Frequency, Policy};
use crate::sign;
use crate::udi::Udi;
use crate::xml::{self, Element};

/// One entry of the acknowledgement array. Invented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub sudi: Udi,
    pub report_id: u64,
    pub status: String,
}

/// The only status a portal of the lab gives.
pub const ACKNOWLEDGED: &str = "ACKNOWLEDGED";

/// What an answer holds. All its signatures were verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    pub entries: Option<Vec<Entry>>,
    /// Names this acknowledgement among others: its signature.
    pub mark: Option<String>,
    pub policy: Option<Policy>,
    pub account: Option<Account>,
}

impl Answer {
    pub fn read(bytes: &[u8]) -> Result<Answer, Refusal> {
        let text = std::str::from_utf8(bytes).map_err(|_| Refusal::parse("the file is not UTF-8"))?;
        let root = xml::read(text).map_err(Refusal::parse)?;
        let mut answer = Answer::default();
        match root.name {
            // A policy file downloaded alone has the policy as its root.
            "smartLicensePolicy" => answer.policy = Some(policy(&root)?),
            "smartLicense" => {
                for part in &root.children {
                    match part.name {
                        "smartLicenseRumAck" => answer.take_entries(part)?,
                        "smartLicensePolicy" => answer.policy = Some(policy(part)?),
                        "smartLicenseAccountInfo" => answer.account = Some(account(part)?),
                        // Authorization codes and whatever else a real answer may carry: nothing the lab models.
                        _ => {}
                    }
                }
            }
            other => return Err(Refusal::parse(format!("<{other}> is no licence file"))),
        }
        if answer == Answer::default() {
            return Err(Refusal::not_supported("nothing in the file can be imported"));
        }
        Ok(answer)
    }

    fn take_entries(&mut self, part: &Element<'_>) -> Result<(), Refusal> {
        let data = part.text_at(&["data"]).ok_or_else(|| Refusal::parse("smartLicenseRumAck has no data"))?;
        let mark = verified(part, data)?;
        let entries: Vec<Entry> = serde_json::from_str(data).map_err(|error| Refusal::parse(error.to_string()))?;
        self.entries.get_or_insert_default().extend(entries);
        self.mark = Some(mark);
        Ok(())
    }
}

/// The part's signature, if it covers this text.
fn verified(part: &Element<'_>, text: &str) -> Result<String, Refusal> {
    let value = part.text_at(&["signature"]).unwrap_or_default();
    if sign::answer_holds(part.name, text, value) { Ok(value.to_string()) } else { Err(Refusal::signature(part.name)) }
}

fn policy(part: &Element<'_>) -> Result<Policy, Refusal> {
    let code = part.child("policyCode").ok_or_else(|| Refusal::parse("smartLicensePolicy has no policyCode"))?;
    verified(part, code.raw)?;
    Ok(Policy {
        name: code.text_at(&["name"]).map(str::to_string),
        ack_required: code.text_at(&["ackRequired"]) == Some("yes"),
        perpetual: frequency(code, "perpetual")?,
        subscription: frequency(code, "subscription")?,
        enforced: frequency(code, "enforced")?,
        export: frequency(code, "export")?,
    })
}

/// A number that is left out is 0, as for `enforced` and `export` in the transcript.
fn frequency(code: &Element<'_>, class: &str) -> Result<Frequency, Refusal> {
    let number = |name: &str| match code.text_at(&[class, name]) {
        None | Some("") => Ok(0),
        Some(text) => text.parse().map_err(|_| Refusal::parse(format!("{class}/{name} is no number of days"))),
    };
    Ok(Frequency {
        first: number("firstTimeReport")?,
        ongoing: number("onGoingReporting")?,
        change: number("reportOnMACD")?,
    })
}

fn account(part: &Element<'_>) -> Result<Account, Refusal> {
    let info =
        part.child("customerInfo").ok_or_else(|| Refusal::parse("smartLicenseAccountInfo has no customerInfo"))?;
    verified(part, info.raw)?;
    let text = |name: &str| info.text_at(&[name]).unwrap_or_default().to_string();
    Ok(Account {
        smart: text("smartAccount"),
        smart_id: text("smartAccountId"),
        domain: text("smartAccountDomain"),
        virtual_name: text("virtualAccount"),
        virtual_id: text("virtualAccountId"),
    })
}
