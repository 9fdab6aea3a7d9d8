//! What Cisco sends back for a device: acknowledgements, policies, authorization and trust codes.
//!
//! One file may carry any of these parts, each with a signature that only the device can check,
//! so the bytes stay opaque and are handed on as they came. What is read here serves to tell
//! which device it is for and what it does. The keys inside a RUM ACK are not published: ids are
//! searched for by what they could be called, and finding none is no fault.

use jiff::Timestamp;
use serde::Serialize;

use super::instance::Udi;
use super::policy::{ClassPolicy, Policy};
use super::problem::{Problems, excerpt};
use super::report::ReportId;
use super::slp_file::{self, SlpFile};
use super::xml::{Document, Element};

mod acknowledgement;
mod licence;

pub use licence::StatedLicence;

/// A part of an answer file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// `smartLicenseAuthorization`: a SLAC.
    Authorization,
    /// `smartLicensePolicy`.
    Policy,
    /// `smartLicenseRumAck`.
    RumAck,
    /// `smartLicenseAccountInfo`.
    AccountInfo,
    /// Any element with `trust` in its name; the real one is not published.
    Trust,
}

impl Part {
    /// The word of the interface and of the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Authorization => "authorization",
            Part::Policy => "policy",
            Part::RumAck => "rum-ack",
            Part::AccountInfo => "account-info",
            Part::Trust => "trust",
        }
    }
}

/// The account an answer was made in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnswerAccount {
    pub smart_account: Option<String>,
    pub virtual_account: Option<String>,
    pub smart_account_id: Option<String>,
    pub virtual_account_id: Option<String>,
    pub domain: Option<String>,
    /// When the answer was made.
    pub timestamp: Option<Timestamp>,
}

/// One report id found in a RUM ACK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Acknowledgement {
    pub report_id: ReportId,
    pub udi: Option<Udi>,
    /// The file's own word about it, where one stands beside the id.
    pub status: Option<String>,
}

/// What an answer file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerFile {
    /// In the order of [`Part`], each once.
    pub parts: Vec<Part>,
    /// Every instance named, the first one first.
    pub udis: Vec<Udi>,
    pub policy: Option<Policy>,
    pub account: Option<AnswerAccount>,
    pub acknowledgements: Vec<Acknowledgement>,
    /// It carries a RUM ACK with an empty list: readable, and no report is acknowledged by it.
    pub acknowledges_none: bool,
    /// What authorization codes allow.
    pub licences: Vec<StatedLicence>,
    pub correlation_id: Option<String>,
    pub problems: Problems,
}

impl AnswerFile {
    /// The instance it is for, where it says so.
    pub fn udi(&self) -> Option<&Udi> {
        self.udis.first()
    }

    pub fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }
}

/// The bytes are no answer of Cisco's; `reason` is a sentence.
#[derive(Debug, thiserror::Error)]
#[error("expected an ACK, policy or code file, got {reason}")]
pub struct NotAnAnswer {
    pub reason: String,
}

/// Reads an answer file. One that is cut off is read up to there; [`AnswerFile::problems`] tells.
pub fn read(bytes: &[u8]) -> Result<AnswerFile, NotAnAnswer> {
    match slp_file::read(bytes) {
        SlpFile::Answer(file) => Ok(*file),
        SlpFile::Rum(_) => Err(NotAnAnswer { reason: "a file with RUM reports, which goes to Cisco".to_owned() }),
        SlpFile::Unknown(problems) => Err(NotAnAnswer { reason: problems.sentences().join("; ") }),
    }
}

/// The answer in an XML document, if its elements are those of one.
pub(super) fn from_xml(document: &Document) -> Option<AnswerFile> {
    let root = document.roots.first()?;
    if root.name != "smartLicense" && root.name != "smartLicensePolicy" {
        return None;
    }
    let mut file = AnswerFile::default();
    let all = root.walk();
    for element in &all {
        if let Some(part) = part(element) {
            file.parts.push(part);
        }
    }
    file.parts.sort_unstable();
    file.parts.dedup();
    if file.parts.is_empty() {
        return None;
    }

    for element in all.iter().filter(|element| element.name == "udi") {
        match udi(&element.text) {
            Some(udi) if !file.udis.contains(&udi) => file.udis.push(udi),
            Some(_) => {}
            None => file.problems.remark(format!(
                "expected P:…,S:… in <udi> on line {}, got {:?}",
                element.line,
                excerpt(element.text.trim())
            )),
        }
    }
    for element in all.iter().filter(|element| element.name == "smartLicensePolicy") {
        let read = policy(element, &mut file.problems);
        match (&file.policy, read) {
            (None, read) => file.policy = read,
            (Some(first), Some(second)) if *first != second => {
                file.problems
                    .remark(format!("a second, different policy on line {}; the first is shown", element.line));
            }
            (Some(_), _) => {}
        }
    }
    for element in all.iter().filter(|element| element.name == "smartLicenseRumAck") {
        let data = element.child("data").map_or("", |data| data.text.trim());
        match acknowledgement::find(data) {
            Ok(found) if found.is_empty() && data.strip_prefix('[').is_some_and(|rest| rest.trim() == "]") => {
                file.acknowledges_none = true;
                file.problems.remark("the RUM ACK acknowledges no report");
            }
            Ok(found) if found.is_empty() => {
                file.problems.remark("no report ids could be told in the RUM ACK; its bytes are kept as they are");
            }
            Ok(found) => file.acknowledgements.extend(found),
            Err(cause) => file.problems.remark(format!("the data of the RUM ACK is not JSON: {}", excerpt(&cause))),
        }
    }
    file.licences = licence::find(&all);
    file.account = account(root);
    file.correlation_id = root.child_text("correlationID").map(str::to_owned);

    if document.roots.len() > 1 {
        file.problems.fault(format!("a second root element <{}>", excerpt(&document.roots[1].name)));
    }
    if let Some(fault) = &document.fault {
        file.problems.fault(fault.clone());
    }
    Some(file)
}

fn part(element: &Element) -> Option<Part> {
    match element.name.as_str() {
        "smartLicenseAuthorization" | "authorizationCode" => Some(Part::Authorization),
        "smartLicensePolicy" => Some(Part::Policy),
        "smartLicenseRumAck" => Some(Part::RumAck),
        "smartLicenseAccountInfo" => Some(Part::AccountInfo),
        name => name.to_ascii_lowercase().contains("trust").then_some(Part::Trust),
    }
}

/// `P:C8000V,S:9ABC`, as authorization codes name an instance.
fn udi(text: &str) -> Option<Udi> {
    let (mut pid, mut sn) = (None, None);
    for field in text.trim().split(',') {
        let (name, value) = field.split_once(':')?;
        match name.trim().to_ascii_uppercase().as_str() {
            "P" | "PID" | "UDI_PID" => pid = Some(value.trim()),
            "S" | "SN" | "UDI_SN" | "UDI_SERIAL_NUMBER" => sn = Some(value.trim()),
            _ => {}
        }
    }
    Some(Udi::new(pid.filter(|pid| !pid.is_empty())?, sn.filter(|sn| !sn.is_empty())?))
}

fn policy(element: &Element, problems: &mut Problems) -> Option<Policy> {
    let Some(code) = element.child("policyCode") else {
        problems.remark(format!("the policy on line {} holds no policyCode", element.line));
        return None;
    };
    let ack_required = match code.child_text("ackRequired").map(str::to_ascii_lowercase).as_deref() {
        Some("yes" | "true") => Some(true),
        Some("no" | "false") => Some(false),
        Some(word) => {
            problems.remark(format!("expected yes or no in ackRequired, got {:?}", excerpt(word)));
            None
        }
        None => None,
    };
    let mut class = |name: &str| {
        let class = code.child(name)?;
        let mut days = |name: &str| {
            let text = class.child_text(name)?;
            let days = text.parse().ok();
            if days.is_none() {
                problems.remark(format!("expected days in {name} of {}, got {:?}", class.name, excerpt(text)));
            }
            days
        };
        Some(ClassPolicy {
            first_report_days: days("firstTimeReport"),
            reporting_frequency_days: days("onGoingReporting"),
            report_on_change_days: days("reportOnMACD"),
        })
    };
    let (perpetual, subscription) = (class("perpetual"), class("subscription"));
    let (enforced, export, generic) = (class("enforced"), class("export"), class("generic"));
    let name = code.child_text("name").map(str::to_owned);
    Some(Policy { name, ack_required, perpetual, subscription, enforced, export, generic, ..Policy::default() })
}

/// The account information, else what an authorization says of the customer.
fn account(root: &Element) -> Option<AnswerAccount> {
    let info = root.child("smartLicenseAccountInfo").and_then(|info| info.child("customerInfo"));
    let customer =
        info.or_else(|| root.child("smartLicenseAuthorization")?.child("authorizationCode")?.child("customerInfo"))?;
    let text = |name| customer.child_text(name).map(str::to_owned);
    let millis = customer.child_text("timestamp").and_then(|text| text.parse().ok());
    Some(AnswerAccount {
        smart_account: text("smartAccount"),
        virtual_account: text("virtualAccount"),
        smart_account_id: text("smartAccountId"),
        virtual_account_id: text("virtualAccountId"),
        domain: text("smartAccountDomain"),
        timestamp: millis.and_then(|millis| Timestamp::from_millisecond(millis).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK: &str = "<smartLicense><smartLicenseAuthorization><udi>P:C8000V,S:9INVENTED01</udi><authorizationCode>\
        <customerInfo><smartAccount>SA</smartAccount></customerInfo><entitlements><entitlement>\
        <tag>regid.2019-03.com.cisco.INVENTED_HSEC,1.0_x</tag><count>1</count><licenseType>PERPETUAL</licenseType>\
        <displayName>Router Export Lic.</displayName><tagDescription/></entitlement><entitlement><tag>none</tag>\
        </entitlement></entitlements></authorizationCode><signature>M</signature>\
        </smartLicenseAuthorization><smartLicensePolicy><policyCode><name>P1</name><ackRequired>yes</ackRequired>\
        <subscription><firstTimeReport>90</firstTimeReport><onGoingReporting>365</onGoingReporting>\
        <reportOnMACD>ninety</reportOnMACD></subscription><export><onGoingReporting>0</onGoingReporting></export>\
        </policyCode></smartLicensePolicy><smartLicenseRumAck><data><![CDATA[[{\"report_id\":7,\"sudi\":\
        {\"udi_pid\":\"C8000V\",\"udi_serial_number\":\"9INVENTED01\"}}]]]></data></smartLicenseRumAck>\
        <smartLicenseTrustCode/><smartLicenseAccountInfo><customerInfo><timestamp>1656685084850</timestamp>\
        <smartAccount>Example &amp; Co</smartAccount><virtualAccountId>12</virtualAccountId></customerInfo>\
        </smartLicenseAccountInfo><correlationID>ab-cd</correlationID></smartLicense>";

    #[test]
    fn every_part_is_told() {
        let file = read(ACK.as_bytes()).unwrap();
        let words: Vec<&str> = file.parts.iter().map(|part| part.as_str()).collect();
        assert_eq!(words, ["authorization", "policy", "rum-ack", "account-info", "trust"]);
        assert_eq!(file.udi(), Some(&Udi::new("C8000V", "9INVENTED01")));
        let policy = file.policy.as_ref().unwrap();
        assert_eq!((policy.name.as_deref(), policy.ack_required), (Some("P1"), Some(true)));
        let subscription = policy.subscription.unwrap();
        assert_eq!((subscription.reporting_frequency_days, subscription.report_on_change_days), (Some(365), None));
        assert_eq!(policy.export.unwrap().first_report_days, None);
        assert_eq!(policy.perpetual, None);
        let account = file.account.as_ref().unwrap();
        assert_eq!(account.smart_account.as_deref(), Some("Example & Co"));
        assert_eq!(account.timestamp.unwrap().to_string(), "2022-07-01T14:18:04.85Z");
        assert_eq!(file.acknowledgements[0].report_id, ReportId(7));
        let stated = StatedLicence {
            entitlement_tag: "regid.2019-03.com.cisco.INVENTED_HSEC,1.0_x".to_owned().into(),
            name: Some("Router Export Lic.".to_owned()),
            description: None,
            license_type: Some("PERPETUAL".to_owned()),
            count: Some(1),
        };
        assert_eq!(file.licences, [stated]);
        assert_eq!(file.correlation_id.as_deref(), Some("ab-cd"));
        assert!(file.problems.is_whole());
        assert_eq!(file.problems.sentences(), ["expected days in reportOnMACD of subscription, got \"ninety\""]);
    }

    #[test]
    fn a_policy_file_has_the_policy_as_its_root() {
        let text = "<smartLicensePolicy><policyCode><ackRequired>no</ackRequired></policyCode></smartLicensePolicy>";
        let file = read(text.as_bytes()).unwrap();
        assert_eq!(file.parts, [Part::Policy]);
        assert_eq!(file.policy.unwrap().ack_required, Some(false));
    }

    #[test]
    fn an_ack_that_was_blacked_out_is_read_with_a_remark() {
        let text = "<smartLicense><smartLicenseRumAck><data><![CDATA[[{\"[REDACTED]}]]]></data></smartLicenseRumAck></smartLicense>";
        let file = read(text.as_bytes()).unwrap();
        assert!(file.problems.is_whole());
        assert!(file.problems.sentences()[0].contains("not JSON"));
        assert!(file.acknowledgements.is_empty());
    }

    #[test]
    fn a_cut_answer_is_not_whole() {
        let file = read(&ACK.as_bytes()[..ACK.len() - 20]).unwrap();
        assert!(!file.problems.is_whole());
        assert!(read(b"<smartLicense></smartLicense>").is_err());
    }
}
