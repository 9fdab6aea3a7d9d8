//! Which rows of the register are asked for: `?state=overdue&site=branch-1&page=2&rows=100`.

use super::figures::Figures;
use crate::domain::deadline::ObligationState;
use crate::domain::fleet::Fleet;
use crate::domain::overview::{Entry, Who};
use crate::domain::status::{self, Row};

const ROWS: usize = 100;
const MOST_ROWS: usize = 1000;

/// The question, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) site: Option<String>,
    pub(super) state: Option<ObligationState>,
    /// From 1.
    pub(super) page: usize,
    /// On one page.
    pub(super) rows: usize,
}

/// The rows of one page.
pub(super) struct Part {
    pub(super) rows: Vec<Row>,
    /// All that the question covers.
    pub(super) matching: usize,
    pub(super) pages: usize,
}

impl Query {
    /// Reads what stands after the `?`; else says what may stand there.
    pub(super) fn read(text: &str) -> Result<Query, String> {
        let mut query = Query { site: None, state: None, page: 1, rows: ROWS };
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value).ok_or("expected UTF-8 with %XX where needed")?;
            let number = |most: usize| match value.parse() {
                Ok(number) if (1..=most).contains(&number) => Ok(number),
                _ => Err(format!("{key}: expected a number from 1 to {most}")),
            };
            match key {
                // An empty field of the form asks for nothing.
                "site" => query.site = Some(value).filter(|site| !site.is_empty()),
                "state" if value.is_empty() => query.state = None,
                "state" => query.state = Some(value.parse().map_err(|unknown| format!("state: {unknown}"))?),
                "page" => query.page = number(usize::MAX)?,
                "rows" => query.rows = number(MOST_ROWS)?,
                _ => return Err("expected site, state, page or rows".to_owned()),
            }
        }
        Ok(query)
    }

    /// Its rows. The figures choose them; what they say is read now.
    pub(super) fn part(&self, figures: &Figures) -> Part {
        let (view, overview) = (&figures.view, &figures.overview);
        let covered = |entry: &&Entry| {
            self.state.is_none_or(|state| state == entry.state)
                && self.site.as_ref().is_none_or(|site| entry.site(&view.watched).is_some_and(|own| *own.0 == **site))
        };
        let matching: Vec<&Entry> = overview.entries.iter().filter(covered).collect();
        let from = self.page.saturating_sub(1).saturating_mul(self.rows);
        let fleet = view.ledger.fleet();
        let open = status::Open::of(&fleet, figures.overview.at);
        let rows = matching.iter().skip(from).take(self.rows).filter_map(|entry| row(entry, figures, &fleet, &open));
        Part { rows: rows.collect(), matching: matching.len(), pages: matching.len().div_ceil(self.rows).max(1) }
    }

    /// The same question, for another page or state.
    pub(super) fn link(&self) -> String {
        let mut pairs = Vec::new();
        pairs.extend(self.state.map(|state| format!("state={state}")));
        pairs.extend(self.site.as_ref().map(|site| format!("site={}", encode(site))));
        if self.rows != ROWS {
            pairs.push(format!("rows={}", self.rows));
        }
        if self.page != 1 {
            pairs.push(format!("page={}", self.page));
        }
        format!("?{}", pairs.join("&"))
    }
}

fn row(entry: &Entry, figures: &Figures, fleet: &Fleet, open: &status::Open<'_>) -> Option<Row> {
    let (view, at) = (&figures.view, figures.overview.at);
    match &entry.who {
        Who::Listed(index) => {
            let device = view.watched.get(*index)?;
            let instance = fleet.of_device(&device.name);
            Some(status::row(fleet, open, instance, Some(device), &view.settings, at, at))
        }
        Who::Gone(gone) => {
            let instance = fleet.instances.get(&gone.udi)?;
            Some(status::row(fleet, open, Some(instance), None, &view.settings, at, at))
        }
    }
}

/// What a form made of a text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                data_encoding::HEXLOWER_PERMISSIVE.decode(&digits).ok()?.pop()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_a_form_sends_it() {
        let query = Query::read("state=due-soon&site=h%C3%B6fe+%2F1&page=3&rows=7").unwrap();
        let expected =
            Query { site: Some("höfe /1".to_owned()), state: Some(ObligationState::DueSoon), page: 3, rows: 7 };
        assert_eq!(query, expected);
        assert_eq!(Query::read(&query.link()[1..]), Ok(query));
        assert_eq!(Query::read("state=&site=").unwrap(), Query::read("").unwrap());
        assert_eq!(Query::read("").unwrap().link(), "?");
    }

    #[test]
    fn what_is_not_asked_like_that_is_refused() {
        let bad =
            ["x=1", "page=0", "page=-1", "page=99999999999999999999", "rows=1001", "state=ill", "site=%ff", "site=%f"];
        for text in bad {
            assert!(Query::read(text).is_err(), "{text}");
        }
    }
}
