//! The file that saving usage writes to flash: system information, then one `<RUMReport>` a report.

use serde_json::json;

use crate::operation::Fetched;
use crate::sign;
use crate::spec::Spec;
use crate::udi::Udi;
use crate::xml;

/// The file's text. The order of elements and the text form of `data` are not public; this is one reading.
pub fn file(spec: &Spec, udi: &Udi, now: i64, reports: &[Fetched]) -> String {
    let nonce = sign::fingerprint(format!("{udi}@{now}").as_bytes());
    let system = json!({
        "sudi": udi,
        "timestamp": now * 1000,
        "nonce": nonce,
        "hostname": spec.name,
        "software_tag_identifier": spec.product,
        "device_list": [{ "hostname": spec.name, "software_tag_identifier": spec.product }],
    });
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<smartLicense>\n");
    let system = xml::escaped(&system.to_string());
    text.push_str(&format!("<smartLicenseSystemInfo><data>{system}</data></smartLicenseSystemInfo>\n"));
    for report in reports {
        text.push_str(&rum_report(&report.json));
        text.push('\n');
    }
    text.push_str("</smartLicense>\n");
    text
}

/// One report as an element. JSON has no way to hold "]]>" outside of a string, and the lab's strings never do.
pub fn rum_report(json: &str) -> String {
    format!("<RUMReport><![CDATA[{json}]]></RUMReport>")
}
