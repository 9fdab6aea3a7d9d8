//! stub
use super::Finding;
use crate::domain::event::Fact;
use crate::domain::fleet::Fleet;
use crate::domain::plan::{Settings, Watched};
use jiff::Timestamp;
pub fn find(_: &Fleet, _: &[Watched], _: &Settings, _: Timestamp) -> Vec<Finding> {
    Vec::new()
}
pub fn news(_: &Fleet, _: Vec<Finding>, _: Timestamp) -> Vec<Fact> {
    Vec::new()
}
