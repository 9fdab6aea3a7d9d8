//! Peers that are not ours.
