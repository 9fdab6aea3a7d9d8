//! What devices tell of their file systems: free space and the MD5 of a file. Pure.

use std::fmt;
use std::time::Duration;

use super::Error;
use super::own_file::OwnFile;

/// What one transfer of a file may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// The largest file, in bytes.
    pub size: u64,
    /// From the first byte to the last.
    pub time: Duration,
}

impl Default for FileLimits {
    fn default() -> Self {
        FileLimits { size: 64 << 20, time: Duration::from_secs(600) }
    }
}

/// An MD5 digest as a device prints it. It proves that text came whole over a terminal, nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Md5(pub [u8; 16]);

impl Md5 {
    pub fn of(bytes: &[u8]) -> Md5 {
        Md5(md5::compute(bytes).0)
    }

    /// The digest in the answer to `verify /md5 FILE` (IOS XE: `verify /md5 (FILE) = <digest>`),
    /// `show md5 file FILE` (IOS XR) or `show file FILE md5sum` (NX-OS): the last word of 32 hex digits.
    pub fn told(text: &str) -> Option<Md5> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        let mut digests = words.filter(|word| word.len() == 32).filter_map(|word| {
            let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(word.as_bytes()).ok()?;
            bytes.try_into().ok().map(Md5)
        });
        digests.next_back()
    }
}

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// The free bytes in the answer to `dir`: IOS XE `11353194496 bytes total (9544220672 bytes free)`, IOS XR
/// `1012660 kbytes total (938376 kbytes free)`, NX-OS `47063310336 bytes free` on a line of its own.
pub fn free_space(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || "()".contains(c)).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let mut free = words.windows(3).filter_map(|three| {
        let [number, unit, "free"] = three else { return None };
        let number: u64 = number.parse().ok()?;
        match unit.to_ascii_lowercase().as_str() {
            "bytes" => Some(number),
            "kbytes" => number.checked_mul(1024),
            _ => None,
        }
    });
    free.next_back()
}

/// The size in bytes of the file `name` in the answer to `dir`: on all three systems the number before the month.
pub fn file_size(text: &str, name: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let line = text.lines().find(|line| line.split_whitespace().last().is_some_and(|last| last.ends_with(name)))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let month = words.iter().position(|word| MONTHS.contains(word))?;
    words.get(month.checked_sub(1)?)?.parse().ok()
}

/// The files of ours in the answer to `dir`, whoever wrote them: the last word of a line is a name.
pub fn own_files(text: &str) -> impl Iterator<Item = OwnFile> {
    text.lines().filter_map(|line| OwnFile::try_from(line.split_whitespace().last()?).ok())
}

/// Refuses to begin where `needed` bytes and as much again as a reserve do not fit.
///
/// The answer to `dir` that tells nothing is no reason to stop: the write itself will be refused.
pub fn require_space(step: &'static str, dir: &str, needed: u64) -> Result<(), Error> {
    const RESERVE: u64 = 1 << 20;
    match free_space(dir) {
        Some(free) if free < needed.saturating_add(RESERVE) => Err(Error::NoSpace { step, needed, free }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_of_the_three_systems() {
        let xe = "Directory of bootflash:/\n\n11  -rw-  30  Nov 10 2021 15:09:55 +00:00  slpc-a.xml\n\n11353194496 bytes total (9544220672 bytes free)\n";
        let xr = "Directory of harddisk:\n  11 -rw-r--r--. 1 30 Nov 10 15:09 slpc-a.xml\n\n1012660 kbytes total (938376 kbytes free)\n";
        let nx = "       4096    Nov 10 15:09:55 2021  .rpmstore/\n\nUsage for bootflash://sup-local\n 5025853440 bytes used\n47063310336 bytes free\n52089163776 bytes total\n";
        assert_eq!(free_space(xe), Some(9_544_220_672));
        assert_eq!(free_space(xr), Some(938_376 * 1024));
        assert_eq!(free_space(nx), Some(47_063_310_336));
        assert_eq!(file_size(xe, "slpc-a.xml"), Some(30));
        assert_eq!(file_size(xr, "slpc-a.xml"), Some(30));
        assert_eq!(file_size(nx, "slpc-a.xml"), None);
        assert_eq!(file_size("    30    Nov 10 15:09:55 2021  slpc-a.xml\n", "slpc-a.xml"), Some(30));
        for listing in [xe, xr] {
            assert_eq!(own_files(listing).map(|file| file.to_string()).collect::<Vec<_>>(), ["slpc-a.xml"]);
        }
        assert_eq!(own_files(nx).count(), 0);
        assert_eq!(free_space("No files in directory\n"), None);
        assert_eq!(free_space("99999999999999999999 bytes free"), None);
        assert_eq!(free_space("18446744073709551615 kbytes free"), None);
        assert!(require_space("save", xr, 900 << 20).is_ok());
        assert!(matches!(require_space("save", xr, 1 << 30), Err(Error::NoSpace { .. })));
    }

    #[test]
    fn digests_of_the_three_systems() {
        let digest = "900150983cd24fb0d6963f7d28e17f72";
        for text in [
            format!("....Done!\nverify /md5 (bootflash:slpc-a.xml) = {digest}\n"),
            format!("{digest}\n"),
            format!("{}\n", digest.to_uppercase()),
        ] {
            assert_eq!(Md5::told(&text), Some(Md5::of(b"abc")), "{text}");
        }
        assert_eq!(Md5::told("no such file"), None);
        assert_eq!(Md5::told(&format!("{digest}0")), None);
        assert_eq!(Md5::of(b"abc").to_string(), digest);
    }
}
