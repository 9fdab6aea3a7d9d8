//! Archives of others: what portals and people pack is read, and what would fill the memory is refused in little of it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use slp_collector::exchange::answer;
use slp_collector::exchange::archive::{self, Limits, TarGzWriter};

use crate::support::{data, peer};

#[test]
fn answers_in_a_zip_come_out_one_by_one() {
    let ack = fs::read(data("ack.xml")).expect("the fixture");
    // Made by Info-ZIP with folders; and by Python into a pipe, so that sizes stand behind the content.
    let zips = [
        (
            "answer.zip",
            ["answer.zip/ACK_UD_VA_t.tar.gz/ACK_dev_9INVENTED01_t.txt", "answer.zip/answers/ACK_9INVENTED01_t.txt"],
        ),
        (
            "answer-streamed.zip",
            [
                "answer-streamed.zip/ACK_9INVENTED01_t.txt",
                "answer-streamed.zip/ACK_UD_VA_t.tar.gz/ACK_dev_9INVENTED01_t.txt",
            ],
        ),
    ];
    for (name, expected) in zips {
        let bytes = fs::read(data(name)).expect("the fixture");
        let items = answer::open(name, &bytes, &Limits::default()).expect("it is read");
        let mut paths: Vec<&str> = items.iter().map(|item| item.path.as_str()).collect();
        paths.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(paths, expected);
        assert!(items.iter().all(|item| item.bytes == ack && item.read.is_ok()), "{name}");
        for part in 1..50 {
            let cut = &bytes[..bytes.len() * part / 50];
            assert!(answer::open(name, cut, &Limits::default()).is_err(), "{name} cut at {part}/50");
        }
    }
}

/// The program looks at the file with 160 MB of address space, and refuses it with this word.
fn refused_in_little_memory(file: &Path, word: &str) {
    let program = env!("CARGO_BIN_EXE_slp-collector");
    let script = format!("ulimit -v {}; exec {program} inspect {}", 160 << 10, file.display());
    let output = std::process::Command::new("bash").args(["-c", &script]).output().expect("bash");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{}: {said}", file.display());
    assert!(said.contains(word), "{}: {said}", file.display());
}

#[test]
fn bombs_are_refused_in_little_memory() {
    let Some(_) = peer("bash", &["--version"]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, parts: &[&[u8]]| {
        let path = folder.path().join(name);
        let mut file = BufWriter::new(File::create(&path).expect("a file"));
        parts.iter().for_each(|part| file.write_all(part).expect("written"));
        file.flush().expect("written");
        path
    };
    let zeros = archive::gzip(&vec![0; 64 << 20]).expect("a stream");
    // Ten gigabytes of one file; a name of ten gigabytes; the same in an archive.
    let header = |name: &str| archive::header(name, 10 << 30).expect("a header");
    let of = |head: &[u8]| {
        [&[archive::gzip(head).expect("a stream")], vec![zeros.clone(); 160].as_slice()].concat().concat()
    };
    let large = of(&header("zeros"));
    refused_in_little_memory(&write("large.tar.gz", &[&large]), "more than 67108864 bytes in one member");
    let mut name = header("././@LongLink");
    name[156] = b'L';
    // The sum over the header, with the changed type.
    name[148..156].fill(b' ');
    let sum: u32 = name.iter().map(|byte| u32::from(*byte)).sum();
    name[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    refused_in_little_memory(&write("name.tar.gz", &[&of(&name)]), "a header that never ends");
    let nested = archive::tar(&[("ACK_UD_VA_x.tar.gz".to_owned(), large)]).expect("a tar");
    refused_in_little_memory(&write("nested.tar", &[&nested]), "ACK_UD_VA_x.tar.gz/zeros: more than");

    // 100,000 members, each with a name of its own.
    let path = folder.path().join("many.tar.gz");
    let mut many = TarGzWriter::gz(BufWriter::new(File::create(&path).expect("a file")));
    for n in 0..100_000 {
        many.add(&format!("ACK_dev_{n}.txt"), 0, &mut std::io::empty()).expect("added");
    }
    many.finish_gz().and_then(|mut file| file.flush()).expect("written");
    refused_in_little_memory(&path, "more than 50000 members");
}
