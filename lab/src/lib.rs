//! A simulated Cisco fleet.
