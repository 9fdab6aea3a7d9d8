//! No name twice in one object, at any depth, known field or not.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::domain::problem::excerpt;

/// Up to this many names are compared one with another; more are sorted first.
const FEW: usize = 24;

/// Why names were not all found to be single.
#[derive(Debug, PartialEq, Eq)]
pub enum Odd {
    Twice(String),
    /// Not to be read at all, or nested deeper than any report is.
    Unreadable(String),
}

/// Looks at every object in `json`.
pub fn check(json: &str) -> Result<(), Odd> {
    let mut names = Names { open: Vec::with_capacity(64), twice: None };
    let read = Unique(&mut names).deserialize(&mut serde_json::Deserializer::from_str(json));
    match (read, names.twice) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(name)) => Err(Odd::Twice(name)),
        (Err(error), None) => Err(Odd::Unreadable(excerpt(&error.to_string()).into_owned())),
    }
}

/// The names of all objects that stand open, innermost last.
struct Names<'de> {
    open: Vec<Cow<'de, str>>,
    twice: Option<String>,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

struct Unique<'n, 'de>(&'n mut Names<'de>);

impl<'de> DeserializeSeed<'de> for Unique<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let names = self.0;
        let first = names.open.len();
        while let Some(Name(name)) = object.next_key::<Name>()? {
            if names.open.len() - first < FEW && names.open[first..].contains(&name) {
                names.twice = Some(excerpt(&name).into_owned());
                return Err(A::Error::custom("twice"));
            }
            names.open.push(name);
            object.next_value_seed(Unique(names))?;
        }
        if names.open.len() - first > FEW {
            names.open[first..].sort_unstable();
            if let Some(pair) = names.open[first..].windows(2).find(|pair| pair[0] == pair[1]) {
                names.twice = Some(excerpt(&pair[0]).into_owned());
                return Err(A::Error::custom("twice"));
            }
        }
        names.open.truncate(first);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Unique(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_twice_is_found_at_any_depth_and_in_any_spelling() {
        assert_eq!(check(r#"{"a":{"b":1,"c":[{"b":2,"d":null}]},"b":"x"}"#), Ok(()));
        assert_eq!(check(r#"{"a":[{"b":1,"c":true,"b":2}]}"#), Err(Odd::Twice("b".to_owned())));
        assert_eq!(check(r#"{"ab":1,"\u0061b":1.5}"#), Err(Odd::Twice("ab".to_owned())));
        let many: Vec<String> = (0..100).map(|n| format!("\"n{n}\":{n}")).collect();
        assert_eq!(check(&format!("{{{}}}", many.join(","))), Ok(()));
        assert_eq!(check(&format!("{{{},\"n77\":0}}", many.join(","))), Err(Odd::Twice("n77".to_owned())));
        assert!(matches!(check(&"[".repeat(500)), Err(Odd::Unreadable(_))));
    }
}
