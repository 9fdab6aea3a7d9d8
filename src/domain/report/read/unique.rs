//! No name twice in one object, at any depth, known field or not.

use std::borrow::Cow;

use crate::domain::problem::excerpt;

/// Up to this many names are compared one with another; more are sorted first.
const FEW: usize = 24;

/// The first name found to come twice in one object.
///
/// `json` has been parsed before: here it is only gone through for the names, which is several
/// times faster. On text that is no JSON the answer means nothing, but there is one.
pub fn twice(json: &str) -> Option<String> {
    let bytes = json.as_bytes();
    // The names of all objects that stand open, innermost last, and where those of each begin.
    let mut names: Vec<Cow<str>> = Vec::with_capacity(64);
    let mut open: Vec<usize> = Vec::with_capacity(16);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' => open.push(names.len()),
            b'}' => {
                let first = open.pop()?.min(names.len());
                if let Some(name) = twice_among_many(&mut names[first..]) {
                    return Some(name);
                }
                names.truncate(first);
            }
            b'"' => {
                let (end, escaped) = string_end(bytes, at);
                if is_name(&bytes[end..]) {
                    let name = unescaped(json.get(at..end - 1)?, escaped);
                    let own = &names[(*open.last()?).min(names.len())..];
                    if own.len() < FEW && own.contains(&name) {
                        return Some(excerpt(&name).into_owned());
                    }
                    names.push(name);
                }
                at = end;
            }
            _ => {}
        }
    }
    None
}

/// Behind the closing quote of the string that begins at `at`, and whether it has escapes.
fn string_end(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut escaped = false;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => return (at, escaped),
            b'\\' => {
                escaped = true;
                at += 1;
            }
            _ => {}
        }
    }
    (bytes.len(), escaped)
}

/// Only names are followed by a colon.
fn is_name(behind: &[u8]) -> bool {
    behind.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

fn unescaped(name: &str, escaped: bool) -> Cow<'_, str> {
    if !escaped {
        return Cow::Borrowed(name);
    }
    serde_json::from_str(&format!("\"{name}\"")).map_or(Cow::Borrowed(name), Cow::Owned)
}

/// Of objects with few names each was compared as it came.
fn twice_among_many(names: &mut [Cow<str>]) -> Option<String> {
    if names.len() <= FEW {
        return None;
    }
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| excerpt(&pair[0]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_twice_is_found_at_any_depth_and_in_any_spelling() {
        let found = |json: &str| twice(json);
        assert_eq!(found(r#"{"a":{"b":1,"c":[{"b":2,"d":null}]},"b":"x"}"#), None);
        assert_eq!(found(r#"{"a":[{"b":1,"c":true,"b":2}]}"#), Some("b".to_owned()));
        assert_eq!(found(r#"{"ab":1,"\u0061b" : 1.5}"#), Some("ab".to_owned()));
        assert_eq!(found(r#"{"q\"":1,"q\\":2,"v":"a\":\"a"}"#), None);
        assert_eq!(found(r#"{"a":"a","b":["a","a"],"c":{"a":"a"}}"#), None);
        let many: Vec<String> = (0..100).map(|n| format!("\"n{n}\":{{\"n{n}\":{n}}}")).collect();
        assert_eq!(found(&format!("{{{}}}", many.join(","))), None);
        assert_eq!(found(&format!("{{{},\"n77\":0}}", many.join(","))), Some("n77".to_owned()));
        assert_eq!(found(&format!("{{\"n3\":0,{}}}", many[..10].join(","))), Some("n3".to_owned()));
    }

    #[test]
    fn what_is_no_json_does_no_harm() {
        for text in ["", "}", "]", "{\"", "{\"a", "{\"a\\", "\"a\":", "{\"é\\", "}}{{", "{\"a\":1}}\"a\":{"] {
            twice(text);
        }
    }
}
