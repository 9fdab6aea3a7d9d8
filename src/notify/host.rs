//! How this machine is called, for protocols in which a sender names itself.

use std::sync::LazyLock;

/// As the kernel has it, which a hardened unit hides, or as it is set, where that is a name in plain letters.
static NAME: LazyLock<Option<String>> = LazyLock::new(|| {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    ["/proc/sys/kernel/hostname", "/etc/hostname"].into_iter().find_map(|file| {
        let name = std::fs::read_to_string(file).ok()?.trim().to_owned();
        (!name.is_empty() && name.len() <= 253 && name.bytes().all(good)).then_some(name)
    })
});

/// The host's name; `None` where it has none that may be sent.
pub(super) fn name() -> Option<&'static str> {
    NAME.as_deref()
}
