//! What comes back: the hello, answers with their message ids, and the errors in them.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::Capabilities;
use crate::device::{Complaint, Error};
use crate::domain::xml::{self, Element};

pub(super) fn hello(step: &'static str, message: &[u8]) -> Result<Capabilities, Error> {
    let root = element(step, "a NETCONF hello", "hello", message)?;
    let capabilities = root.child("capabilities").into_iter().flat_map(|all| all.children_named("capability"));
    Ok(capabilities.map(|capability| capability.text.trim().to_owned()).collect())
}

/// The `<rpc-reply>` to the question of this id.
pub(super) fn read(step: &'static str, message: &[u8], id: u64) -> Result<Element, Error> {
    let root = element(step, "an rpc-reply", "rpc-reply", message)?;
    match message_id(message) {
        Some(got) if got == id.to_string() => Ok(root),
        // A question so broken that its id could not be read is answered without one.
        None if root.child("rpc-error").is_some() => Ok(root),
        got => {
            let got = got.map_or_else(|| "none".to_owned(), |got| format!("{got:?} for {id}"));
            Err(Error::Misbehaved { step, expected: "the message-id of the question", got })
        }
    }
}

/// The first error in a reply; warnings are none.
pub(super) fn error(step: &'static str, root: &Element) -> Option<Error> {
    let error = root.children_named("rpc-error").find(|error| error.child_text("error-severity") != Some("warning"))?;
    let tag = error.child_text("error-tag").unwrap_or("operation-failed");
    let detail = || error.child("error-info").and_then(|info| info.child_text("bad-element"));
    let said = error.child_text("error-message").or_else(detail).or_else(|| error.child_text("error-path"));
    Some(Error::declined(step, Complaint::of_tag(tag), tag, said.unwrap_or("no reason given")))
}

fn element(step: &'static str, expected: &'static str, name: &str, message: &[u8]) -> Result<Element, Error> {
    let wrong = |wrong: &str| Error::unreadable(step, expected, wrong, message);
    let text = std::str::from_utf8(message).map_err(|error| wrong(&error.to_string()))?;
    let mut document = xml::read(text.trim_ascii());
    if let Some(fault) = document.fault {
        return Err(wrong(&fault));
    }
    match (document.roots.pop(), document.roots.is_empty()) {
        (Some(root), true) if root.name == name => Ok(root),
        _ => Err(wrong("another element")),
    }
}

/// The attribute on the first tag. The reader of licensing files passes attributes over.
fn message_id(message: &[u8]) -> Option<String> {
    let mut reader = Reader::from_str(std::str::from_utf8(message).ok()?.trim_ascii());
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) | Event::Empty(tag) => {
                let id = tag.attributes().flatten().find(|attribute| attribute.key.as_ref() == "message-id")?;
                return Some(id.value.into_owned());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}
