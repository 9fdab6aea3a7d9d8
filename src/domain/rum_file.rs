//! Files and answers that carry RUM reports, and writing such a file.
//!
//! Read by name, never by position: a whole `<smartLicense>` file as `license smart save usage`
//! writes it, a bare `<RUMReport>` as portals offer for download, the answer of the device's REST
//! interface (`{"usage":[…]}`), the body of an upload to Cisco's API (`data.reports[].usage[]`),
//! one report object, or one payload alone.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::problem::{Problems, excerpt};
use super::report::read::{self, JSON_SPACE, RawReport};
use super::slp_file::{self, SlpFile};
use super::xml::{Document, Element};

/// More reports than one file can hold at 64 MiB and 640 bytes a report.
const MOST_REPORTS: usize = 100_000;

/// What carries the reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileForm {
    /// Root `smartLicense`.
    SmartLicense,
    /// `RUMReport` elements without a root.
    BareReport,
    /// `{"usage":…}`.
    RestAnswer,
    /// `{"data":{"reports":[{"usage":…}]}}`.
    ApiRequest,
    /// One report object, or a list of them.
    ReportObject,
    /// One payload without its signature.
    Payload,
}

/// What a file with RUM reports says.
#[derive(Clone, Debug, PartialEq)]
pub struct RumFile {
    pub form: FileForm,
    /// `smartLicenseSystemInfo/data`, as it is; its keys are not published.
    pub system_info: Option<serde_json::Value>,
    pub reports: Vec<RawReport>,
    pub problems: Problems,
}

/// The bytes hold no RUM reports; `reason` is a sentence.
#[derive(Debug, thiserror::Error)]
#[error("expected a file with RUM reports, got {reason}")]
pub struct NotARumFile {
    pub reason: String,
}

/// Reads any form. A file that is cut off is read up to there; [`RumFile::problems`] tells.
pub fn read(bytes: &[u8]) -> Result<RumFile, NotARumFile> {
    match slp_file::read(bytes) {
        SlpFile::Rum(file) => Ok(file),
        SlpFile::Answer(_) => {
            Err(NotARumFile { reason: "a file that comes from Cisco (ACK, policy or code)".to_owned() })
        }
        SlpFile::Unknown(problems) => Err(NotARumFile { reason: problems.sentences().join("; ") }),
    }
}

/// Writes reports as the text file that portals take: each object in a CDATA section of its own,
/// byte for byte, so that every payload keeps its digest.
pub fn compose<R: AsRef<[u8]>>(reports: impl IntoIterator<Item = R>) -> Vec<u8> {
    let mut file = b"<smartLicense>".to_vec();
    for report in reports {
        file.extend_from_slice(b"<RUMReport><![CDATA[");
        let mut rest = report.as_ref();
        while let Some(at) = rest.windows(3).position(|three| three == b"]]>") {
            // The end mark of a CDATA section cannot stand in one; it is shared by two.
            file.extend_from_slice(&rest[..at + 2]);
            file.extend_from_slice(b"]]><![CDATA[");
            rest = &rest[at + 2..];
        }
        file.extend_from_slice(rest);
        file.extend_from_slice(b"]]></RUMReport>");
    }
    file.extend_from_slice(b"</smartLicense>");
    file
}

/// The RUM file in an XML document, if its elements are those of one.
pub(super) fn from_xml(document: &Document) -> Option<RumFile> {
    let bare = !document.roots.is_empty() && document.roots.iter().all(|root| root.name == "RUMReport");
    let (form, elements): (_, Vec<&Element>) = if bare {
        (FileForm::BareReport, document.roots.iter().collect())
    } else {
        let root = document.roots.first().filter(|root| root.name == "smartLicense")?;
        let reports: Vec<&Element> = root.children_named("RUMReport").collect();
        // A request for an authorization code has the same system information in it.
        let only_info =
            !root.children.is_empty() && root.children.iter().all(|one| one.name == "smartLicenseSystemInfo");
        if reports.is_empty() && !only_info {
            return None;
        }
        (FileForm::SmartLicense, reports)
    };
    let mut file = RumFile { form, system_info: None, reports: Vec::new(), problems: Problems::default() };
    if let Some(info) = document.roots[0].child("smartLicenseSystemInfo") {
        let data = info.child("data").map_or("", |data| data.text.trim());
        match serde_json::from_str(data) {
            Ok(value) => file.system_info = Some(value),
            Err(error) => file.problems.remark(format!(
                "the system information on line {} is not JSON: {}",
                info.line,
                excerpt(&error.to_string())
            )),
        }
    }
    for (index, element) in elements.iter().enumerate().take(MOST_REPORTS) {
        match read::report(&element.text) {
            Ok(report) => file.take(report, index),
            // What was cut off has its own sentence.
            Err(_) if !element.closed => {}
            Err(error) => file.problems.fault(format!("report {} on line {}: {error}", index + 1, element.line)),
        }
    }
    if elements.len() > MOST_REPORTS {
        file.problems.fault(format!("more than {MOST_REPORTS} reports; the rest was not read"));
    }
    if !bare && document.roots.len() > 1 {
        file.problems.fault(format!("a second root element <{}>", excerpt(&document.roots[1].name)));
    }
    if let Some(fault) = &document.fault {
        file.problems.fault(fault.clone());
    }
    if file.reports.is_empty() && file.problems.is_empty() {
        file.problems.remark("the file holds no reports");
    }
    Some(file)
}

/// The RUM file in a JSON document, if its names are those of one.
pub(super) fn from_json(text: &str) -> Option<RumFile> {
    let text = text.trim_matches(JSON_SPACE);
    let mut file =
        RumFile { form: FileForm::ReportObject, system_info: None, reports: Vec::new(), problems: Problems::default() };
    if text.starts_with('[') {
        file.usage(text, "");
        return (!file.reports.is_empty()).then_some(file);
    }
    let top: Top = match serde_json::from_str(text) {
        Ok(top) => top,
        Err(error) => {
            // Cut off or damaged; a name that nothing else has still tells the kind.
            let known = ["\"payload\"", "\"asset_identification\"", "\"usage\""].iter().any(|name| text.contains(name));
            let at = if error.is_eof() { "the file is cut off" } else { "not well-formed JSON" };
            file.problems.fault(format!("{at}: {}", excerpt(&error.to_string())));
            return known.then_some(file);
        }
    };
    if let Some(usage) = top.usage {
        file.form = FileForm::RestAnswer;
        file.usage(usage.get(), "");
    } else if top.payload.is_some() {
        file.one(read::report(text), "");
    } else if top.asset_identification.is_some() {
        file.form = FileForm::Payload;
        file.one(read::payload(text), "");
    } else {
        let data: ApiData = serde_json::from_str(top.data?.get()).ok()?;
        file.form = FileForm::ApiRequest;
        for (index, device) in file.items(data.reports?.get(), "reports").into_iter().enumerate() {
            let place = format!("device {}, ", index + 1);
            match serde_json::from_str::<ApiDevice>(device) {
                Ok(ApiDevice { usage: Some(usage) }) => file.usage(usage.get(), &place),
                Ok(ApiDevice { usage: None }) => file.problems.remark(format!("{place}no usage")),
                Err(error) => file.problems.fault(format!("{place}{}", excerpt(&error.to_string()))),
            }
        }
    }
    if file.reports.is_empty() && file.problems.is_empty() {
        file.problems.remark("the file holds no reports");
    }
    Some(file)
}

impl RumFile {
    /// Keeps one report and what is odd about it.
    fn take(&mut self, report: RawReport, index: usize) {
        self.problems.adopt(format!("report {} (id {})", index + 1, report.facts.report_id), report.remarks.clone());
        self.reports.push(report);
    }

    fn one(&mut self, read: Result<RawReport, read::NotAReport>, place: &str) {
        match read {
            Ok(report) => self.take(report, self.reports.len()),
            Err(error) => self.problems.fault(format!("{place}{error}")),
        }
    }

    /// `usage` is a list of report objects, or one.
    fn usage(&mut self, usage: &str, place: &str) {
        match usage.trim_start_matches(JSON_SPACE).as_bytes().first() {
            Some(b'{') => self.one(read::report(usage), place),
            Some(b'[') => {
                for (index, report) in self.items(usage, "usage").into_iter().enumerate() {
                    self.one(read::report(report), &format!("{place}report {}: ", index + 1));
                }
            }
            _ if usage == "null" => {}
            _ => self.problems.fault(format!("{place}expected reports under usage, got {:?}", excerpt(usage))),
        }
    }

    /// The values of a list, each as its own text.
    fn items<'a>(&mut self, list: &'a str, what: &str) -> Vec<&'a str> {
        let room = MOST_REPORTS.saturating_sub(self.reports.len());
        match Items::read(list, room) {
            Ok(items) => items,
            Err(error) => {
                self.problems.fault(format!("{what}: {}", excerpt(&error.to_string())));
                Vec::new()
            }
        }
    }
}

#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    asset_identification: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ApiData<'a> {
    #[serde(borrow)]
    reports: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ApiDevice<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// Takes a JSON list apart without reading what is in it.
struct Items {
    room: usize,
}

impl Items {
    fn read(list: &str, room: usize) -> Result<Vec<&str>, serde_json::Error> {
        serde_json::Deserializer::from_str(list).deserialize_seq(Items { room })
    }
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<&RawValue>()? {
            if items.len() == self.room {
                return Err(A::Error::custom(format_args!("more than {MOST_REPORTS} reports")));
            }
            items.push(item.get());
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::ReportId;

    fn object(id: u64, note: &str) -> String {
        let payload = format!(
            r#"{{"version":"2.0","asset_identification":{{"report_id":{id},"instance":{{"sudi":{{"udi_pid":"C8000V","udi_serial_number":"9INVENTED01"}}}}}},"meta":{{"entitlement_tag":"regid.x","note":"{note}"}},"measurements":[]}}"#
        );
        let payload = serde_json::to_string(&payload).unwrap();
        format!(r#"{{"payload":{payload},"header":{{"type":"rum"}},"signature":{{"signing_type":"builtin"}}}}"#)
    }

    fn ids(file: &RumFile) -> Vec<u64> {
        file.reports.iter().map(|report| report.facts.report_id.0).collect()
    }

    #[test]
    fn what_was_composed_is_read_back_byte_for_byte() {
        let raws = [object(1, "a"), object(2, "]]>"), object(3, "]]]]>>]]"), object(4, "ü<&>")];
        let file = read(&compose(&raws)).unwrap();
        assert_eq!(file.problems, Problems::default());
        assert_eq!(file.form, FileForm::SmartLicense);
        for (raw, report) in raws.iter().zip(&file.reports) {
            assert_eq!(std::str::from_utf8(&report.raw).unwrap(), raw);
        }
        assert_eq!(ids(&file), [1, 2, 3, 4]);
        assert_eq!(compose::<&[u8]>([]), b"<smartLicense></smartLicense>");
    }

    #[test]
    fn a_saved_file_is_read_by_name_with_either_kind_of_text() {
        let escaped = object(5, "x").replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let cdata = object(6, "y");
        let text = format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<smartLicense>\r\n<RUMReport>{escaped}</RUMReport>\
             <smartLicenseSystemInfo><data>{{\"hostname\":\"r1\",\"timestamp\":1}}</data><signature>x</signature>\
             </smartLicenseSystemInfo><RUMReport>\r\n<![CDATA[{cdata}]]>\r\n</RUMReport></smartLicense>\r\n"
        );
        let file = read(text.as_bytes()).unwrap();
        assert_eq!(file.problems, Problems::default());
        assert_eq!(ids(&file), [5, 6]);
        assert_eq!(file.reports[0].raw, object(5, "x").as_bytes());
        assert_eq!(file.system_info.unwrap()["hostname"], "r1");
    }

    #[test]
    fn every_json_form_is_read() {
        let (one, two) = (object(1, "a"), object(2, "b"));
        let case = |text: String, form: FileForm, expected: &[u64]| {
            let file = read(text.as_bytes()).unwrap();
            assert_eq!((file.form, ids(&file).as_slice()), (form, expected), "{text}");
            assert!(file.problems.is_whole(), "{:?}", file.problems);
            file
        };
        case(format!("{{\"usage\":[{one},\n {two}]}}"), FileForm::RestAnswer, &[1, 2]);
        case(format!("{{\"usage\":{one}}}"), FileForm::RestAnswer, &[1]);
        case("{\"usage\":[]}".to_owned(), FileForm::RestAnswer, &[]);
        case(
            format!("{{\"data\":{{\"nonce\":\"n\",\"reports\":[{{\"usage\":[{one}]}},{{\"usage\":[{two}]}}]}}}}"),
            FileForm::ApiRequest,
            &[1, 2],
        );
        case(one.clone(), FileForm::ReportObject, &[1]);
        case(format!("[{one},{two}]"), FileForm::ReportObject, &[1, 2]);
        let payload: serde_json::Value = serde_json::from_str(&one).unwrap();
        case(payload["payload"].as_str().unwrap().to_owned(), FileForm::Payload, &[1]);
    }

    #[test]
    fn a_report_that_cannot_be_read_does_not_cost_the_others() {
        let text = format!("{{\"usage\":[{},{{\"payload\":\"no\"}},7,{}]}}", object(1, "a"), object(4, "d"));
        let file = read(text.as_bytes()).unwrap();
        assert_eq!(ids(&file), [1, 4]);
        assert!(!file.problems.is_whole());
        let sentences = file.problems.sentences();
        assert!(sentences[0].starts_with("report 2: "), "{sentences:?}");
        assert!(sentences[1].starts_with("report 3: "), "{sentences:?}");
    }

    #[test]
    fn a_cut_file_gives_what_stood_before_the_cut() {
        let whole = compose([object(1, "a"), object(2, "b")]);
        let cut = &whole[..whole.len() - 40];
        let file = read(cut).unwrap();
        assert_eq!(ids(&file), [1]);
        assert!(file.problems.sentences()[0].contains("cut off"), "{:?}", file.problems);
        let json = format!("{{\"usage\":[{}", object(1, "a"));
        assert!(read(json.as_bytes()).unwrap().problems.sentences()[0].contains("cut off"));
        let mut broken = compose([object(ReportId(9).0, "a"), object(2, "b")]);
        let middle = broken.len() - 30;
        broken[middle] = 0xff;
        let file = read(&broken).unwrap();
        assert_eq!(ids(&file), [9]);
        assert!(file.problems.sentences().last().unwrap().contains("is not UTF-8 text"));
    }

    #[test]
    fn what_is_no_rum_file_is_refused_with_a_sentence() {
        let reason = |text: &str| read(text.as_bytes()).unwrap_err().reason;
        assert_eq!(reason("  \n"), "the file is empty");
        assert!(reason("{}").contains("neither a RUM report"));
        assert!(reason("<html></html>").contains("<html>"));
        let request = "<smartLicense><smartLicenseSystemInfo/><smartLicenseAuthRequest/></smartLicense>";
        assert!(reason(request).contains("<smartLicense> and <smartLicenseAuthRequest> in it"));
        assert!(reason("router# show clock").contains("neither XML"));
        assert!(reason("<smartLicense><smartLicenseRumAck/></smartLicense>").contains("from Cisco"));
    }
}
