//! Archives: what is written is read again, and what is hostile is refused.

mod zips;

use std::io::Write;

use super::*;

/// An archive of two Virtual Accounts.
fn sample() -> Vec<u8> {
    let aside = tempfile::tempfile().unwrap();
    let mut archive = AccountArchive::new("example.com", "00000000-0000-8000-8000-000000000000", aside);
    archive.begin("Branch\nName: x", "UD_VA_a.tar.gz").unwrap();
    archive.add("dev_1_t.txt", b"one").unwrap();
    archive.add("dev_2_t.txt", b"two").unwrap();
    archive.begin("Campus", "UD_VA_b.tar.gz").unwrap();
    archive.add("dev_3_t.txt", b"").unwrap();
    archive.write(Vec::new()).unwrap()
}

fn header(name: &[u8], size: u64, kind: tar_crate::EntryType) -> tar_crate::Header {
    let mut header = tar_crate::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(kind);
    header.set_cksum();
    header
}

use ::tar as tar_crate;

fn one(name: &[u8], content: &[u8], kind: tar_crate::EntryType) -> Vec<u8> {
    let mut bytes = header(name, content.len() as u64, kind).as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

fn refusal(bytes: &[u8]) -> String {
    open("a", bytes, &Limits::default()).unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read_back_and_always_the_same() {
    let written = sample();
    assert_eq!(written, sample());
    let members = open("UD_SA_t.tar.gz", &written, &Limits::default()).unwrap();
    let names: Vec<String> = flatten(&members).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "manifest.mf",
            "UD_VA_a.tar.gz",
            "UD_VA_a.tar.gz/dev_1_t.txt",
            "UD_VA_a.tar.gz/dev_2_t.txt",
            "UD_VA_b.tar.gz",
            "UD_VA_b.tar.gz/dev_3_t.txt",
        ]
    );
    let manifest = String::from_utf8(members[0].bytes.clone()).unwrap();
    assert_eq!(
        manifest,
        "Manifest-Version: 1.0\nCreated-By: \"{\\\"uuid\\\": \\\"00000000-0000-8000-8000-000000000000\\\"}\"\n\
         Smart-Account: example.com\nSmart-Account-ID:\n\n\
         Name: /UD_VA_a.tar.gz\nSpecification-VA: Branch Name: x\nSpecification-VA-ID: \n\n\
         Name: /UD_VA_b.tar.gz\nSpecification-VA: Campus\nSpecification-VA-ID: \n"
    );
    let inner = &members[1];
    assert!(inner.bytes.is_empty() && inner.size > 0 && inner.inside.as_ref().is_some_and(|inside| inside.len() == 2));
}

#[test]
fn long_names_come_back_whole() {
    let name = format!("{}/{}.txt", "folder".repeat(15), "n".repeat(150));
    let members = open("a", &tar(&[(name.clone(), b"x".to_vec())]).unwrap(), &Limits::default()).unwrap();
    assert_eq!((members[0].name.as_str(), members[0].bytes.as_slice()), (name.as_str(), &b"x"[..]));
    assert!(tar(&[("../x".to_owned(), Vec::new())]).is_err());
}

#[test]
fn times_in_names_are_those_of_the_sample() {
    let at: Timestamp = "2021-04-20T20:56:13.123456Z".parse().unwrap();
    assert_eq!(name_time(at), "21Apr20_20_56_13_123");
    assert_eq!(name_time("2026-11-02T03:04:05Z".parse().unwrap()), "26Nov02_03_04_05_000");
    assert_eq!(answer_name("UD_SA_x.tar.gz"), "ACK_UD_SA_x.tar.gz");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let file = tar_crate::EntryType::Regular;
    assert!(refusal(&one(b"../evil", b"x", file)).contains("leads out of its folder"));
    assert!(refusal(&one(b"a/../../evil", b"x", file)).contains("leads out"));
    assert!(refusal(&one(b"..\\evil", b"x", file)).contains("leads out"));
    assert!(refusal(&one(b"/etc/passwd", b"x", file)).contains("is absolute"));
    assert!(refusal(&one(b"C:\\x", b"x", file)).contains("is absolute"));
    assert!(refusal(&one(b"a\x1b[2J", b"x", file)).contains("control characters"));
    assert!(refusal(&one(b"\xff\xfe", b"x", file)).contains("not UTF-8"));
    assert_eq!(open("a", &one(b"./b/c", b"x", file), &Limits::default()).unwrap()[0].name, "b/c");
}

#[test]
fn whatever_is_no_plain_file_is_refused() {
    use tar_crate::EntryType::*;
    assert!(refusal(&one(b"l", b"", Symlink)).contains("got a symbolic link"));
    assert!(refusal(&one(b"l", b"", Link)).contains("got a hard link"));
    assert!(refusal(&one(b"l", b"", Char)).contains("got a device"));
    assert!(refusal(&one(b"l", b"", Fifo)).contains("got a pipe"));
    assert!(open("a", &one(b"l", b"", GNUSparse), &Limits::default()).is_err());
    assert!(open("a", &one(b"folder/", b"", Directory), &Limits::default()).unwrap().is_empty());
}

#[test]
fn a_name_twice_is_refused() {
    let mut bytes = one(b"same", b"x", tar_crate::EntryType::Regular);
    bytes.truncate(1024);
    bytes.extend(one(b"same", b"y", tar_crate::EntryType::Regular));
    assert!(refusal(&bytes).contains("comes twice"));
}

#[test]
fn a_hundred_thousand_members_are_too_many() {
    let block = header(b"m", 0, tar_crate::EntryType::Regular);
    let bytes = block.as_bytes().repeat(100_000);
    let limits = Limits::default();
    // Names are the same here; with names of their own the count is what stops it.
    assert!(open("a", &bytes, &limits).is_err());
    let mut many = Vec::new();
    for n in 0..100_000 {
        many.extend_from_slice(header(format!("m{n}").as_bytes(), 0, tar_crate::EntryType::Regular).as_bytes());
    }
    assert!(refusal(&many).contains("more than 50000 members"));
    assert!(refusal(&gzip(&many).unwrap()).contains("more than 50000 members"));
}

#[test]
fn bombs_are_stopped_while_they_unpack() {
    let bomb = gzip(&vec![0; 64 << 20]).unwrap();
    assert!(bomb.len() < 100_000);
    assert!(refusal(&bomb).contains("becomes more than 250 times"));
    let limits = Limits { total_bytes: 1 << 20, ..Limits::default() };
    let error = open("a", &bomb, &limits).unwrap_err().to_string();
    assert!(error.contains("more than 1048576 bytes in all"), "{error}");
    let limits = Limits { member_bytes: 3, ..Limits::default() };
    let error = open("a", &one(b"m", b"four", tar_crate::EntryType::Regular), &limits).unwrap_err().to_string();
    assert!(error.contains("a/m: more than 3 bytes in one member"), "{error}");
    // A header that promises more than there is.
    let liar = header(b"m", 1 << 60, tar_crate::EntryType::Regular);
    assert!(open("a", liar.as_bytes(), &Limits::default()).is_err());
}

#[test]
fn nesting_is_bounded_and_says_where() {
    let mut bytes = b"innermost".to_vec();
    for level in 0..4 {
        bytes = gzip(&tar(&[(format!("level{level}"), bytes)]).unwrap()).unwrap();
    }
    assert_eq!(refusal(&bytes), "a/level3/level2/level1: archives nested deeper than 3");
}

#[test]
fn cuts_and_additions_are_noticed_everywhere() {
    let whole = sample();
    for part in 1..50 {
        let cut = &whole[..whole.len() * part / 50];
        assert!(open("a", cut, &Limits::default()).is_err(), "cut at {part}/50");
    }
    let mut longer = whole.clone();
    longer.extend_from_slice(&[0; 512]);
    assert!(open("a", &longer, &Limits::default()).is_ok(), "zeros are padding");
    longer.write_all(b"garbage").unwrap();
    assert!(refusal(&longer).contains("something follows where the gzip stream ends"));

    let plain = tar(&[("m".to_owned(), vec![7; 700])]).unwrap();
    for length in [100, 512, 900, 1024, 1536] {
        assert!(open("a", &plain[..length], &Limits::default()).is_err(), "cut at byte {length}");
    }
    let mut longer = plain.clone();
    longer.extend_from_slice(b"garbage");
    assert!(refusal(&longer).contains("something follows where the tar ends"));
    assert!(refusal(&gzip(b"no tar at all").unwrap()).contains("expected a tar"));
    assert!(refusal(b"plain text").contains("expected a tar"));
}

#[test]
fn what_stands_before_a_file_is_bounded_too() {
    // A long name of 100 MB, which readers of tars take into memory.
    let mut bytes = header(b"././@LongLink", 100 << 20, tar_crate::EntryType::GNULongName).as_bytes().to_vec();
    bytes.resize(bytes.len() + (100 << 20), b'n');
    bytes.extend(one(b"x", b"x", tar_crate::EntryType::Regular));
    assert!(refusal(&bytes).contains("a header that never ends"), "{}", refusal(&bytes));
    let mut global = header(b"pax", 100 << 20, tar_crate::EntryType::XGlobalHeader).as_bytes().to_vec();
    global.resize(global.len() + (100 << 20), b'n');
    assert!(refusal(&global).contains("a header that never ends"));
}

#[test]
fn streams_in_streams_and_slow_ones_are_refused() {
    let zeros = gzip(&vec![0; 8 << 20]).unwrap();
    assert!(refusal(&gzip(&zeros).unwrap()).contains("expected a tar"));
    let limits = Limits { time: Duration::ZERO, ..Limits::default() };
    let error = open("a", &sample(), &limits).unwrap_err().to_string();
    assert!(error.contains("not read within 0 s"), "{error}");
}

#[test]
fn ten_gigabytes_in_many_streams_are_stopped() {
    // As gzip reads it: one file of 160 streams.
    let part = gzip(&vec![0; 64 << 20]).unwrap();
    let mut bomb = gzip(header(b"zeros", 10 << 30, tar_crate::EntryType::Regular).as_bytes()).unwrap();
    for _ in 0..160 {
        bomb.extend_from_slice(&part);
    }
    assert!(refusal(&bomb).contains("more than 67108864 bytes in one member"));
    let generous = Limits { member_bytes: u64::MAX, total_bytes: u64::MAX, ..Limits::default() };
    let error = open("a", &bomb, &generous).unwrap_err().to_string();
    assert!(error.contains("becomes more than 250 times"), "{error}");
    // The same, two archives deep.
    let nested = gzip(&tar(&[("ACK_UD_VA_x.tar.gz".to_owned(), bomb)]).unwrap()).unwrap();
    let error = open("a", &nested, &generous).unwrap_err().to_string();
    assert!(error.contains("a/ACK_UD_VA_x.tar.gz: becomes more than 250 times"), "{error}");
}
