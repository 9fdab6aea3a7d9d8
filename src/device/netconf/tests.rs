//! Sessions against a peer that says exactly what a test writes down.
