//! How this machine is called, for protocols in which a sender names itself.

use std::sync::LazyLock;

/// As the kernel has it, where that is a name in plain letters.
static NAME: LazyLock<Option<String>> = LazyLock::new(|| {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (!name.is_empty() && name.len() <= 253 && name.bytes().all(good)).then(|| name.to_owned())
});

/// The host's name; `None` where it has none that may be sent.
pub(super) fn name() -> Option<&'static str> {
    NAME.as_deref()
}
