//! Zip files: whole ones are read, and where one could be read in two ways it is refused.

use flate2::{Compression, Crc, write::DeflateEncoder};

use super::*;

/// One entry, with everything that may be stated wrongly.
#[derive(Clone)]
struct Stated {
    name: Vec<u8>,
    local_name: Option<Vec<u8>>,
    packed: Vec<u8>,
    method: u16,
    flags: u16,
    crc: u32,
    size: u32,
    made_by: u16,
    attributes: u32,
    /// Where the list of contents says it begins; where it does, if `None`.
    begin: Option<u32>,
}

fn file(name: &str, content: &[u8]) -> Stated {
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
    deflated.write_all(content).unwrap();
    let mut crc = Crc::new();
    crc.update(content);
    Stated {
        name: name.as_bytes().to_vec(),
        local_name: None,
        packed: deflated.finish().unwrap(),
        method: 8,
        flags: 0,
        crc: crc.sum(),
        size: content.len() as u32,
        made_by: 3 << 8,
        attributes: 0o100_644 << 16,
        begin: None,
    }
}

fn zip(entries: &[Stated]) -> Vec<u8> {
    zip_with(entries, &[])
}

/// With bytes of somebody between the files and the list.
fn zip_with(entries: &[Stated], between: &[u8]) -> Vec<u8> {
    let (mut bytes, mut list) = (Vec::new(), Vec::new());
    let common = |entry: &Stated, name: &[u8]| {
        let mut fields = Vec::new();
        for number in [20, entry.flags, entry.method, 0, 0] {
            fields.extend_from_slice(&u16::to_le_bytes(number));
        }
        for number in [entry.crc, entry.packed.len() as u32, entry.size] {
            fields.extend_from_slice(&number.to_le_bytes());
        }
        fields.extend_from_slice(&(name.len() as u16).to_le_bytes());
        fields.extend_from_slice(&[0, 0]);
        fields
    };
    for entry in entries {
        let begin = entry.begin.unwrap_or(bytes.len() as u32);
        let local = entry.local_name.as_ref().unwrap_or(&entry.name);
        bytes.extend_from_slice(b"PK\x03\x04");
        bytes.extend(common(entry, local));
        bytes.extend_from_slice(local);
        bytes.extend_from_slice(&entry.packed);
        list.extend_from_slice(b"PK\x01\x02");
        list.extend_from_slice(&entry.made_by.to_le_bytes());
        list.extend(common(entry, &entry.name));
        list.extend_from_slice(&[0; 6]);
        list.extend_from_slice(&entry.attributes.to_le_bytes());
        list.extend_from_slice(&begin.to_le_bytes());
        list.extend_from_slice(&entry.name);
    }
    bytes.extend_from_slice(between);
    let start = bytes.len() as u32;
    bytes.extend_from_slice(&list);
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        bytes.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    }
    bytes.extend_from_slice(&(list.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&start.to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes
}

#[test]
fn whole_ones_are_read_with_archives_in_them() {
    let inner = gzip(&tar(&[("x.txt".to_owned(), b"x".to_vec())]).unwrap()).unwrap();
    let folder = Stated { attributes: 0o040_755 << 16, ..file("folder/", b"") };
    let stored = Stated { method: 0, packed: b"as it is".to_vec(), ..file("folder/b.txt", b"as it is") };
    let bytes = zip(&[file("a.txt", b"one"), folder, stored, file("c.tar.gz", &inner), file("empty", b"")]);
    let members = open("z", &bytes, &Limits::default()).unwrap();
    let names: Vec<String> = flatten(&members).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.txt", "folder/b.txt", "c.tar.gz", "c.tar.gz/x.txt", "empty"]);
    assert_eq!((members[0].bytes.as_slice(), members[1].bytes.as_slice()), (&b"one"[..], &b"as it is"[..]));
    assert_eq!((members[2].size, members[2].sha256), (inner.len() as u64, Sha256::of(&inner)));
    assert!(open("z", &zip(&[]), &Limits::default()).unwrap().is_empty());
    let in_tar = tar(&[("z.zip".to_owned(), bytes)]).unwrap();
    assert_eq!(flatten(&open("t", &in_tar, &Limits::default()).unwrap()).len(), 6);
}

#[test]
fn names_and_kinds_are_refused_as_in_a_tar() {
    assert!(refusal(&zip(&[file("../evil", b"x")])).contains("leads out of its folder"));
    assert!(refusal(&zip(&[file("a\\..\\..\\evil", b"x")])).contains("leads out"));
    assert!(refusal(&zip(&[file("/etc/passwd", b"x")])).contains("is absolute"));
    assert!(refusal(&zip(&[file("C:/x", b"x")])).contains("is absolute"));
    assert!(refusal(&zip(&[file("same", b"x"), file("same", b"y")])).contains("comes twice"));
    let of_mode = |mode: u32| refusal(&zip(&[Stated { attributes: mode << 16, ..file("l", b"/etc/passwd") }]));
    assert!(of_mode(0o120_777).contains("got a symbolic link"));
    assert!(of_mode(0o020_600).contains("got an entry of mode 20000"));
    assert!(refusal(&zip(&[Stated { flags: 1, ..file("x", b"x") }])).contains("got an encrypted file"));
    assert!(refusal(&zip(&[Stated { flags: 1 << 5, ..file("x", b"x") }])).contains("flags 0x0020"));
    assert!(refusal(&zip(&[Stated { method: 14, ..file("x", b"x") }])).contains("packed by method 14"));
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let good = file("a.txt", b"content");
    let says = |entries: &[Stated]| refusal(&zip(entries));
    let differs = "is not what the list of contents says";
    assert!(says(&[Stated { local_name: Some(b"b.txt".to_vec()), ..good.clone() }]).contains(differs));
    // Two entries of the list over the same bytes, as bombs do it.
    let again = Stated { begin: Some(0), name: b"b.txt".to_vec(), local_name: Some(b"a.txt".to_vec()), ..good.clone() };
    assert!(says(&[good.clone(), again]).contains(differs));
    let into = Stated { begin: Some(5), ..good.clone() };
    assert!(says(&[into]).contains(differs));
    assert!(refusal(&zip_with(std::slice::from_ref(&good), b"hidden")).contains(differs));
    assert!(refusal(&zip_with(&[], b"PK\x03\x04 hidden")).contains("do not end where the list"));
    let mut longer = zip(std::slice::from_ref(&good));
    longer.push(b'x');
    assert!(refusal(&longer).contains("cut off"));
    let mut commented = zip(std::slice::from_ref(&good));
    let length = commented.len();
    commented[length - 2] = 1;
    assert!(refusal(&commented).contains("with a comment"));

    // Sizes and check sums that lie.
    assert!(says(&[Stated { size: 3, ..good.clone() }]).contains("expected 3 bytes, got 4"));
    assert!(says(&[Stated { size: 9, ..good.clone() }]).contains("expected 9 bytes, got 7"));
    assert!(says(&[Stated { crc: 1, ..good.clone() }]).contains("does not fit its check sum"));
    let mut padded = good.clone();
    padded.packed.push(0);
    assert!(says(&[padded]).contains("does not fit its check sum"));
    assert!(says(&[Stated { size: u32::MAX, ..good.clone() }]).contains("zip64"));
    assert!(says(&[Stated { begin: Some(u32::MAX), ..good }]).contains("zip64"));
}

#[test]
fn limits_hold_for_zips_too() {
    let zeros = vec![0; 64 << 20];
    assert!(refusal(&zip(&[file("zeros", &zeros)])).contains("becomes more than 250 times"));
    let limits = Limits { member_bytes: 3, ..Limits::default() };
    // The zip itself is held in memory too.
    assert!(open("a", &zip(&[file("x", b"four")]), &limits).unwrap_err().to_string().contains("more than 3 bytes"));
    let many: Vec<Stated> = (0..60_000).map(|n| file(&format!("m{n}"), b"")).collect();
    assert!(refusal(&zip(&many)).contains("more than 50000 members"));
}

#[test]
fn cut_or_changed_anywhere_it_is_noticed() {
    let whole = zip(&[file("a.txt", b"first content"), file("b.txt", b"second content")]);
    for length in 4..whole.len() {
        assert!(open("a", &whole[..length], &Limits::default()).is_err(), "cut at {length}");
    }
    // A byte of time stamps, versions and the like changes nothing that counts; no change makes other content.
    let good: Vec<Vec<u8>> = open("a", &whole, &Limits::default()).unwrap().into_iter().map(|one| one.bytes).collect();
    for at in 4..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        if let Ok(members) = open("a", &changed, &Limits::default()) {
            assert_eq!(members.into_iter().map(|one| one.bytes).collect::<Vec<_>>(), good, "byte {at}");
        }
    }
}
