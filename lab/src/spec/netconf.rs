//! How a device speaks NETCONF.

/// Knobs of the NETCONF server. Which models it serves follows from [`crate::spec::StateModel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Netconf {
    /// Offers base 1.1, and with it chunks.
    pub base_1_1: bool,
    /// Bytes a chunk of what it sends; 0 sends each message as one.
    pub chunk: usize,
    /// Answers to a filter with a node of a later release are errors; else such a node selects nothing.
    pub strict_filter: bool,
    /// Bytes of a message it takes.
    pub message: usize,
}

impl Default for Netconf {
    fn default() -> Netconf {
        Netconf { base_1_1: true, chunk: 0, strict_filter: false, message: 1 << 20 }
    }
}
