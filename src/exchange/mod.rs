//! What goes to Cisco and comes back, when people carry it: archives, signed bundles, answers;
//! and what stays for the customer: signed snapshots.
//!
//! The only place that knows the archive formats. A path out of a foreign archive is a name to
//! show and never a path to open.

pub mod answer;
pub mod archive;
pub mod bundle;
pub mod handout;
pub mod seal;
pub mod snapshot;
