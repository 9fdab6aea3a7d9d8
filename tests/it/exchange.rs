//! The exchange as a whole, with the real program and the lab's portal: a fleet of five hundred, what may go wrong with
//! an answer, a changed byte, and death at every step.

mod api;
mod bytes;
mod faults;
mod fleet;
mod kill;
pub mod portal;
