//! The answer for one device, in the shape of the one public transcript of a real one.
//!
//! **The JSON array in `smartLicenseRumAck` is invented**: the transcript hides it. So are the signatures, which the
//! lab's devices can verify and nobody else. A file carries no time but `timestamp`, and the same upload at the same
//! time makes the same bytes.

use crate::account::Account;
use crate::answer::{ACKNOWLEDGED, Entry};
use crate::policy::{Frequency, Policy};
use crate::sign;
use crate::udi::Udi;
use crate::xml::escaped;

pub fn write(now: i64, reports: &[(Udi, u64)], policy: Option<&Policy>, account: Option<&Account>) -> String {
    let mut parts = String::new();
    if let Some(policy) = policy {
        let code = policy_code(policy);
        let signature = sign::answer("smartLicensePolicy", &code);
        parts.push_str(&format!(
            "<smartLicensePolicy><policyCode>{code}</policyCode><signature>{signature}</signature></smartLicensePolicy>"
        ));
    }
    let entries: Vec<Entry> = reports
        .iter()
        .map(|(udi, id)| Entry { sudi: udi.clone(), report_id: *id, status: ACKNOWLEDGED.to_string() })
        .collect();
    let data = serde_json::to_string(&entries).expect("plain structs become JSON");
    let signature = sign::answer("smartLicenseRumAck", &data);
    parts.push_str(&format!(
        "<smartLicenseRumAck><data><![CDATA[{data}]]></data><signature>{signature}</signature></smartLicenseRumAck>"
    ));
    if let Some(account) = account {
        let info = customer_info(now, account);
        let signature = sign::answer("smartLicenseAccountInfo", &info);
        parts.push_str(&format!(
            "<smartLicenseAccountInfo><customerInfo>{info}</customerInfo><signature>{signature}</signature></smartLicenseAccountInfo>"
        ));
    }
    let print = sign::fingerprint(parts.as_bytes());
    let (left, right) = print.split_at(16);
    format!("<smartLicense>{parts}<correlationID>{left}-{right}</correlationID></smartLicense>")
}

fn policy_code(policy: &Policy) -> String {
    let three = |name: &str, frequency: Frequency| {
        format!(
            "<{name}><firstTimeReport>{}</firstTimeReport><onGoingReporting>{}</onGoingReporting><reportOnMACD>{}</reportOnMACD></{name}>",
            frequency.first, frequency.ongoing, frequency.change
        )
    };
    // These two go without a first-report number in the transcript; it is left out where it is 0.
    let two = |name: &str, frequency: Frequency| {
        let text = three(name, frequency);
        if frequency.first == 0 { text.replace("<firstTimeReport>0</firstTimeReport>", "") } else { text }
    };
    let name = escaped(policy.name.as_deref().unwrap_or("Default Policy"));
    let ack = if policy.ack_required { "yes" } else { "no" };
    [
        format!("<name>{name}</name><version>1</version><flag></flag>"),
        format!("<datestamp>2026-01-01T00:00:00</datestamp><ackRequired>{ack}</ackRequired>"),
        three("subscription", policy.subscription),
        three("perpetual", policy.perpetual),
        two("enforced", policy.enforced),
        two("export", policy.export),
        three("generic", policy.subscription),
    ]
    .concat()
}

fn customer_info(now: i64, account: &Account) -> String {
    let element = |name: &str, text: &str| format!("<{name}>{}</{name}>", escaped(text));
    [
        element("timestamp", &(now * 1000).to_string()),
        element("smartAccount", &account.smart),
        element("virtualAccount", &account.virtual_name),
        element("smartAccountId", &account.smart_id),
        element("virtualAccountId", &account.virtual_id),
        element("smartAccountDomain", &account.domain),
    ]
    .concat()
}
