//! From what a terminal printed to the text that a command answered: pure.

/// The answer as text: LF ends, without the headers that `exec prompt timestamp` and IOS XR put before
/// it, without log lines that landed between its lines.
///
/// A log message that cuts a line in two is left: only who reads the text can tell what was cut.
pub(super) fn text(raw: &[u8]) -> String {
    let whole = String::from_utf8_lossy(raw);
    let mut clean = String::with_capacity(whole.len());
    let mut begun = false;
    for line in whole.split('\n') {
        let line = line.trim_end_matches('\r');
        // What a lone carriage return left standing was overwritten.
        let line = line.rsplit('\r').next().unwrap_or(line);
        if is_log_line(line) || (!begun && is_header(line)) {
            continue;
        }
        if !begun && line.trim().is_empty() {
            continue;
        }
        begun = true;
        clean.push_str(line);
        clean.push('\n');
    }
    let length = clean.trim_end_matches(['\n', ' ']).len();
    clean.truncate(length);
    if !clean.is_empty() {
        clean.push('\n');
    }
    clean
}

/// `Load for five secs: 1%/0%; one minute: 0%; five minutes: 0%`, `Time source is NTP, …`,
/// `No time source, …` of IOS XE; `Tue Jul  2 13:48:07.272 UTC` of IOS XR.
pub(super) fn is_header(line: &str) -> bool {
    let line = line.trim();
    if line.starts_with("Load for five secs:") || line.starts_with("Time source is ") {
        return true;
    }
    if line.starts_with("No time source,") {
        return true;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [day, month, date, time, ..] if words.len() <= 6 => {
            DAYS.contains(day) && MONTHS.contains(month) && date.parse::<u8>().is_ok() && is_time(time)
        }
        _ => false,
    }
}

const DAYS: &[&str] = &["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: &[&str] = &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `13:48:07`, `13:48:07.272`.
fn is_time(word: &str) -> bool {
    let word = word.trim_end_matches(':');
    let clock = word.split('.').next().unwrap_or(word);
    let mut parts = 0;
    for part in clock.split(':') {
        parts += 1;
        if part.len() != 2 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
    }
    parts == 3
}

/// A whole line of the log: `%FAC-SEV-MNEM:` with the time forms of the three systems before it, or none.
///
/// IOS XE `*Nov 10 15:09:55.102: %SYS-5-CONFIG_I: …`, `000123: Nov 10 2021 15:09:55.102 UTC: %…`; IOS XR
/// `RP/0/RP0/CPU0:Jul  2 13:48:07.272 UTC: config[65540]: %MGBL-CONFIG-6-DB_COMMIT : …`; NX-OS
/// `2024 Jan  3 10:11:12 leaf1 %VSHD-5-VSHD_SYSLOG_CONFIG_I: …`.
pub(super) fn is_log_line(line: &str) -> bool {
    let Some((before, _)) = split_at_mnemonic(line) else { return false };
    let before = before.trim();
    if before.is_empty() {
        return true;
    }
    let words: Vec<&str> = before.split(|c: char| c.is_whitespace()).filter(|word| !word.is_empty()).collect();
    // A location stands glued to the month: `RP/0/RP0/CPU0:Jul`.
    let month = |word: &&str| {
        let word = word.trim_start_matches(['*', '.']);
        let word = word.rsplit(':').next().unwrap_or(word).trim_start_matches(['*', '.']);
        MONTHS.contains(&word)
    };
    let timed = words.iter().any(|word| is_time(word));
    words.len() <= 10 && timed && words.iter().take(4).any(month)
}

/// What stands before and from `%FAC-SEV-MNEM` on, if a colon follows it.
fn split_at_mnemonic(line: &str) -> Option<(&str, &str)> {
    for (at, _) in line.match_indices('%') {
        let (before, rest) = line.split_at(at);
        let word: &str = rest.get(1..)?;
        let length = word.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte)).count();
        let (name, behind) = word.split_at(length);
        let mut parts = name.split('-').rev();
        let mnemonic = parts.next().unwrap_or_default();
        let severity = parts.next().unwrap_or_default();
        let facility = parts.next().unwrap_or_default();
        let told = !mnemonic.is_empty() && !facility.is_empty();
        if told && matches!(severity.as_bytes(), [b'0'..=b'7']) && behind.trim_start().starts_with(':') {
            return Some((before, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_of_the_three_systems_are_known() {
        for line in [
            "*Nov 10 15:09:55.102: %SYS-5-CONFIG_I: Configured from console by vty0",
            "000123: *Nov 10 2021 15:09:55.102 UTC: %SYS-5-CONFIG_I: Configured",
            ".Nov 10 15:09:55: %LINK-3-UPDOWN: Interface up",
            "%SMART_LIC-6-REPORTING_REQUIRED: A Usage report acknowledgement will be required in 30 days.",
            "RP/0/RP0/CPU0:Jul  2 13:48:07.272 UTC: config[65540]: %MGBL-CONFIG-6-DB_COMMIT : Configuration committed",
            "2024 Jan  3 10:11:12 leaf1 %VSHD-5-VSHD_SYSLOG_CONFIG_I: Configured from vty",
            "2024 Jan  3 10:11:12.123 leaf1 %$ VDC-1 %$ %USER-2-SYSTEM_MSG: something",
        ] {
            assert!(is_log_line(line), "{line}");
        }
        for line in [
            "  Utilization: 5%",
            "  Message: %SMART_LIC-6-REPORTING_REQUIRED: quoted",
            "Load for five secs: 1%/0%; one minute: 0%; five minutes: 0%",
            "% Invalid input detected at '^' marker.",
            "100%-5-x",
            "%",
            "  Trust Code Installed: Nov 10 15:09:55 2021 UTC",
        ] {
            assert!(!is_log_line(line), "{line}");
        }
    }

    #[test]
    fn headers_go_only_before_the_answer() {
        let raw = b"\r\nLoad for five secs: 1%/0%; one minute: 0%; five minutes: 0%\r\nNo time source, *15:09:55.102 UTC Wed Nov 10 2021\r\n\r\nA\r\r\n\nTue Jul  2 13:48:07.272 UTC\r\n  B \r\n\r\n";
        assert_eq!(text(raw), "A\n\nTue Jul  2 13:48:07.272 UTC\n  B\n");
        assert_eq!(text(b"Tue Jul  2 13:48:07.272 UTC\r\nA\r\n"), "A\n");
        assert_eq!(text(b"\r\n\r\n"), "");
    }

    #[test]
    fn whole_log_lines_go_and_cut_lines_stay() {
        let raw = b"A\r\n*Nov 10 15:09:55.102: %SYS-5-CONFIG_I: Configured\r\nB%SYS-5-CONFIG_I: Configured\r\nC\r\n";
        assert_eq!(text(raw), "A\nB%SYS-5-CONFIG_I: Configured\nC\n");
    }
}
