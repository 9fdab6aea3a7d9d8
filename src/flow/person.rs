//! Who asks: the system's word on it, never the asker's own.

use std::os::unix::fs::MetadataExt;

/// A user by number, as the person's name on record: the name of the local account, else `uid 1000`.
///
/// Only `/etc/passwd` is asked: a directory service may be out of reach just when it matters, and would be one more
/// thing that can forge a name.
pub fn of_uid(uid: u32) -> String {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&accounts, uid).unwrap_or_else(|| format!("uid {uid}"))
}

/// Who runs this process. Where another account logged in, as with `sudo`, the kernel's audit number tells that one
/// too; the environment could say anything.
pub fn own() -> Option<String> {
    let uid = std::fs::metadata("/proc/self").ok()?.uid();
    let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse().ok());
    Some(match login.filter(|login| *login != uid && *login != NOBODY_LOGGED_IN) {
        Some(login) => format!("{} (logged in as {})", of_uid(uid), of_uid(login)),
        None => of_uid(uid),
    })
}

/// The audit number of what no login began.
const NOBODY_LOGGED_IN: u32 = u32::MAX;

/// The name of a user in the text of `/etc/passwd`.
fn named(accounts: &str, uid: u32) -> Option<String> {
    let name = |line: &str| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        let fits = number.parse() == Ok(uid) && !name.is_empty() && !name.chars().any(char::is_control);
        fits.then(|| name.to_owned())
    };
    accounts.lines().find_map(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_first_name_that_the_system_gives_it() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\nbroken\nanna:x:1000:1000:Anna,,,:/home/anna:/bin/sh\nanni:x:1000:1::/:\n";
        assert_eq!(named(accounts, 1000).as_deref(), Some("anna"));
        assert_eq!(named(accounts, 0).as_deref(), Some("root"));
        assert_eq!(named(accounts, 1001), None);
        assert_eq!(of_uid(4_000_000_000), "uid 4000000000");
        assert!(own().is_some_and(|name| !name.is_empty()));
    }
}
