//! How a device speaks NX-API.

/// Knobs of the NX-API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NxApi {
    /// Knows JSON-RPC; older releases have only the form `ins_api`.
    pub json_rpc: bool,
    /// Sets the cookie that spares the next login.
    pub cookie: bool,
    /// Refuses a request of the form `ins_api` in which `input` stands before `type`.
    pub strict_order: bool,
    /// One output or answer is an object, not a list of one, as in public recordings.
    pub single_as_object: bool,
}

impl Default for NxApi {
    fn default() -> NxApi {
        NxApi { json_rpc: true, cookie: true, strict_order: true, single_as_object: true }
    }
}
