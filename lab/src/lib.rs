//! A simulated Cisco fleet on loopback, for tests, benches and the demo.
//!
//! The lab knows nothing of what is tested with it and shares no code with it: both sides exchange bytes. It runs the
//! whole loop of usage reporting in memory: devices measure, close and sign reports; faces serve them over HTTPS and on
//! command lines over SSH; a portal takes uploads and answers with acknowledgements; devices import those. No second of it waits for a real one:
//! time is a [`Clock`] that the test moves.
//!
//! **The lab encodes our reading of public sources. A green loop proves our code, not the device.**
//!
//! # Where to begin
//!
//! * [`Spec`] says what a device is; [`specs`] has ready-made ones and a varied fleet.
//! * [`Fleet::start`] makes them listen; [`Handle`] is one of them: address, truth, faults, counts.
//! * [`Device`] is the same device without a socket: [`Device::apply`] takes the time and an [`Operation`].
//! * [`truth::Witnessed`] is such a device, and beside it a log in true time of what it used and which report says so.
//! * [`cli::Cli`] is a command line without a socket: a line in, a text out, for IOS XE, IOS XR and NX-OS.
//! * [`face::subsystem::SUBSYSTEMS`] is where a protocol over SSH is plugged in.
//! * [`Portal::upload`] turns usage into acknowledgements.
//! * [`cssm::Cssm`] is Cisco's cloud API in front of a portal.
//! * [`Fault`] is everything that can go wrong on the way.
//!
//! # What is documented, inferred, invented
//!
//! *Documented by Cisco or seen in public captures:* the payload's two schemas, their members and order; the signed
//! object around; one chain of reports a licence with ids from one counter near a Unix time; counts as strings;
//! `CurrentUsageRequested` and `ProductReload`; `clock_change_delta`; members with roles; the states of a report; the
//! default policy's numbers; that an acknowledgement and not a report moves the deadline, by the smallest number that
//! is not 0 over the classes in use; paths, methods, logins and the keys `usage` and `usage_list` of the licensing
//! service; the model behind RESTCONF; 25 requests a connection and 180 s idle and life; self-signed certificates
//! that may have expired; the elements of an answer file; the nesting and names of the bundle; error names and numbers
//! and the sentences that the command line prints of them. On the command line: the layout of IOS XE's `show license`
//! outputs, its report table and record, its two header lines, its mistakes; IOS XR's timestamp line, platform table,
//! version and inventory; NX-OS's usage blocks, version, inventory and mistakes; prompts and pagers; the silence of a
//! save, `The requested item was not found` and `Import Data Successful` on IOS XE. The models behind NETCONF and their
//! RPCs, its framing and errors; the shapes of NX-API.
//!
//! *Inferred:* that a fetch over REST counts as requested; that an acknowledged report's body is dropped; the
//! first-report rule counted from the first use or the policy's installation; spellings of some enumeration values;
//! that a policy alone moves "last acknowledgement received"; that the second schema names a close reason at every
//! close; the order of elements in a saved usage file; that the answer bundle holds no manifest; that saving usage
//! on the command line ends the running reports and counts as requested; the state word `UNACK`; that IOS XR and NX-OS
//! have IOS XE's licensing commands and sections (no public capture shows them under policy: their texts follow drafts,
//! and whether the word `file` and `show license rum` exist are knobs); how OpenSSH wants a copied file to be named;
//! that NX-API takes licensing commands, and the HTTP status of one refused; that IOS XR tells usage over NETCONF.
//!
//! *Invented by the lab:* the JSON inside `smartLicenseRumAck`; every signature's making; the elements of
//! `/list` (four shapes to choose from); error bodies and statuses of the licensing service; the text of report
//! keys; which body form an import takes (three to choose from); that a chain whose count is 0 sleeps after a
//! close; that no deadline is stated where no acknowledgement is required; that a device with an account's id
//! has a trust code; reports that close by themselves; the telemetry rows; the portal's strictness and the
//! wording of its refusals. On the command line: what `dir`, hashes and deletions print on IOS XR and NX-OS, and most of
//! what they print on IOS XE; the words of a report's state change but `ACKED`; export and enforcement words other than
//! the two that captures have; how long commands take; the wording of copies that fail; all of `show version` but the
//! lines that identify a box; what a full flash or a standby says beyond the table's sentence.

pub mod account;
pub mod answer;
pub mod cli;
pub mod clock;
pub mod console;
pub mod cssm;
pub mod device;
pub mod face;
pub mod fault;
pub mod fleet;
pub mod licence;
pub mod measurement;
pub mod on_prem;
pub mod operation;
mod payload;
pub mod policy;
pub mod portal;
pub mod report;
mod saved;
mod shelf;
mod sign;
pub mod spec;
pub mod specs;
pub mod state;
pub mod system;
pub mod truth;
pub mod udi;
mod xml;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use clock::Clock;
pub use device::Device;
pub use fault::{Fault, Scope};
pub use fleet::{Fleet, Handle};
pub use operation::{Operation, Reply};
pub use portal::Portal;
pub use spec::Spec;
pub use system::System;

/// A test that panicked while it looked inside a device must not take the others with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
