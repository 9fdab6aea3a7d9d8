//! What is wrong in the operator's files, where, and what to write instead.

use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake of the operator's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// `what is wrong; what to write instead`
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// All mistakes found, sorted by file and line; displayed one a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, file: &Path, line: usize, message: impl Into<String>) {
        self.0.push(Mistake { file: file.to_owned(), line, message: message.into() });
    }

    /// `value` when there is no mistake.
    pub(super) fn or<T>(self, value: T) -> Result<T, Mistakes> {
        if self.0.is_empty() { Ok(value) } else { Err(self.sorted()) }
    }

    pub(super) fn sorted(mut self) -> Self {
        self.0.sort();
        self.0.dedup();
        self
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// What to write instead of `got`: the nearest of `known` where one is near, else all of them.
pub(super) fn rather(got: &str, known: &[&str]) -> String {
    match nearest(got, known.iter().copied()) {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => format!("write {}", one_of(known)),
    }
}

/// ` (did you mean "…"?)` where one of `known` is near, else nothing.
pub(super) fn did_you_mean<'a>(got: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(got, known).map(|nearest| format!(" (did you mean {nearest:?}?)")).unwrap_or_default()
}

fn nearest<'a>(got: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, nearest) = known.into_iter().map(|known| (distance(got, known), known)).min()?;
    (distance <= 1 + nearest.len() / 4).then_some(nearest)
}

fn distance(got: &str, known: &str) -> usize {
    let even = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    strsim::damerau_levenshtein(&even(got), &even(known))
}

/// `a, b or c`
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
