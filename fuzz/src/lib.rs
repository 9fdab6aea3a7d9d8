//! What must hold for any bytes that a device may send, a function a reader.
//!
//! The targets in `fuzz_targets/` call these with what the fuzzer makes up; `tests/it/fuzz.rs` includes this file and
//! calls them with what is kept in `corpus/`. Where a reader needs more than bytes, the first of them decide.

use std::future::Future;
use std::time::Duration;

use reqwest::StatusCode;
use slp_collector::device::budget::Budget;
use slp_collector::device::netconf::Netconf;
use slp_collector::device::netconf::framing::{Decoder, Fault, Framing, encode};
use slp_collector::device::nxapi::Form;
use slp_collector::device::scp::{self, Failure};
use slp_collector::device::shell::{IOS_XE, IOS_XR, NX_OS, Progress, Reader};
use slp_collector::device::{Error, Limits};
use slp_collector::domain::show_license;

/// Panics where something does not hold.
pub type Body = fn(&[u8]);

/// How each is called in `corpus/`.
pub const TARGETS: [(&str, Body); 6] = [
    ("netconf_framing", netconf_framing),
    ("netconf_session", netconf_session),
    ("nxapi", nxapi),
    ("scp", scp),
    ("shell", shell),
    ("show_license", show_license),
];

/// First byte: its lowest bit the framing, the others the limit. Second byte: how the rest is cut.
pub fn netconf_framing(data: &[u8]) {
    let [settings, cut, input @ ..] = data else { return };
    let framing = if settings & 1 == 0 { Framing::EndOfMessage } else { Framing::Chunked };
    let limit = u64::from(settings >> 1) * 4;
    let whole = decoded(framing, limit, input, |_| usize::MAX);
    assert_eq!(decoded(framing, limit, input, |_| 1), whole, "byte by byte");
    assert_eq!(decoded(framing, limit, input, |turn| pieces(*cut, turn)), whole, "in pieces by {cut}");

    // What was taken for a message goes out and comes in again; only an empty one cannot go in chunks.
    for message in whole.0 {
        assert!(message.len() as u64 <= limit, "{} bytes under a limit of {limit}", message.len());
        match encode(framing, &message) {
            Ok(bytes) => assert_eq!(decoded(framing, limit, &bytes, |_| usize::MAX), (vec![message], None)),
            Err(fault) => assert!(message.is_empty() && framing == Framing::Chunked, "{fault}: {message:?}"),
        }
    }
}

/// All messages and how it ended.
fn decoded(framing: Framing, limit: u64, input: &[u8], size: impl Fn(usize) -> usize) -> (Vec<Vec<u8>>, Option<Fault>) {
    let mut decoder = Decoder::new(limit);
    if framing == Framing::Chunked {
        decoder.chunked();
    }
    let (mut messages, mut rest, mut turn) = (Vec::new(), input, 0);
    while !rest.is_empty() {
        let piece = rest.get(..size(turn)).unwrap_or(rest);
        turn += 1;
        match decoder.take(piece) {
            Ok((taken, message)) => {
                assert!(taken > 0 && taken <= piece.len(), "{taken} of {} bytes taken", piece.len());
                assert!(message.is_some() || taken == piece.len(), "no message, and bytes are left");
                messages.extend(message);
                rest = rest.get(taken..).unwrap_or_default();
            }
            Err(fault) => {
                assert_eq!(decoder.take(b"\n#1\na\n##\n]]>]]>"), Err(fault.clone()), "a fault stays");
                return (messages, Some(fault));
            }
        }
    }
    (messages, None)
}

/// Sizes from 1 to 16, another each turn, by a byte that decides.
fn pieces(seed: u8, turn: usize) -> usize {
    (usize::from(seed) + turn * (1 + usize::from(seed >> 4))) % 16 + 1
}

/// All of it is what the device sends: its hello and answers to questions about anything.
pub fn netconf_session(data: &[u8]) {
    const MOST: u64 = 4096;
    let limits = Limits { body: MOST, read: Duration::from_secs(5), ..Limits::default() };
    let budget = Budget::new(1 << 20);
    waited_for(async {
        let stream = tokio::io::join(data, tokio::io::sink());
        let Ok(mut session) = Netconf::open(stream, "192.0.2.1:830", limits, budget.clone()).await else { return };
        for _ in 0..4 {
            match session.rpc("ask", "<get/>").await {
                Ok(reply) => assert_eq!(reply.root.name, "rpc-reply"),
                Err(error) => is_short(&error),
            }
        }
        drop(session.close().await);
    });
    assert_eq!(budget.free(), 1 << 20, "all shares came back");
}

/// First byte: the HTTP status and how many commands were asked. The rest is the body, in either form.
pub fn nxapi(data: &[u8]) {
    const STATUSES: [u16; 8] = [200, 207, 400, 401, 406, 413, 500, 501];
    const COMMANDS: [&str; 4] = ["show version", "show license all", "show license usage", "dir bootflash:"];
    let [settings, body @ ..] = data else { return };
    let status = STATUSES[usize::from(settings & 7)];
    let status = StatusCode::from_u16(status).expect("a status of HTTP");
    let commands = &COMMANDS[..1 + usize::from(settings >> 3) % COMMANDS.len()];
    for form in [Form::JsonRpc, Form::InsApi] {
        let answers = match form.answers("run", status, body, commands) {
            Ok(Some(answers)) => answers,
            Ok(None) => {
                assert_eq!(form, Form::JsonRpc, "the older form is the last resort");
                continue;
            }
            Err(error) => {
                is_short(&error);
                continue;
            }
        };
        assert!(!answers.is_empty() && answers.len() <= commands.len());
        assert!(answers.iter().zip(commands).all(|(answer, command)| answer.command == *command), "in order");
        let refused = answers.iter().position(|answer| answer.refused);
        assert_eq!(refused.map_or(commands.len(), |at| at + 1), answers.len(), "complete, or up to a refusal");
        // JSON's escapes are longer than what they stand for, but for what is no text at all.
        let texts: usize = answers.iter().map(|answer| answer.text.len()).sum();
        assert!(texts <= body.len().max(1) * commands.len(), "{texts} bytes of text out of {}", body.len());
    }
}

/// First byte: the most bytes to take, in fours. The rest is what the device sends.
pub fn scp(data: &[u8]) {
    const PATH: &str = "bootflash:slpc-ours.xml";
    let [most, input @ ..] = data else { return };
    let most = u64::from(*most) * 4;
    let (mut given, mut sent) = (input, Vec::new());
    let outcome = waited_for(scp::receive(&mut tokio::io::join(&mut given, &mut sent), PATH, most));
    let taken = input.len() - given.len();
    // Nothing of what the device says, its names least of all, comes back to it.
    let acknowledged = sent.iter().take_while(|byte| **byte == 0).count();
    let rest = sent.get(acknowledged..).unwrap_or_default();
    assert!(rest.is_empty() || rest == b"\x02refused\n", "{rest:?}");
    match outcome {
        Ok(bytes) => {
            assert!(bytes.len() as u64 <= most, "{} bytes of at most {most}", bytes.len());
            assert!(input.windows(bytes.len().max(1)).any(|window| bytes.is_empty() || window == bytes));
            assert!(rest.is_empty(), "taken and refused");
        }
        Err(Failure::TooLarge(limit)) => assert!(limit == most && rest == b"\x02refused\n"),
        Err(Failure::Silent) => assert_eq!(given.len(), 0, "it was not silent"),
        Err(Failure::Lost(error)) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}"),
        Err(Failure::Refused(said) | Failure::Foreign(said)) => {
            assert!(said.chars().count() <= 200, "{said}");
            assert!(taken <= 16 * 4096, "{taken} bytes were read to say no");
        }
    }
    // The other way round: it may say of our file what it wants.
    let (mut given, mut sent) = (input, Vec::new());
    let outcome = waited_for(scp::send(&mut tokio::io::join(&mut given, &mut sent), "slpc-ours.xml", b"<ours/>"));
    let whole = b"C0644 7 slpc-ours.xml\n<ours/>\0";
    assert!(whole.starts_with(&sent), "{sent:?}");
    assert_eq!(outcome.is_ok(), input.starts_with(&[0, 0, 0]));
}

/// First byte: the system. Second byte: how the rest, which the terminal prints, is cut.
pub fn shell(data: &[u8]) {
    const COMMAND: &str = "show x";
    const PROMPT: &str = "r1#";
    let [settings, cut, input @ ..] = data else { return };
    let manner = [&IOS_XE, &IOS_XR, &NX_OS][usize::from(*settings) % 3];
    let read = |size: &dyn Fn(usize) -> usize| {
        let (mut reader, mut reply) = (Reader::new(manner), Vec::new());
        let (mut rest, mut turn) = (input, 0);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at_checked(size(turn)).unwrap_or((rest, &[]));
            reader.feed(piece, &mut reply);
            (rest, turn) = (after, turn + 1);
        }
        // No byte asks for more than a few in return, and none of them ends a line, which would run it.
        assert!(reply.len() <= 16 * input.len(), "{} bytes for {}", reply.len(), input.len());
        assert!(!reply.contains(&b'\n') && !reply.contains(&b'\r'), "{reply:?}");
        assert!(reader.held() <= input.len(), "{} held of {}", reader.held(), input.len());
        let progress = reader.progress(COMMAND, PROMPT);
        let answer = reader.answer(COMMAND, PROMPT).to_vec();
        if progress == Progress::Prompt {
            assert!(!answer.ends_with(PROMPT.as_bytes()) || input.len() > answer.len() + PROMPT.len());
        }
        (progress, answer, reader.tail(), reply)
    };
    let single = read(&|_| 1);
    // A pager waits for its key; what stands behind its sign in one piece was not written by one.
    let paged = single.3.iter().any(|byte| matches!(byte, b' ' | b'q'));
    let cut = read(&|turn| pieces(*cut, turn));
    let whole = read(&|_| usize::MAX);
    if !paged {
        assert_eq!(cut, single, "in pieces and byte by byte");
        assert_eq!(whole, single, "in one piece and byte by byte");
    }
}

/// All of it is what a device printed.
pub fn show_license(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let reading = show_license::read(&text, None);
    assert_eq!(show_license::rum_ids(&text), reading.state.rum_ids);
    assert!(reading.state.rum_ids.len() <= text.len());
    if let Some(complaint) = show_license::complaint(&text) {
        assert!(complaint.text.len() <= text.len());
    }
    // A terminal's line ends say the same.
    if !text.contains('\r') {
        let terminal = show_license::read(&text.replace('\n', "\r\n"), None);
        assert_eq!((terminal.kind, terminal.state), (reading.kind, reading.state));
    }
}

/// A message for one line of a log, whatever it quotes.
fn is_short(error: &Error) {
    let text = error.to_string();
    assert!(text.len() < 2048, "{} bytes: {text}", text.len());
}

fn waited_for<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(future)
}
