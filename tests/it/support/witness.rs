//! A witness that notes what was written.

use slp_collector::device::{Error, Witness};
use slp_collector::domain::event::Write;

#[derive(Debug, Default)]
pub struct Noted {
    pub writes: Vec<(Write, String)>,
    pub failures: usize,
}

impl Witness for Noted {
    async fn begins(&mut self, write: Write, detail: &str) -> Result<(), Error> {
        self.writes.push((write, detail.to_owned()));
        Ok(())
    }

    async fn ended(&mut self, failure: Option<&Error>) -> Result<(), Error> {
        self.failures += usize::from(failure.is_some());
        Ok(())
    }
}
