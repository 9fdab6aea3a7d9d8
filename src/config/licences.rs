//! The operator's tables of licences: `licences.csv` (names and tiers) and `entitlements.csv` (what was bought).
//!
//! As in the inventory the first row names the columns, in any order; lines that start with `#` are comments. A row with
//! a mistake is told with its line, and nothing of the configuration is taken then.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;

use super::mistake::{Mistakes, one_of};
use super::raw::printable;
use super::rows::{Columns, Row, Rows, text_of};
use super::terms::Terms;
use crate::domain::settings::{Word, words};
use crate::domain::snapshot::{Entitlement, Naming, OperatorNames};

/// What the operator's tables say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Licences {
    pub names: OperatorNames,
    /// `None`: no file of them is named.
    pub entitlements: Option<Vec<Entitlement>>,
}

/// Reads the files that `[snapshot]` names.
pub(super) fn read(terms: &Terms, mistakes: &mut Mistakes) -> Licences {
    let names = terms.names.as_deref().map(|file| names(file, mistakes)).unwrap_or_default();
    let entitlements = terms.entitlements.as_deref().map(|file| entitlements(file, mistakes));
    Licences { names: names.into_iter().collect(), entitlements }
}

/// A column of `licences.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calling {
    Licence,
    Named,
    Tier,
    Family,
}
words!(Calling { Licence = "licence", Named = "name", Tier = "tier", Family = "family" });

impl Columns for Calling {
    const NEEDED: &'static [Calling] = &[Calling::Licence];
    const EXAMPLE: &'static str = "licence,name,tier,family";
}

fn names(file: &Path, mistakes: &mut Mistakes) -> Vec<(String, Naming)> {
    let mut names = Vec::new();
    let mut lines: HashMap<String, usize> = HashMap::new();
    each(file, "a line for each licence", mistakes, |table: &mut Table<'_, Calling>, row| {
        let naming = Naming {
            name: row.text(Calling::Named).map(Arc::from),
            license_type: None,
            tier: table.word(row, Calling::Tier),
            family: table.word(row, Calling::Family),
        };
        let Some(licence) = table.needed(row, Calling::Licence) else { return };
        if [Calling::Named, Calling::Tier, Calling::Family].iter().all(|column| row.field(*column).is_none()) {
            let message = "says nothing of the licence; write its name, its tier or its family";
            table.mistakes.add(file, row.line, message);
        }
        match lines.get(&licence) {
            Some(first) => {
                let message = format!("licence {:?} is at line {first}, too; write it once", printable(&licence));
                table.mistakes.add(file, row.line, message);
            }
            None => {
                lines.insert(licence.clone(), row.line);
                names.push((licence, naming));
            }
        }
    });
    names
}

/// A column of `entitlements.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bought {
    Account,
    Suite,
    Licence,
    Quantity,
    Tier,
    GrowthAllowance,
    TermStart,
    TermEnd,
    Milestones,
    RateModel,
}
words!(Bought {
    Account = "account",
    Suite = "suite",
    Licence = "licence",
    Quantity = "quantity",
    Tier = "tier",
    GrowthAllowance = "growth_allowance",
    TermStart = "term_start",
    TermEnd = "term_end",
    Milestones = "milestones",
    RateModel = "rate_model",
});

impl Columns for Bought {
    const NEEDED: &'static [Bought] =
        &[Bought::Account, Bought::Licence, Bought::Quantity, Bought::TermStart, Bought::TermEnd];
    const EXAMPLE: &'static str = "account,licence,quantity,term_start,term_end";
}

/// A line, and the first and last day of its term.
type Place = (usize, Date, Date);

/// The longest term that is reckoned over.
const LONGEST_YEARS: i16 = 20;

fn entitlements(file: &Path, mistakes: &mut Mistakes) -> Vec<Entitlement> {
    let mut bought: Vec<Entitlement> = Vec::new();
    // Where each licence of an account is, and for which time.
    let mut places: HashMap<(String, String), Vec<Place>> = HashMap::new();
    each(file, "a line for each entitlement", mistakes, |table: &mut Table<'_, Bought>, row| {
        let account = table.needed(row, Bought::Account);
        let licences = table.needed(row, Bought::Licence).map(|text| parts(&text));
        let quantity = table
            .value(row, Bought::Quantity, |text| text.parse::<u64>().map_err(|_| "write a whole number".to_owned()));
        let term = (table.value(row, Bought::TermStart, date), table.value(row, Bought::TermEnd, date));
        let more = (
            table.word(row, Bought::Tier),
            table.value(row, Bought::GrowthAllowance, percent),
            table.word(row, Bought::Milestones),
        );
        for column in [Bought::Quantity, Bought::TermStart, Bought::TermEnd] {
            table.needed(row, column);
        }
        let (Some(account), Some(licences), Some(quantity)) = (account, licences, quantity) else { return };
        let (Some(term_start), Some(term_end)) = term else { return };
        if term_end < term_start || term_end.year() - term_start.year() > LONGEST_YEARS {
            let message = format!(
                "the term is from {term_start} to {term_end}; write an end that is not before the start, and at most \
                 {LONGEST_YEARS} years after it"
            );
            table.mistakes.add(file, row.line, message);
            return;
        }
        if licences.is_empty() {
            table.mistakes.add(file, row.line, "names no licence; write its tag or its name, several with ; between");
        }
        for licence in &licences {
            let known = places.entry((account.to_lowercase(), licence.to_lowercase())).or_default();
            if let Some((line, ..)) = known.iter().find(|(_, start, end)| *start <= term_end && term_start <= *end) {
                let message = format!(
                    "licence {:?} of account {:?} is at line {line} for that time, too; write one line with the \
                     quantity of both, or terms that do not overlap",
                    printable(licence),
                    printable(&account)
                );
                table.mistakes.add(file, row.line, message);
            }
            known.push((row.line, term_start, term_end));
        }
        let (tier, growth_allowance, milestones) = more;
        bought.push(Entitlement {
            account,
            suite: row.text(Bought::Suite),
            licences,
            quantity,
            tier,
            growth_allowance,
            term_start,
            term_end,
            milestones,
            rate_model: row.text(Bought::RateModel),
        });
    });
    bought
}

/// A file that is read row by row.
struct Table<'t, C> {
    file: &'t Path,
    mistakes: &'t mut Mistakes,
    columns: std::marker::PhantomData<C>,
}

fn each<C: Columns>(
    file: &Path,
    then: &str,
    mistakes: &mut Mistakes,
    mut take: impl FnMut(&mut Table<'_, C>, &Row<'_, C>),
) {
    let instead = format!("a first line such as {}, then {then}", C::EXAMPLE);
    let Some(text) = text_of(file, &instead, mistakes) else { return };
    let Some(mut rows) = Rows::<C>::open(&text, file, mistakes) else { return };
    while let Some(row) = rows.next(mistakes) {
        take(&mut Table { file, mistakes, columns: std::marker::PhantomData }, &row);
    }
}

impl<C: Columns> Table<'_, C> {
    /// The text of a field that must be there.
    fn needed(&mut self, row: &Row<'_, C>, column: C) -> Option<String> {
        let text = row.text(column);
        if text.is_none() {
            let word = column.word();
            self.mistakes.add(self.file, row.line, format!("has no {word}; write one"));
        }
        text
    }

    fn word<T: Word>(&mut self, row: &Row<'_, C>, column: C) -> Option<T> {
        self.value(row, column, |text| {
            T::of_word(text).map_err(|unknown| format!("write {}", one_of(unknown.expected)))
        })
    }

    /// The field read; `None` where it is empty or a mistake.
    fn value<T>(&mut self, row: &Row<'_, C>, column: C, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = row.field(column)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(instead) => {
                let message = format!("{} is {:?}; {instead}", column.word(), printable(text));
                self.mistakes.add(self.file, row.line, message);
                None
            }
        }
    }
}

fn parts(text: &str) -> Vec<String> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn date(text: &str) -> Result<Date, String> {
    let instead = || "write a day such as 2026-01-31".to_owned();
    let date: Date = text.parse().map_err(|_| instead())?;
    if text.len() == 10 && (1990..=2200).contains(&date.year()) { Ok(date) } else { Err(instead()) }
}

fn percent(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end().parse().ok();
    number.filter(|percent| *percent <= 1000).ok_or_else(|| "write a percentage such as 15%".to_owned())
}
