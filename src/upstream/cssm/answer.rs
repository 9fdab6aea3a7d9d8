//! What the API answers, read tolerantly.

use std::sync::Arc;

use data_encoding::{BASE64, BASE64_MIME};
use serde_json::Value;

use super::SmartAccount;
use crate::domain::cross_check::Seen;
use crate::domain::instance::{Account, Udi};
use crate::domain::problem::{excerpt, printable};

/// One device's part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub udi: Option<Udi>,
    /// The file for the device, or why there is none.
    pub file: Result<Vec<u8>, String>,
}

/// What is for one device.
pub(super) fn acknowledgement(told: &Value) -> Acknowledgement {
    let udi =
        told.get("sudi").and_then(|sudi| Some(Udi::new(text(sudi, "udi_pid")?, text(sudi, "udi_serial_number")?)));
    let file = match text(told, "smart_license") {
        None => Err(match ["status_message", "error_code", "status"].iter().find_map(|key| text(told, key)) {
            Some(said) => format!("no smart_license came, but {:?}", printable(&excerpt(&said))),
            None => "no smart_license came".to_owned(),
        }),
        Some(base64) => BASE64
            .decode(base64.as_bytes())
            .or_else(|_| BASE64_MIME.decode(base64.as_bytes()))
            .map_err(|error| format!("its smart_license is not base64: {error}")),
    };
    Acknowledgement { udi, file }
}

/// What is told of one device.
pub(super) fn seen(account: &SmartAccount, told: &Value) -> Result<Seen, String> {
    let sudi = told.get("sudi").unwrap_or(&Value::Null);
    let (Some(pid), Some(sn)) = (text(sudi, "udiPid"), text(sudi, "udiSerialNumber")) else {
        let name = text(told, "displayName").unwrap_or_default();
        return Err(format!(
            "a device of '{}' without a UDI is left out: {:?}",
            account.name,
            printable(&excerpt(&name))
        ));
    };
    Ok(Seen {
        udi: Udi::new(pid, sn),
        account: Account {
            smart_account: Some(account.name.as_str().into()),
            virtual_account: text(told, "virtualAccount").map(Arc::from),
        },
        last_contact: text(told, "lastContactDate").and_then(|at| at.parse().ok()),
        host: text(told, "hostName"),
    })
}

/// A text that is not empty; numbers are taken for theirs.
pub(super) fn text(told: &Value, key: &str) -> Option<String> {
    match told.get(key)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An id that will stand in a header.
pub(super) fn header_text(told: &Value, key: &str) -> Option<String> {
    text(told, key).filter(|id| id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// A whole number, also as text; never by way of a float.
pub(super) fn number(told: &Value, key: &str) -> Option<u64> {
    match told.get(key)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// By a sample's comment the usual reason of a failure; its exact words are not public.
pub(super) fn is_duplicate(said: &str) -> bool {
    said.to_ascii_lowercase().contains("duplicate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        let told: Value =
            serde_json::from_str(r#"{"a":773126444402795033,"b":"18446744073709551615","c":1.5}"#).unwrap();
        assert_eq!(number(&told, "a"), Some(773_126_444_402_795_033));
        assert_eq!(number(&told, "b"), Some(u64::MAX));
        assert_eq!((number(&told, "c"), number(&told, "d")), (None, None));
    }
}
