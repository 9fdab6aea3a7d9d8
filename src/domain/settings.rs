//! The words an operator chooses from: how far to go, who reports, what to trust.
//!
//! Each enum is written and **stored** as kebab-case text and knows all of its words, so that a
//! mistake can say what may be written instead.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The text is none of the words of a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}, got {got:?}", .expected.join(", "))]
pub struct UnknownWord {
    pub expected: &'static [&'static str],
    pub got: String,
}

/// A closed set of words, each a value.
pub trait Word: Copy + 'static {
    /// Every word, in the order a manual would list them.
    const WORDS: &'static [&'static str];
    /// The value of each word, in the same order.
    const ALL: &'static [Self];

    /// The word of this value.
    fn word(self) -> &'static str;

    /// The value of a word.
    fn of_word(text: &str) -> Result<Self, UnknownWord> {
        let at = Self::WORDS.iter().position(|word| *word == text);
        at.map(|at| Self::ALL[at])
            .ok_or_else(|| UnknownWord { expected: Self::WORDS, got: text.chars().take(80).collect() })
    }
}

/// Writes the words of an enum once, for [`Word`], `Display` and `FromStr`.
macro_rules! words {
    ($type:ty { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $crate::domain::settings::Word for $type {
            const WORDS: &'static [&'static str] = &[$($word),+];
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad($crate::domain::settings::Word::word(*self))
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::domain::settings::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::domain::settings::Word::of_word(text)
            }
        }
    };
}
pub(crate) use words;

/// How far the collector may go on a device. **stored**
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Reads state and lists of report ids; writes nothing.
    #[default]
    Observe,
    /// Also fetches reports, and closes them for an exchange.
    Collect,
    /// Also imports ACKs, policies and codes.
    Deliver,
}
words!(Mode { Observe = "observe", Collect = "collect", Deliver = "deliver" });

/// Who brings a device's reports to Cisco. **stored**
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reporter {
    /// We do: the only one for whom reports are gathered into bundles.
    #[default]
    Collector,
    OnPrem,
    Cslu,
    CatalystCenter,
    SdWanManager,
    /// The device itself, directly.
    Device,
}
words!(Reporter {
    Collector = "collector",
    OnPrem = "on-prem",
    Cslu = "cslu",
    CatalystCenter = "catalyst-center",
    SdWanManager = "sd-wan-manager",
    Device = "device",
});

/// What makes a device's certificate or host key good. **stored**
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The first one seen is pinned.
    #[default]
    Learn,
    /// The pin is given in the inventory.
    Pinned,
    /// Chain and name are verified.
    Ca,
}
words!(Trust { Learn = "learn", Pinned = "pinned", Ca = "ca" });

/// The operating system of a device. **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Os {
    IosXe,
    IosXr,
    NxOs,
}
words!(Os { IosXe = "ios-xe", IosXr = "ios-xr", NxOs = "nx-os" });

/// The way into a device. **stored**
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Found out at the first contact.
    #[default]
    Auto,
    /// The `smartlic-service` REST interface of IOS XE.
    Rest,
    /// The command line over SSH; every system has it.
    Ssh,
    /// NETCONF over SSH: state of IOS XE and IOS XR; on IOS XE reports through files.
    Netconf,
    /// RESTCONF of IOS XE: state, and reports through files.
    Restconf,
    /// The command line of NX-OS over HTTPS.
    NxApi,
    /// No way in: a person carries its reports and ACKs. It is never polled.
    ByHand,
}
words!(Access {
    Auto = "auto",
    Rest = "rest",
    Ssh = "ssh",
    Netconf = "netconf",
    Restconf = "restconf",
    NxApi = "nx-api",
    ByHand = "by-hand",
});

/// How a file gets off a device or onto it. **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileWay {
    /// The old SCP protocol.
    Scp,
    Sftp,
    /// Printed on the command line, and proved by the MD5 that the device prints of it. Only off a device.
    Inline,
}
words!(FileWay { Scp = "scp", Sftp = "sftp", Inline = "inline" });

/// A thing that a command line is asked to do. **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Tells system, software and host name.
    Version,
    /// Tells the chassis.
    Inventory,
    /// Tells the device's clock.
    Clock,
    /// Tells everything of licensing at once.
    State,
    /// Tell parts of it, where [`State`](Task::State) is not taken.
    Status,
    Usage,
    Udi,
    /// Tells what a system says of its compliance beside [`State`](Task::State).
    Compliance,
    /// Lists the reports.
    List,
    /// Writes all reports to `{file}`; ends the running ones.
    SaveAll,
    /// Writes those never handed out to `{file}`; ends the running ones.
    SaveUnreported,
    /// Writes those of the last `{days}` to `{file}`; ends the running ones.
    SaveDays,
    /// Writes the report `{id}` to `{file}`.
    SaveOne,
    /// Tells whether `{file}` is there, how large it is, and the free space.
    Space,
    /// Prints the MD5 of `{file}`.
    Digest,
    /// Prints `{file}`.
    Print,
    /// Installs `{file}`.
    Import,
    /// Deletes `{file}` without a question.
    Delete,
    /// Raises a user that the login gives too little.
    Enable,
    /// Make a terminal fit to be read: no pager, no wrapping, no log lines in between.
    Paging,
    Width,
    Monitor,
}
words!(Task {
    Version = "version",
    Inventory = "inventory",
    Clock = "clock",
    State = "state",
    Status = "status",
    Usage = "usage",
    Udi = "udi",
    Compliance = "compliance",
    List = "list",
    SaveAll = "save-all",
    SaveUnreported = "save-unreported",
    SaveDays = "save-days",
    SaveOne = "save-one",
    Space = "space",
    Digest = "digest",
    Print = "print",
    Import = "import",
    Delete = "delete",
    Enable = "enable",
    Paging = "paging",
    Width = "width",
    Monitor = "monitor",
});

impl Task {
    /// What a command line for it must name in braces.
    pub fn blanks(self) -> &'static [&'static str] {
        match self {
            Task::Version
            | Task::Inventory
            | Task::Clock
            | Task::State
            | Task::Status
            | Task::Usage
            | Task::Udi
            | Task::Compliance
            | Task::List
            | Task::Enable
            | Task::Paging
            | Task::Width
            | Task::Monitor => &[],
            Task::SaveAll
            | Task::SaveUnreported
            | Task::Space
            | Task::Digest
            | Task::Print
            | Task::Import
            | Task::Delete => &["{file}"],
            Task::SaveDays => &["{days}", "{file}"],
            Task::SaveOne => &["{id}", "{file}"],
        }
    }
}

/// A number of bytes, written with a binary unit (`64MiB`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    pub const fn mib(count: u64) -> Self {
        ByteSize(count << 20)
    }
}

/// The units of a [`ByteSize`], largest first.
const BYTE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |&&(_, size): &&(&str, u64)| self.0 >= size && self.0.is_multiple_of(size);
        let (unit, size) = BYTE_UNITS.iter().find(exact).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// The text was not a number with a unit of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a size such as 64MiB (units B, kB, KiB, MB, MiB, GB, GiB), got {got:?}")]
pub struct NotASize {
    got: String,
}

impl FromStr for ByteSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let read = || {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let (number, unit) = text.split_at(digits);
            let (_, size) = BYTE_UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
            number.parse::<u64>().ok()?.checked_mul(*size).map(ByteSize)
        };
        read().ok_or_else(|| NotASize { got: text.chars().take(80).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_word_reads_back<T>()
    where
        T: Word + fmt::Debug + fmt::Display + PartialEq + FromStr<Err = UnknownWord>,
        T: Serialize + for<'de> Deserialize<'de>,
    {
        assert_eq!(T::WORDS.len(), T::ALL.len());
        for (&word, &value) in T::WORDS.iter().zip(T::ALL) {
            assert_eq!(word.parse::<T>(), Ok(value));
            assert_eq!(value.to_string(), word);
            assert_eq!(serde_json::to_string(&value).unwrap(), format!("{word:?}"));
            assert_eq!(serde_json::from_str::<T>(&format!("{word:?}")).unwrap(), value);
        }
    }

    #[test]
    fn words_are_the_same_in_text_and_json() {
        every_word_reads_back::<Mode>();
        every_word_reads_back::<Reporter>();
        every_word_reads_back::<Trust>();
        every_word_reads_back::<Os>();
        every_word_reads_back::<Access>();
        every_word_reads_back::<FileWay>();
        every_word_reads_back::<Task>();
    }

    #[test]
    fn unknown_word_names_the_known_ones() {
        let error = "colect".parse::<Mode>().unwrap_err();
        assert_eq!(error.to_string(), r#"expected one of observe, collect, deliver, got "colect""#);
    }

    #[test]
    fn modes_are_ordered_by_reach() {
        assert!(Mode::Observe < Mode::Collect && Mode::Collect < Mode::Deliver);
    }

    #[test]
    fn sizes_read_and_print() {
        assert_eq!("64MiB".parse(), Ok(ByteSize::mib(64)));
        assert_eq!("64 MiB".parse(), Ok(ByteSize::mib(64)));
        assert!("1500".parse::<ByteSize>().is_err());
        assert_eq!("1500B".parse(), Ok(ByteSize(1500)));
        assert_eq!("2kB".parse(), Ok(ByteSize(2000)));
        assert!("99999999999GiB".parse::<ByteSize>().is_err());
        assert!("-1MiB".parse::<ByteSize>().is_err());
        for size in [0, 1, 1000, 1024, 1500, 64 << 20, 1 << 30, 3_000_000] {
            assert_eq!(ByteSize(size).to_string().parse(), Ok(ByteSize(size)));
        }
        assert_eq!(ByteSize::mib(64).to_string(), "64MiB");
    }
}
