//! What a script expects; the transcript shows more, these fail by themselves.

use slp_collector::domain::violation::Stage;

use super::world::{World, instant};

impl World {
    /// Checks one expectation.
    pub fn expect(&self, words: &[&str]) -> Result<(), String> {
        match words {
            ["due", name, day] => {
                let (due, expected) = (self.row(name)?.due, instant(day)?);
                let day = |at: jiff::Timestamp| at.strftime("%Y-%m-%d").to_string();
                same(due.map(day), Some(day(expected)))
            }
            ["basis", name, basis] => same(self.row(name)?.basis.to_string(), (*basis).to_owned()),
            ["contact", name, contact] => same(self.row(name)?.contact.to_string(), (*contact).to_owned()),
            ["violation", kind, name] => {
                let id = self.violation(kind, name)?;
                let stage = self.fleet.violations[&id].stage(self.now);
                if stage == Stage::Resolved { Err(format!("{kind} of {name} is resolved")) } else { Ok(()) }
            }
            ["no", "violation", kind, name] => match self.violation(kind, name) {
                Ok(id) => same(self.fleet.violations[&id].stage(self.now), Stage::Resolved),
                Err(_) => Ok(()),
            },
            ["told", topic, name] => {
                let told = self.told.iter().filter(|message| message.topic.to_string() == *topic);
                let named = told.flat_map(|message| &message.lines).any(|line| line.name == *name);
                if named { Ok(()) } else { Err(format!("told was: {:?}", self.titles())) }
            }
            ["told", "nothing"] => same(self.titles(), Vec::new()),
            [state, name] => same(self.row(name)?.state.to_string(), (*state).to_owned()),
            _ => Err("no such expectation".to_owned()),
        }
    }

    fn titles(&self) -> Vec<&str> {
        self.told.iter().map(|message| message.title.as_str()).collect()
    }
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, expected: T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("expected {expected:?}, got {got:?}")) }
}
