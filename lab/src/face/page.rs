//! One answer of the web server, before it becomes HTTP.

use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub kind: &'static str,
    pub body: Vec<u8>,
    /// The methods there are, where the one asked for is not among them.
    pub allow: Option<&'static str>,
    pub cookie: Option<String>,
}

pub const JSON: &str = "application/json";
pub const YANG: &str = "application/yang-data+json";
pub const HTML: &str = "text/html";

impl Page {
    pub fn ok(kind: &'static str, body: &Value) -> Page {
        Page::text(200, kind, body.to_string())
    }

    pub fn text(status: u16, kind: &'static str, body: impl Into<String>) -> Page {
        Page { status, kind, body: body.into().into_bytes(), allow: None, cookie: None }
    }

    /// A bare status, with the page a web server makes of it.
    pub fn bare(status: u16, words: &str) -> Page {
        Page::text(status, HTML, format!("<html><head><title>{status} {words}</title></head><body></body></html>\n"))
    }

    pub fn method(allow: &'static str) -> Page {
        Page { allow: Some(allow), ..Page::bare(405, "Method Not Allowed") }
    }

    /// An error in RESTCONF's words.
    pub fn error(status: u16, tag: &str, message: &str) -> Page {
        let error = json!({ "error-type": "application", "error-tag": tag, "error-message": message });
        Page::text(status, YANG, json!({ "ietf-restconf:errors": { "error": [error] } }).to_string())
    }
}
