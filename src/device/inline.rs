//! A file as a terminal printed it, proved by the MD5 that the device prints of it.
//!
//! A terminal changes line ends, wraps lines and lets log messages in between. Each way back is
//! tried; only what has the digest is taken, so a doubtful text never passes for a file.

use super::flash::Md5;
use super::shell::is_aside;

/// The widths at which terminals wrap.
const WIDTHS: &[usize] = &[80, 132, 511, 512];

/// How many lines before a file may be none of it: headers and blank lines.
const MOST_BEFORE: usize = 6;

/// The bytes of the file that was printed as `raw`, if some way back gives the digest.
pub fn prove(raw: &[u8], digest: Md5) -> Option<Vec<u8>> {
    let starts = starts(raw);
    for unlog in [false, true] {
        for wrapped in std::iter::once(None).chain(WIDTHS.iter().map(Some)) {
            for start in &starts {
                let printed = raw.get(*start..).unwrap_or_default();
                for ends in [Ends::AsPrinted, Ends::OneLess, Ends::Bare, Ends::One] {
                    let Some(body) = restored(printed, ends, wrapped.copied(), unlog) else { continue };
                    if let Some(found) = with_some_end(body, digest) {
                        return Some(found);
                    }
                }
            }
        }
    }
    None
}

/// What stands before LF.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// Left as it came.
    AsPrinted,
    /// The terminal put one CR before each LF.
    OneLess,
    /// No CR belongs there.
    Bare,
    /// One CR belongs before each LF.
    One,
}

/// Where the file may begin: at once, or behind lines that are headers or blank.
fn starts(raw: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in raw.split_inclusive(|byte| *byte == b'\n').take(MOST_BEFORE) {
        let text = String::from_utf8_lossy(line);
        if !text.trim().is_empty() && !is_aside(text.trim()) {
            break;
        }
        at += line.len();
        starts.push(at);
    }
    starts
}

/// `None` where this way changes nothing that another one has not tried.
fn restored(printed: &[u8], ends: Ends, wrapped: Option<usize>, unlog: bool) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(printed.len());
    let mut changed = (!unlog, wrapped.is_none());
    for line in printed.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n") else {
            body.extend_from_slice(line);
            continue;
        };
        let bare_length = text.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        let bare = text.get(..bare_length).unwrap_or_default();
        if unlog && bare.contains(&b'%') && is_aside(&String::from_utf8_lossy(bare)) {
            changed.0 = true;
            continue;
        }
        if wrapped == Some(bare.len()) {
            changed.1 = true;
            body.extend_from_slice(bare);
            continue;
        }
        let kept = match ends {
            Ends::AsPrinted => text,
            Ends::OneLess => text.strip_suffix(b"\r").unwrap_or(text),
            Ends::Bare | Ends::One => bare,
        };
        body.extend_from_slice(kept);
        body.extend_from_slice(if ends == Ends::One { b"\r\n" } else { b"\n" });
    }
    (changed == (true, true)).then_some(body)
}

/// The terminal may have added a line end behind the file, or more, or taken none.
fn with_some_end(mut body: Vec<u8>, digest: Md5) -> Option<Vec<u8>> {
    let bare = body.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    let is = |bytes: &[u8]| Md5::of(bytes) == digest;
    if is(&body) {
        return Some(body);
    }
    let mut begun = md5::Context::new();
    begun.consume(body.get(..bare).unwrap_or_default());
    for end in [&b""[..], b"\n", b"\r\n", b"\n\n"] {
        let mut context = begun.clone();
        context.consume(end);
        if context.finalize().0 == digest.0 {
            body.truncate(bare);
            body.extend_from_slice(end);
            return Some(body);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str =
        "<smartLicense><RUMReport><![CDATA[{\"payload\":\"x\"}]]></RUMReport>\n<a>\u{e4}</a></smartLicense>";

    fn proved(printed: &str, file: &str) {
        let found = prove(printed.as_bytes(), Md5::of(file.as_bytes()));
        assert_eq!(found.as_deref(), Some(file.as_bytes()), "{printed:?}");
    }

    #[test]
    fn line_ends_are_found() {
        let crlf = XML.replace('\n', "\r\n");
        for file in [XML.to_owned(), format!("{XML}\n"), format!("{XML}\n\n"), crlf.clone(), format!("{crlf}\r\n")] {
            for printed_lf in ["\n", "\r\n", "\r\r\n"] {
                let printed = file.replace('\n', printed_lf);
                proved(&printed, &file);
                proved(&format!("{printed}{printed_lf}"), &file);
                proved(&format!("{printed_lf}{printed}{printed_lf}"), &file);
            }
        }
        let mixed = "<a/>\n<b/>\r\n<c/>\n";
        proved(&mixed.replace('\n', "\r\n"), mixed);
    }

    #[test]
    fn headers_wrapping_and_log_lines_are_undone() {
        let header = "Load for five secs: 1%/0%; one minute: 0%; five minutes: 0%\r\nTime source is NTP, 15:09:55.102 UTC Wed Nov 10 2021\r\n\r\n";
        let file = format!("{}{XML}\n", "<a/>".repeat(300));
        let printed = file.replace('\n', "\r\n");
        proved(&format!("{header}{printed}"), &file);
        proved(&format!("Tue Jul  2 13:48:07.272 UTC\r\n{printed}"), &file);
        let mut wrapped = String::new();
        for line in file.lines() {
            let chars: Vec<char> = line.chars().collect();
            for piece in chars.chunks(80) {
                wrapped.extend(piece);
                wrapped.push_str("\r\n");
            }
        }
        proved(&wrapped, &file);
        let cut = XML.replace('\n', "\r\n*Nov 10 15:09:55.102: %SYS-5-CONFIG_I: Configured\r\n");
        proved(&cut, XML);
    }

    #[test]
    fn nothing_else_passes() {
        assert_eq!(prove(b"<smartLicense/>", Md5::of(b"<smartLicence/>")), None);
        assert_eq!(prove(b"", Md5::of(b"a")), None);
        proved("", "");
        proved("\r\n", "");
    }
}
