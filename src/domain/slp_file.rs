//! Any file of Smart Licensing Using Policy, told by its content: names of files say nothing.

use super::ack::{self, AnswerFile};
use super::problem::{Problems, excerpt};
use super::report::read::JSON_SPACE;
use super::rum_file::{self, RumFile};
use super::xml;

/// The largest file that is looked at. Cisco speaks of "a few MB" for one device.
pub const LARGEST: usize = 64 << 20;

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum SlpFile {
    /// RUM reports, on their way to Cisco.
    Rum(RumFile),
    /// An ACK, a policy, codes: on their way to a device.
    Answer(Box<AnswerFile>),
    /// Neither; the problems say why.
    Unknown(Problems),
}

impl SlpFile {
    pub fn problems(&self) -> &Problems {
        match self {
            SlpFile::Rum(file) => &file.problems,
            SlpFile::Answer(file) => &file.problems,
            SlpFile::Unknown(problems) => problems,
        }
    }
}

/// Reads `bytes` by what they hold. Never fails: what cannot be read is told in the problems.
pub fn read(bytes: &[u8]) -> SlpFile {
    if bytes.len() > LARGEST {
        return unknown(format!("{} bytes; nothing above {LARGEST} is read", bytes.len()));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (text, broken) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let (good, _) = bytes.split_at(error.valid_up_to());
            (std::str::from_utf8(good).unwrap_or_default(), Some(good.len()))
        }
    };
    let mut file = read_text(text);
    if let Some(at) = broken {
        let sentence = format!("byte {at} is not UTF-8 text; nothing from there on was read");
        match &mut file {
            SlpFile::Rum(file) => file.problems.fault(sentence),
            SlpFile::Answer(file) => file.problems.fault(sentence),
            SlpFile::Unknown(problems) => *problems = single(sentence),
        }
    }
    file
}

fn read_text(text: &str) -> SlpFile {
    let text = text.trim_start_matches(JSON_SPACE);
    match text.as_bytes().first() {
        None => unknown("the file is empty".to_owned()),
        Some(b'<') => {
            let document = xml::read(text);
            if let Some(file) = rum_file::from_xml(&document) {
                return SlpFile::Rum(file);
            }
            if let Some(file) = ack::from_xml(&document) {
                return SlpFile::Answer(Box::new(file));
            }
            let mut problems = Problems::default();
            if let Some(root) = document.roots.first() {
                let mut name = format!("<{}>", root.name);
                if let Some(child) = root.children.iter().find(|child| child.name != "smartLicenseSystemInfo") {
                    name = format!("{name} and <{}> in it", child.name);
                }
                problems.fault(format!("XML with {}, which is no licensing file we know", excerpt(&name)));
            }
            if let Some(fault) = document.fault {
                problems.fault(fault);
            }
            if problems.is_empty() {
                problems.fault("XML without any element");
            }
            SlpFile::Unknown(problems)
        }
        Some(b'{' | b'[') => match rum_file::from_json(text) {
            Some(file) => SlpFile::Rum(file),
            None => unknown("JSON that is neither a RUM report nor a list of them".to_owned()),
        },
        Some(_) => unknown("neither XML, JSON nor an archive".to_owned()),
    }
}

fn unknown(sentence: String) -> SlpFile {
    SlpFile::Unknown(single(sentence))
}

fn single(sentence: String) -> Problems {
    let mut problems = Problems::default();
    problems.fault(sentence);
    problems
}
