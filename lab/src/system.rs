//! The three systems of Cisco that the fleet runs, and what tells them apart before a word is said: flash and prompt.

use serde::Serialize;

/// The operating system of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    IosXe,
    IosXr,
    NxOs,
}

impl System {
    pub const ALL: [System; 3] = [System::IosXe, System::IosXr, System::NxOs];

    /// As an inventory writes it: `ios-xe`, `ios-xr`, `nx-os`.
    pub fn name(self) -> &'static str {
        match self {
            System::IosXe => "ios-xe",
            System::IosXr => "ios-xr",
            System::NxOs => "nx-os",
        }
    }

    /// Every name of a file system on flash; the first is the one that bare names and `dir` mean.
    pub fn file_systems(self) -> &'static [&'static str] {
        match self {
            System::IosXe => &["bootflash:", "flash:"],
            System::IosXr => &["harddisk:", "disk0:"],
            System::NxOs => &["bootflash:"],
        }
    }

    /// The device's own name for the file at a path, or `None` when no file system is called so.
    ///
    /// `bootflash:a`, `flash:/a` and `a` are one file on IOS XE. On IOS XR `disk0:a` is another than `harddisk:a`; all
    /// share one free space. Clients that know only absolute paths put a slash before: `/bootflash:a`, `/bootflash/a`.
    pub fn file(self, path: &str) -> Option<String> {
        let path = path.trim_start_matches('/');
        let systems = self.file_systems();
        let slashed = |system: &str| {
            let bare = system.trim_end_matches(':');
            path.strip_prefix(bare).and_then(|rest| rest.strip_prefix(':').or_else(|| rest.strip_prefix('/')))
        };
        let (place, name) = match systems.iter().enumerate().find_map(|(at, system)| Some((at, slashed(system)?))) {
            Some((at, rest)) => (at, rest.trim_start_matches('/')),
            None if path.contains(':') => return None,
            None => (0, path),
        };
        if name.is_empty() {
            return None;
        }
        // Only on IOS XR are two names two places.
        let elsewhere = self == System::IosXr && place > 0;
        Some(if elsewhere { format!("{}{name}", systems[place]) } else { name.to_string() })
    }

    /// The file system of a path such as `bootflash:` or `/harddisk:/`, when it names one and nothing in it.
    pub fn directory(self, path: &str) -> Option<&'static str> {
        let bare = path.trim_matches('/').trim_end_matches(':');
        if bare.is_empty() || bare == "." {
            return self.file_systems().first().copied();
        }
        self.file_systems().iter().copied().find(|system| system.trim_end_matches(':') == bare)
    }

    /// What stands between host name and command line; `privileged` is IOS XE's matter alone.
    pub fn prompt(self, host: &str, privileged: bool, standby: bool) -> String {
        match self {
            System::IosXe => {
                let (standby, sign) = (if standby { "-stby" } else { "" }, if privileged { '#' } else { '>' });
                format!("{host}{standby}{sign}")
            }
            // Its standby shows no prompt at all.
            System::IosXr => format!("RP/0/RP0/CPU0:{host}#"),
            System::NxOs => format!("{host}{}# ", if standby { "(standby)" } else { "" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_many_paths() {
        for path in ["a.txt", "bootflash:a.txt", "flash:/a.txt", "/bootflash:a.txt", "/flash/a.txt"] {
            assert_eq!(System::IosXe.file(path).as_deref(), Some("a.txt"), "{path}");
        }
        for path in ["harddisk:a.txt", "/harddisk:/a.txt", "a.txt"] {
            assert_eq!(System::IosXr.file(path).as_deref(), Some("a.txt"), "{path}");
        }
        assert_eq!(System::IosXr.file("disk0:/a.txt").as_deref(), Some("disk0:a.txt"));
        for path in ["usb9:a.txt", "bootflash:", "", "/"] {
            assert_eq!(System::NxOs.file(path), None, "{path}");
        }
        assert_eq!(System::IosXr.directory("/harddisk:/"), Some("harddisk:"));
        assert_eq!(System::NxOs.directory("bootflash:a"), None);
    }

    #[test]
    fn prompts() {
        assert_eq!(System::IosXe.prompt("edge-1", false, false), "edge-1>");
        assert_eq!(System::IosXr.prompt("edge-1", true, false), "RP/0/RP0/CPU0:edge-1#");
        assert_eq!(System::NxOs.prompt("edge-1", true, true), "edge-1(standby)# ");
    }
}
