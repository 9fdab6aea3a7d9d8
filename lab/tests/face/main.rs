//! The fleet through its sockets: real TLS, HTTP by hand and SSH, on loopback.

mod client;
mod faults;
mod limits;
mod restconf;
mod service;
mod terminal;

use lab::{Clock, Fleet, Handle, Spec};

pub const T0: i64 = 1_767_225_600;
pub const DAY: i64 = 86_400;

/// A fleet of one, and its device.
pub async fn alone(spec: Spec) -> (Fleet, Handle) {
    let name = spec.name.clone();
    let fleet = Fleet::start(vec![spec], Clock::at(T0)).await.expect("loopback has a free port");
    let device = fleet.device(&name);
    (fleet, device)
}
