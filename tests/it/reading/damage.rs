//! Damaged and hostile input: never a panic, never unbounded work.

use std::fs;
use std::time::{Duration, Instant};

use slp_collector::exchange::answer;
use slp_collector::exchange::archive::{self, Limits};
use slp_collector::exchange::bundle::Opened;
use slp_collector::inspect::{Completeness, inspect};

use super::FIXTURES;
use crate::support::{captures, data};

/// Every text we have: our own fixtures, and the recorded files where they are.
fn texts() -> Vec<(String, Vec<u8>)> {
    let mut texts: Vec<(String, Vec<u8>)> =
        FIXTURES.iter().map(|name| ((*name).to_owned(), fs::read(data(name)).expect("the fixture"))).collect();
    if let Some(folder) = captures() {
        for entry in fs::read_dir(folder.join("protocol")).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            texts.push((path.display().to_string(), fs::read(&path).expect("the file can be read")));
        }
    }
    texts
}

fn archives() -> Vec<(String, Vec<u8>)> {
    let files: Vec<(String, Vec<u8>)> =
        FIXTURES.iter().take(4).map(|name| ((*name).to_owned(), fs::read(data(name)).expect("it"))).collect();
    let plain = archive::tar(&files).expect("a tar");
    let zipped = archive::gzip(&plain).expect("a gzip stream");
    let nested = archive::tar(&[("UD_VA_x.tar.gz".to_owned(), zipped.clone())]).expect("a tar");
    let zip = |name: &str| (name.to_owned(), fs::read(data(name)).expect("the fixture"));
    vec![
        ("plain.tar".to_owned(), plain),
        ("zipped.tar.gz".to_owned(), zipped),
        ("nested.tar".to_owned(), nested),
        zip("answer.zip"),
        zip("answer-streamed.zip"),
    ]
}

fn everything(name: &str, bytes: &[u8]) {
    let inspection = inspect(name, bytes);
    if inspection.completeness == Completeness::NotWhole {
        assert_ne!(inspection.json["problems"], serde_json::json!([]), "{name}: not whole, and not a word why");
    }
    let _ = answer::open(name, bytes, &Limits::default());
    if archive::is_archive(bytes)
        && let Ok(opened) = Opened::from_archive(name, bytes, &Limits::default())
    {
        assert!(opened.verify(None).is_err());
    }
}

#[test]
fn cut_anywhere() {
    for (name, bytes) in texts().into_iter().chain(archives()) {
        let step = (bytes.len() / 60).max(1);
        for length in (0..bytes.len()).step_by(step) {
            everything(&name, &bytes[..length]);
        }
    }
}

#[test]
fn bytes_flipped_and_parts_spliced() {
    let inputs: Vec<(String, Vec<u8>)> = texts().into_iter().chain(archives()).collect();
    let mut random = fastrand::Rng::with_seed(20261121);
    let marks: [&[u8]; 12] = [
        b"]]>",
        b"<![CDATA[",
        b"\"",
        b"{",
        b"[",
        b"\\u0000",
        b"&#x0;",
        b"<!DOCTYPE x>",
        b"\xff",
        b"-1",
        b"1e999",
        b"\0",
    ];
    for (name, bytes) in &inputs {
        for _ in 0..60 {
            let mut damaged = bytes.clone();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(..damaged.len());
                match random.u8(..4) {
                    0 => damaged[at] ^= 1 << random.u8(..8),
                    1 => {
                        let mark = marks[random.usize(..marks.len())];
                        damaged.splice(at..at, mark.iter().copied());
                    }
                    2 => {
                        let (_, other) = &inputs[random.usize(..inputs.len())];
                        let from = random.usize(..other.len());
                        let to = random.usize(from..other.len().min(from + 2000));
                        damaged.splice(at..at, other[from..to].iter().copied());
                    }
                    _ => {
                        let end = random.usize(at..damaged.len().min(at + 200));
                        damaged.drain(at..end);
                    }
                }
                if damaged.is_empty() {
                    break;
                }
            }
            everything(name, &damaged);
        }
    }
}

#[test]
fn hostile_shapes_end_soon() {
    let began = Instant::now();
    let many_keys: String = (0..200_000).map(|n| format!("\"k{n}\":{n},")).collect();
    let many_empty_reports = "{},".repeat(300_000);
    let shapes = [
        "[".repeat(1 << 20),
        "{\"a\":".repeat(1 << 18),
        format!("{{\"usage\":{}", "[".repeat(1 << 20)),
        format!("{{\"payload\":{}", serde_json::to_string(&"{\"a\":".repeat(1 << 18)).expect("text")),
        format!("{{\"payload\":\"{{}}\",{many_keys}\"x\":1}}"),
        format!("{{\"usage\":[{many_empty_reports}{{}}]}}"),
        "<smartLicense>".repeat(1 << 16),
        format!("<smartLicense>{}</smartLicense>", "<RUMReport/>".repeat(150_000)),
        format!(
            "<smartLicense><smartLicenseRumAck><data>{}</data></smartLicenseRumAck></smartLicense>",
            "[".repeat(1 << 18)
        ),
        format!("<smartLicense>{}", "&amp;".repeat(1 << 18)),
        format!("<!DOCTYPE x [{}]><x/>", "<!ENTITY a \"b\">".repeat(1000)),
    ];
    for (index, shape) in shapes.iter().enumerate() {
        let inspection = inspect(&format!("shape {index}"), shape.as_bytes());
        let problems = inspection.json["problems"].as_array().map_or(0, Vec::len);
        assert!((1..=201).contains(&problems), "shape {index}: {problems} problems");
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
