//! NX-API.
