//! The reader byte by byte, and conversations with scripted devices.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

/// Feeds in pieces of `size`; gives the reader and what it sent back.
fn fed(manner: &'static Manner, bytes: &[u8], size: usize) -> (Reader, Vec<u8>) {
    let (mut reader, mut reply) = (Reader::new(manner), Vec::new());
    for piece in bytes.chunks(size) {
        reader.feed(piece, &mut reply);
    }
    (reader, reply)
}

fn answer(manner: &'static Manner, bytes: &[u8], command: &str, prompt: &str) -> String {
    let mut texts: Vec<String> = [1, 2, 3, 7, bytes.len().max(1)]
        .into_iter()
        .map(|size| {
            let (mut reader, _) = fed(manner, bytes, size);
            assert_eq!(reader.progress(command, prompt), Progress::Prompt, "in pieces of {size}");
            clean::text(reader.answer(command, prompt))
        })
        .collect();
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts.remove(0)
}

#[test]
fn an_answer_is_what_stands_between_echo_and_prompt() {
    let text = answer(&IOS_XE, b"show x\r\nA\r\n  B\r\nr1#", "show x", "r1#");
    assert_eq!(text, "A\n  B\n");
    let text = answer(
        &IOS_XR,
        b"show x\r\r\n\rTue Jul  2 13:48:07.272 UTC\r\nA\r\nRP/0/RP0/CPU0:e1#",
        "show x",
        "RP/0/RP0/CPU0:e1#",
    );
    assert_eq!(text, "A\n");
    assert_eq!(answer(&NX_OS, b"show x \r\r\nA\r\r\nleaf1# ", "show x", "leaf1#"), "A\n");
    assert_eq!(answer(&IOS_XE, b"show x\r\nr1#", "show x", "r1#"), "");
}

#[test]
fn a_prompt_within_output_ends_nothing() {
    let progress = |bytes: &[u8]| fed(&IOS_XE, bytes, 1).0.progress("show x", "r1#");
    assert_eq!(progress(b"show x\r\nr2#"), Progress::Reading);
    assert_eq!(progress(b"show x\r\nr1#show y"), Progress::Reading);
    assert_eq!(progress(b"show x\r\nr1#\r\n"), Progress::Reading);
    assert_eq!(progress(b"show x\r\n<a/>r1#"), Progress::PerhapsPrompt);
    // A log message made the device draw its prompt again before the command was echoed.
    assert_eq!(progress(b"\r\n%SYS-5-CONFIG_I: x\r\nr1#"), Progress::PerhapsPrompt);
    assert_eq!(progress(b"\r\n%SYS-5-CONFIG_I: x\r\nr1#show x\r\nA\r\nr1#"), Progress::Prompt);
    // One that came behind the prompt, which is not drawn again.
    let behind = b"show x\r\nA\r\nr1#\r\n*Nov 10 15:09:55.102: %SYS-5-CONFIG_I: x\r\n";
    assert_eq!(progress(behind), Progress::PerhapsPrompt);
    assert_eq!(clean::text(fed(&IOS_XE, behind, 1).0.answer("show x", "r1#")), "A\n");
    assert_eq!(progress(b"show x\r\n%SYS-5-CONFIG_I: x\r\n"), Progress::Reading);
}

#[test]
fn pagers_are_sent_on_and_leave_no_trace() {
    for wiped in [
        &b"\x08\x08\x08\x08\x08\x08\x08\x08\x08        \x08\x08\x08\x08\x08\x08\x08\x08\x08"[..],
        b"\r         \r",
        b"\r\x1b[K",
    ] {
        let bytes = [b"show x\r\nA\r\n --More-- ", wiped, b"   B\r\nr1#"].concat();
        for size in [1, 3, 1000] {
            let (mut reader, reply) = if size == 1000 {
                // A real pager waits for the key.
                let (mut reader, mut reply) = fed(&IOS_XE, b"show x\r\nA\r\n --More-- ", 1000);
                reader.feed(&[wiped, b"   B\r\nr1#"].concat(), &mut reply);
                (reader, reply)
            } else {
                fed(&IOS_XE, &bytes, size)
            };
            assert_eq!(reply, b" ");
            assert_eq!(clean::text(reader.answer("show x", "r1#")), "A\n   B\n");
        }
    }
    let (_, reply) = fed(&NX_OS, b"show x\r\nA\r\n\x1b[7m--More--\x1b[m", 1);
    assert_eq!(reply, b" ");
    let (_, reply) = fed(&IOS_XR, b"show x\r\nA\r\n(END)", 1);
    assert_eq!(reply, b"q");
}

#[test]
fn terminal_questions_are_answered_and_escapes_taken_out() {
    let (mut reader, reply) = fed(&IOS_XE, b"\x1b[6nshow x\r\n\x1b[1mA\x1b[0m\x1b]0;title\x07\x1b(B\r\nr1#", 1);
    assert_eq!(reply, b"\x1b[1;1R");
    assert_eq!(clean::text(reader.answer("show x", "r1#")), "A\n");
    // How programs learn the size: far off, then ask.
    let (_, reply) = fed(&IOS_XE, b"\x1b[999;999H\x1b[6n", 2);
    assert_eq!(reply, b"\x1b[999;511R");
    // Cut off escapes do not eat what follows a line end.
    assert_eq!(answer(&IOS_XE, b"show x\r\nA\x1b[12\r\nB\r\nr1#", "show x", "r1#"), "A\nB\n");
    // Backspaces stay within their line.
    assert_eq!(answer(&IOS_XE, b"show x\r\nAB\x08C\r\n\x08\x08D\r\nr1#", "show x", "r1#"), "AC\nD\n");
}

#[test]
fn no_bytes_whatever_make_it_fall() {
    let mut random = fastrand::Rng::with_seed(7);
    let alphabet = b"\x1b[]6n;HC\r\n\x08 -More(END)#>abc\x00\x07\x7f\\\xff%:";
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..random.usize(..200)).filter_map(|_| random.choice(alphabet.iter().copied())).collect();
        for manner in [&IOS_XE, &IOS_XR, &NX_OS] {
            let (mut reader, reply) = fed(manner, &bytes, random.usize(1..20));
            reader.progress("abc", "a#");
            let text = clean::text(reader.answer("abc", "a#"));
            assert!(!text.contains('\x1b') && reply.len() <= 16 * bytes.len() + 16, "{bytes:?}");
        }
    }
}

#[test]
fn complaints_are_only_looked_for_at_the_beginning() {
    let of = |manner: &Manner, text: &str| manner.complaint(text).map(|(complaint, _)| complaint);
    let marked = "            ^\n% Invalid input detected at '^' marker.\n\n";
    assert_eq!(of(&IOS_XE, marked), Some(Complaint::Unknown));
    assert_eq!(of(&NX_OS, "% Invalid command at '^' marker.\n"), Some(Complaint::Unknown));
    assert_eq!(of(&IOS_XE, "% Authorization failed.\n"), Some(Complaint::Unauthorized));
    assert_eq!(of(&IOS_XE, "Command authorization failed.\n"), Some(Complaint::Unauthorized));
    assert_eq!(of(&IOS_XR, "% This command is not authorized\n"), Some(Complaint::Unauthorized));
    assert_eq!(of(&IOS_XE, "%Error opening bootflash:x (No such file or directory)\n"), Some(Complaint::Failed));
    assert_eq!(of(&IOS_XE, "A\nB\nC\n% Invalid input detected at '^' marker.\n"), None);
    assert_eq!(of(&IOS_XE, ""), None);
}

/// A scripted device: what it waits for, and what it sends then.
async fn device(stream: DuplexStream, greeting: &str, script: &[(&str, &str)]) -> Vec<u8> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    writing.write_all(greeting.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    for (expected, answer) in script {
        let mut came = Vec::new();
        while !came.ends_with(expected.as_bytes()) {
            match reading.read_u8().await {
                Ok(byte) => came.push(byte),
                Err(_) => return [all, came].concat(),
            }
        }
        all.extend(came);
        if writing.write_all(answer.as_bytes()).await.is_err() {
            return all;
        }
    }
    rest(&mut reading, all).await
}

async fn rest(reading: &mut (impl AsyncRead + Unpin), mut all: Vec<u8>) -> Vec<u8> {
    let _ = reading.read_to_end(&mut all).await;
    all
}

fn limits() -> ShellLimits {
    ShellLimits {
        login: Duration::from_secs(5),
        command: Duration::from_secs(5),
        settle: Duration::from_millis(5),
        doubt: Duration::from_millis(50),
        output: 10_000,
    }
}

type Opened = Result<Shell<DuplexStream>, Error>;

/// Opens a shell to a scripted device and does something with it; then what the device got.
async fn with_device<T>(
    manner: &'static Manner,
    enable: Option<&str>,
    limits: ShellLimits,
    greeting: &str,
    script: &[(&str, &str)],
    act: impl AsyncFnOnce(Opened) -> T,
) -> (T, String) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let acting = async {
        let quieting = vec![
            vec!["terminal length 0"],
            vec!["terminal width 0", "terminal width 512"],
            vec!["terminal no monitor"],
        ];
        let setup = Setup { enable: Some("enable"), quieting };
        let opening = Opening { address: "192.0.2.1:22", setup, enable, limits };
        act(Shell::open(ours, manner, opening).await).await
    };
    let (outcome, got) = tokio::join!(acting, device(theirs, greeting, script));
    (outcome, String::from_utf8_lossy(&got).into_owned())
}

const QUIET: &[(&str, &str)] = &[
    ("\n", "\r\nr1#"),
    ("terminal length 0\n", "terminal length 0\r\nr1#"),
    ("terminal width 0\n", "terminal width 0\r\n          ^\r\n% Invalid input detected at '^' marker.\r\n\r\nr1#"),
    ("terminal width 512\n", "terminal width 512\r\nr1#"),
    ("terminal no monitor\n", "terminal no monitor\r\nr1#"),
];

#[tokio::test]
async fn the_prompt_is_learnt_behind_a_greeting_that_looks_like_one() {
    let script = [&[("\n", "\r\nr1#")], QUIET, &[("show x\n", "show x\r\nA\r\nr1#")]].concat();
    let (output, got) =
        with_device(&IOS_XE, None, limits(), "\r\nAuthorised users only!\r\nWelcome#", &script, async |shell| {
            let mut shell = shell.unwrap();
            assert_eq!(shell.prompt(), "r1#");
            shell.run("show x").await.unwrap()
        })
        .await;
    assert_eq!(output, Output { text: "A\n".to_owned(), raw: b"A\r\n".to_vec() });
    assert_eq!(got, "\n\nterminal length 0\nterminal width 0\nterminal width 512\nterminal no monitor\nshow x\n");
}

#[tokio::test]
async fn a_prompt_that_a_log_line_hides_is_asked_for_again() {
    let hidden = "r1#\r\n*Nov 10 15:09:55.102: %SYS-5-CONFIG_I: x\r\n";
    let script = [&[("\n", "\r\nr1#")], QUIET].concat();
    let (prompt, _) =
        with_device(&IOS_XE, None, limits(), hidden, &script, async |shell| shell.unwrap().prompt().to_owned()).await;
    assert_eq!(prompt, "r1#");
}

#[tokio::test]
async fn enable_sends_its_password_once() {
    let enabled = [("\n", "\r\nr1>"), ("enable\n", "enable\r\nPassword: "), ("secret\n", "\r\nr1#")];
    let script = [&enabled, &QUIET[1..]].concat();
    let (prompt, _) = with_device(&IOS_XE, Some("secret"), limits(), "r1>", &script, async |shell| {
        shell.unwrap().prompt().to_owned()
    })
    .await;
    assert_eq!(prompt, "r1#");
    for refusal in ["\r\n% Bad secrets\r\n\r\nr1>", "\r\n% Access denied\r\nPassword: "] {
        let script = [enabled[0], enabled[1], ("wrong\n", refusal)];
        let (error, got) =
            with_device(&IOS_XE, Some("wrong"), limits(), "r1>", &script, async |shell| shell.err().unwrap()).await;
        assert!(matches!(error, Error::LoginRefused { refusal: Refusal::Enable, .. }), "{error:?}");
        assert_eq!(got.matches("wrong").count(), 1);
        assert!(!format!("{error} {error:?}").contains("wrong"));
    }
    let (error, _) =
        with_device(&IOS_XE, None, limits(), "r1>", &enabled[..2], async |shell| shell.err().unwrap()).await;
    assert!(matches!(error, Error::NoLogin { .. }), "{error:?}");
}

#[tokio::test]
async fn a_session_begins_with_the_lines_it_is_given() {
    let script = [("\n", "\r\nr1>"), ("enable 7\n", "enable 7\r\n\r\nr1#"), ("no paging\n", "no paging\r\nr1#")];
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let setup = Setup { enable: Some("enable 7"), quieting: vec![vec!["no paging", "terminal length 0"]] };
    let opening = Opening { address: "192.0.2.1:22", setup, enable: None, limits: limits() };
    let acting = async { Shell::open(ours, &IOS_XE, opening).await.unwrap().prompt().to_owned() };
    let (prompt, got) = tokio::join!(acting, device(theirs, "r1>", &script));
    assert_eq!((prompt.as_str(), String::from_utf8_lossy(&got).as_ref()), ("r1#", "\nenable 7\nno paging\n"));
    // Without such a line the prompt is enough as it is.
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let opening =
        Opening { address: "192.0.2.1:22", setup: Setup::default(), enable: Some("secret"), limits: limits() };
    let acting = async { Shell::open(ours, &IOS_XR, opening).await.unwrap().prompt().to_owned() };
    let (prompt, got) = tokio::join!(acting, device(theirs, "r1>", &[("\n", "\r\nr1>")]));
    assert_eq!((prompt.as_str(), got.as_slice()), ("r1>", b"\n".as_slice()));
}

#[tokio::test]
async fn a_standby_and_a_missing_prompt_are_errors_of_their_own() {
    for (manner, greeting) in [
        (&IOS_XE, "\r\nr1-stby#"),
        (&IOS_XR, "\r\nThis (D)RP Node is not ready or active for login /configuration\r\n"),
        (&NX_OS, "\r\nleaf1(standby)# "),
    ] {
        let (error, got) = with_device(manner, None, limits(), greeting, &[], async |shell| shell.err().unwrap()).await;
        assert!(matches!(error, Error::Standby { .. }), "{error:?}");
        assert_eq!(got, "");
    }
    let short = ShellLimits { login: Duration::from_millis(50), ..limits() };
    let (error, got) = with_device(&NX_OS, None, short, "bash-4.4$ ", &[], async |shell| shell.err().unwrap()).await;
    assert!(matches!(&error, Error::NoPrompt { got, .. } if got == "bash-4.4$"), "{error:?}");
    assert_eq!(got, "");
}

#[tokio::test]
async fn a_question_ends_the_session() {
    let copy = "copy http://192.0.2.9/a bootflash:";
    let sent = format!("{copy}\n");
    let echo = format!("{copy}\r\nDestination filename [a]? ");
    let script = [QUIET, &[(sent.as_str(), echo.as_str())]].concat();
    let (errors, got) = with_device(&IOS_XE, None, limits(), "r1#", &script, async |shell| {
        let mut shell = shell.unwrap();
        (shell.run(copy).await.unwrap_err(), shell.run("show x").await.unwrap_err())
    })
    .await;
    assert!(matches!(&errors.0, Error::CommandRefused { said, .. } if said == "Destination filename [a]? "));
    assert!(matches!(errors.1, Error::Ours { .. }), "{errors:?}");
    assert!(got.ends_with(&sent), "{got}");
}

#[tokio::test]
async fn silence_floods_and_foreign_line_ends_are_bounded() {
    let flood = format!("show x\r\n{}", "x".repeat(20_000));
    let script = [QUIET, &[("show x\n", flood.as_str())]].concat();
    let (error, _) = with_device(&IOS_XE, None, limits(), "r1#", &script, async |shell| {
        shell.unwrap().run("show x").await.unwrap_err()
    })
    .await;
    assert!(matches!(error, Error::TooLarge { limit: 10_000, .. }), "{error:?}");
    let script = [QUIET, &[("show x\n", "show x\r\nA\r\n")]].concat();
    let (error, _) = with_device(&IOS_XE, None, limits(), "r1#", &script, async |shell| {
        let mut shell = shell.unwrap();
        let error = shell.run(Command::new("show x").within(Duration::from_millis(30))).await.unwrap_err();
        assert!(matches!(shell.run("show y").await, Err(Error::Ours { .. })));
        error
    })
    .await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let (_, got) = with_device(&IOS_XE, None, limits(), "r1#", QUIET, async |shell| {
        let mut shell = shell.unwrap();
        for command in ["", "show x\nreload", "show\u{1b}x"] {
            assert!(matches!(shell.run(command).await, Err(Error::Ours { .. })), "{command:?}");
        }
    })
    .await;
    assert!(!got.contains("reload"));
}
