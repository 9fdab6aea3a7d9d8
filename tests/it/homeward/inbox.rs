//! The import folder: what is taken, what is left alone, and sudden death between keeping and moving.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use lab::specs;
use nix::sys::signal::Signal;
use serde_json::Value;
use slp_collector::domain::event::{Event, Fact};
use slp_collector::flow::inbox::{Inbox, Looked, SETTLED};
use slp_collector::flow::{Clock, House, homeward, person};

use super::{POLICY, answered, answers, saved, written};
use crate::daemon::Daemon;
use crate::support::site::{LIMITS, Site, files};

/// Two devices that were polled, and the answers to their bundle.
fn site() -> (Site, Vec<PathBuf>) {
    let specs = vec![specs::switch("edge-1"), specs::switch("edge-2")];
    let mut site = Site::with(specs, &format!("{LIMITS}spread = \"0s\"\n"), |_| "deliver");
    let files = answered(&mut site);
    (site, files)
}

fn inbox(site: &Site) -> PathBuf {
    site.path("state/import")
}

/// Puts a file there as careful programs do: whole, by a rename.
fn put(site: &Site, name: &str, bytes: &[u8]) {
    let aside = written(site, "aside", bytes);
    fs::create_dir_all(inbox(site)).unwrap();
    fs::rename(aside, inbox(site).join(name)).unwrap();
}

fn house(site: &Site) -> House {
    House::new(site.config(), site.ledger(), Clock::of(Timestamp::now))
}

/// Two looks with enough time between them, by a clock of our own.
fn looked(house: &House) -> Looked {
    let (mut inbox, now) = (Inbox::default(), Instant::now());
    inbox.look(house, now).unwrap();
    inbox.look(house, now + SETTLED).unwrap()
}

/// Names below a folder of the import folder.
fn below(site: &Site, folder: &str) -> Vec<String> {
    let name = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<String> = files(&inbox(site).join(folder)).iter().map(name).collect();
    names.sort();
    names
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn what_is_whole_is_taken_and_what_is_not_waits_or_is_refused_with_the_reason() {
    let (site, answered) = site();
    let house = house(&site);
    put(&site, &name_of(&answered[0]), &fs::read(&answered[0]).unwrap());
    put(&site, "usage.txt", &saved(&site.device("edge-2")));
    put(&site, "policy.xml", POLICY.as_bytes());
    put(&site, "notes.txt", b"hello");
    for left in [".hidden", "a.part", "b.TMP", "c.crdownload"] {
        put(&site, left, b"not yet");
    }
    symlink(site.config_file(), inbox(&site).join("link.txt")).unwrap();
    fs::create_dir(inbox(&site).join("folder")).unwrap();
    put(&site, "folder/inside.txt", b"nobody looks here");

    let (mut watching, now) = (Inbox::default(), Instant::now());
    assert_eq!(watching.look(&house, now).unwrap(), Looked { taken: 0, refused: 1, waiting: 4 }, "a link never grows");
    // One of them grows.
    put(&site, "policy.xml", (POLICY.to_owned() + "\n").as_bytes());
    let next = watching.look(&house, now + SETTLED).unwrap();
    assert_eq!(next, Looked { taken: 2, refused: 1, waiting: 1 });
    let last = watching.look(&house, now + SETTLED * 2).unwrap();
    assert_eq!(last, Looked { taken: 1, refused: 0, waiting: 0 });

    let mut done =
        vec![name_of(&answered[0]), "policy.xml".to_owned(), "policy.xml.why.txt".to_owned(), "usage.txt".to_owned()];
    done.sort();
    assert_eq!(below(&site, "done"), done);
    assert_eq!(below(&site, "refused"), ["link.txt", "link.txt.why.txt", "notes.txt", "notes.txt.why.txt"]);
    let why = |name: &str| fs::read_to_string(inbox(&site).join("refused").join(name)).unwrap();
    assert!(why("link.txt.why.txt").contains("not followed") && why("notes.txt.why.txt").contains("not taken"));
    let left: Vec<String> = fs::read_dir(inbox(&site))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["done", "refused", ".taking"].contains(&name.as_str()))
        .collect();
    assert_eq!(left.len(), 5, "{left:?}");
    // The same name once more does not replace what lies there.
    put(&site, "notes.txt", b"hello again");
    assert_eq!(looked(&house).refused, 1);
    assert!(below(&site, "refused").contains(&"notes.txt-2".to_owned()));
    drop(house);
    let told = answers(&site);
    assert_eq!(told.len(), 2);
    let owner = person::of_uid(fs::metadata("/proc/self").unwrap().uid());
    assert!(told.iter().all(|answer| answer["brought_by"] == format!("{owner} (the file's owner)")), "{told:?}");
}

#[test]
fn what_a_kill_left_between_keeping_and_moving_is_moved_and_kept_once() {
    let (site, answered) = site();
    let (name, bytes) = (name_of(&answered[0]), fs::read(&answered[0]).unwrap());
    {
        let house = house(&site);
        // Aside, kept, and then the power went.
        put(&site, &name, &bytes);
        Inbox::default().look(&house, Instant::now()).unwrap();
        fs::rename(inbox(&site).join(&name), inbox(&site).join(".taking").join(&name)).unwrap();
        homeward::import(&house, vec![(name, bytes)]).unwrap();
        // Another was aside, and not read yet.
        let other = name_of(&answered[1]);
        fs::copy(&answered[1], inbox(&site).join(".taking").join(other)).unwrap();
    }
    let house = house(&site);
    assert_eq!(Inbox::default().look(&house, Instant::now()).unwrap(), Looked { taken: 2, refused: 0, waiting: 0 });
    assert_eq!(below(&site, "done").len(), 2);
    assert_eq!(below(&site, ".taking"), [] as [String; 0]);
    assert_eq!(received(&house), [1, 1]);
}

/// How often each answer was received.
fn received(house: &House) -> Vec<usize> {
    let mut received: BTreeMap<_, usize> = BTreeMap::new();
    house
        .ledger
        .events(None, &mut |event: &Event| {
            if let Fact::AnswerReceived(fact) = &event.fact {
                *received.entry((fact.udi.clone(), fact.object)).or_default() += 1;
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    received.into_values().collect()
}

#[test]
fn the_daemon_takes_what_is_put_there_and_delivers_it() {
    let (site, answered) = site();
    let mut daemon = Daemon::start(&site, None);
    for file in &answered {
        put(&site, &name_of(file), &fs::read(file).unwrap());
    }
    daemon.logs("taken in from the import folder");
    daemon.logs("taken in from the import folder");
    for _ in &answered {
        daemon.logs("answer delivered");
    }
    let told = answers(&site);
    assert!(told.iter().all(|answer| answer["status"]["confirmed"] == "by-id"), "{told:?}");
    // Whoever asks over the socket is known by the kernel's word.
    let me = person::of_uid(fs::metadata("/proc/self").unwrap().uid());
    site.run(["silence", "add", "--until", "+1d", "--note", "test"]).exits(0);
    let silences: Vec<Value> = site.run(["silence", "list", "--format", "json"]).exits(0).json();
    assert_eq!(silences[0]["by"], me);
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn killed_at_any_moment_the_daemon_keeps_every_file_once() {
    let (site, answered) = site();
    // Each its own object, so that each is kept or lost for itself.
    let text = String::from_utf8(fs::read(&answered[0]).unwrap()).unwrap();
    let (rounds, each) = (12, 8);
    for round in 0..rounds {
        for file in 0..each {
            let body = text.replace("</smartLicense>", &format!("<!-- {round}-{file} --></smartLicense>"));
            put(&site, &format!("ACK_{round}_{file}.txt"), body.as_bytes());
        }
        let mut daemon = Daemon::start(&site, None);
        // The word is said when a file is kept and not moved yet; each round at another one.
        for _ in 0..=round % each {
            daemon.logs("taken in from the import folder");
        }
        daemon.signal(Signal::SIGKILL);
        drop(daemon);
    }
    let house = Arc::new(house(&site));
    let (mut watching, now) = (Inbox::default(), Instant::now());
    let look = |watching: &mut Inbox, looks: u32| watching.look(&house, now + SETTLED * looks).unwrap();
    look(&mut watching, 0);
    let mut looks = 1;
    while look(&mut watching, looks).waiting > 0 {
        looks += 1;
    }
    let total = rounds * each;
    assert_eq!(below(&site, "done").len(), total, "{:?}", below(&site, "refused"));
    assert_eq!(below(&site, ".taking"), [] as [String; 0]);
    let received = received(&house);
    assert_eq!((received.len(), received.iter().max()), (total, Some(&1)));
}

#[test]
fn a_link_in_the_place_of_a_folder_of_ours_leads_nowhere() {
    let site = Site::new(vec![specs::switch("edge-1")]);
    let house = house(&site);
    looked(&house);
    let (aside, elsewhere) = (inbox(&site).join(".taking"), site.path("elsewhere"));
    assert_eq!(fs::metadata(inbox(&site)).unwrap().mode() & 0o7777, 0o1770, "each may move its own files alone");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("signer.key"), b"secret").unwrap();
    for name in [".taking", "refused", "done"] {
        let place = inbox(&site).join(name);
        fs::remove_dir_all(&place).unwrap();
        symlink(&elsewhere, &place).unwrap();
        let refused = Inbox::default().look(&house, Instant::now()).unwrap_err().to_string();
        assert!(refused.contains(&format!("'{name}' in it is not a folder of the service's own")), "{refused}");
        fs::remove_file(&place).unwrap();
    }
    assert_eq!(fs::read(elsewhere.join("signer.key")).unwrap(), b"secret");
    looked(&house);
    assert!(fs::symlink_metadata(aside).unwrap().is_dir());
}

#[test]
fn a_name_as_long_as_names_may_be_holds_nothing_up() {
    let site = Site::new(vec![specs::switch("edge-1")]);
    let house = house(&site);
    for name in ["ä".repeat(127), "x".repeat(255), "x".repeat(255)] {
        put(&site, &name, b"no answer");
        assert_eq!(looked(&house), Looked { taken: 0, refused: 1, waiting: 0 });
    }
    let x = "x".repeat(200);
    let mut expected = vec!["ä".repeat(100), x.clone(), format!("{x}-2")];
    expected.extend(expected.clone().iter().map(|name| format!("{name}.why.txt")));
    expected.sort();
    assert_eq!(below(&site, "refused"), expected);
}
