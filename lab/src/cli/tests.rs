use super::*;
use crate::device::Device;
use crate::portal::Portal;
use crate::specs;

const T0: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

/// A device and somebody who types at it, a day after it was switched on.
struct Bench {
    device: Device,
    cli: Cli,
    now: i64,
}

impl Bench {
    fn new(spec: Spec) -> Bench {
        let spec = Arc::new(spec);
        Bench { device: Device::new(Arc::clone(&spec), T0), cli: Cli::new(spec, false), now: T0 + DAY }
    }

    fn say(&mut self, line: &str) -> Said {
        let (device, now) = (&mut self.device, self.now);
        self.cli.obey(line, &mut |operation| device.apply(now, operation))
    }

    fn text(&mut self, line: &str) -> String {
        self.say(line).text
    }

    fn file(&mut self, name: &str) -> Vec<u8> {
        match self.device.apply(self.now, Operation::ReadFile(name.to_string())) {
            Reply::File(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    fn write(&mut self, name: &str, bytes: Vec<u8>) {
        let name = name.to_string();
        assert_eq!(self.device.apply(self.now, Operation::WriteFile { name, bytes }), Reply::Done);
    }
}

fn all_systems() -> [Spec; 3] {
    [specs::switch("edge-001"), specs::xr("core-001"), specs::nexus("leaf-001")]
}

#[test]
fn usage_goes_out_and_the_answer_comes_home_on_every_system() {
    for spec in all_systems() {
        let (os, flash) = (spec.os, spec.os.file_systems()[0]);
        let mut bench = Bench::new(spec);
        let open = bench.text("show license rum id all");
        assert_eq!((open.matches(" OPEN ").count(), open.matches(" CLOSED ").count()), (2, 0), "{open}");
        let said = bench.say(&format!("license smart save usage unreported file {flash}slp-1.txt"));
        assert_eq!((&said.then, said.cost > 0), (&Then::Prompt, true));
        let saved = said.text;
        assert_eq!(saved.lines().count(), usize::from(os == System::IosXr), "silent but for XR's line: {saved}");
        let text = bench.text("show license rum id all");
        assert_eq!((text.matches(" UNACK ").count(), text.matches(" OPEN ").count()), (2, 2), "{text}");
        let usage = bench.file("slp-1.txt");
        assert!(String::from_utf8_lossy(&usage).contains("CurrentUsageRequested"));
        let answer = Portal::new().upload(bench.now, "slp-1.txt", &usage).unwrap();
        bench.write("ack.txt", answer.bytes);
        assert!(bench.text(&format!("license smart import {flash}ack.txt")).ends_with("Import Data Successful\n"));
        let status = bench.text("show license status");
        assert!(status.contains("  Last ACK received: Jan 02 00:00:00 2026 UTC\n"), "{status}");
        assert!(status.contains("  Next ACK deadline: Apr 02 00:00:00 2026 UTC\n"), "{status}");
        assert!(status.contains("  Last report file write: Jan 02 00:00:00 2026 UTC\n"), "{status}");
        let text = bench.text("show license rum id all");
        assert_eq!((text.matches(" ACK ").count(), text.matches(" OPEN ").count()), (2, 2), "{text}");
        let all = bench.text("show license all");
        assert!(all.contains("Total Acknowledged Received: 2,  Waiting for Ack: 0\n"), "{all}");
        assert!(all.contains("Available to Report: 0  Collecting Data: 2\n"), "{all}");
    }
}

#[test]
fn a_record_names_its_neighbours() {
    let mut bench = Bench::new(specs::switch("edge-001"));
    bench.text("license smart save usage all file bootflash:a");
    let table = bench.text("show license rum id all");
    let ids: Vec<&str> = table.lines().skip(3).filter_map(|line| line.split(' ').next()).collect();
    let detail = bench.text(&format!("show license rum id {} detail", ids[0]));
    assert!(detail.contains(&format!("Previous Report Id: 0,    Next Report Id: {}\n", ids[2])), "{detail}");
    assert!(detail.contains("  State: UNACK,      State Change Reason: REPORTED\n"), "{detail}");
    assert!(detail.contains("  Storage State: EXIST\n"), "{detail}");
    assert_eq!(bench.text("show license rum id 7 detail"), "The requested item was not found\n");
}

#[test]
fn what_is_shown_is_the_device() {
    let mut bench = Bench::new(specs::stack("edge-001", 3));
    let (active, last) = (bench.device.udi().clone(), bench.device.spec().members[2].udi.clone());
    let udi = bench.text("show license udi");
    assert!(udi.starts_with(&format!("UDI: {active}\n\nHA UDI List:\n    Active:{active}\n")), "{udi}");
    assert!(udi.contains(&format!("    Member:{last}\n")));
    let all = bench.text("show license all");
    for expected in [
        "dna-advantage (c9300_dna_advantage):\n  Description: dna-advantage\n  Count: 3\n",
        "    First report requirement (days): 365 (CISCO default)\n",
        "  Policy in use: Merged from multiple sources.\n",
        "  Smart Account: <none>\n",
        "Trust Code Installed: <none>\n",
        "  Last ACK received: <none>\n",
    ] {
        assert!(all.contains(expected), "{expected} in {all}");
    }
    assert!(bench.text("show version").starts_with("Cisco IOS XE Software, Version 17.09.04\n"));
    assert!(bench.text("show inventory").contains(&format!("SN: {}\n", last.sn)));
    assert_eq!(bench.text("show running-config | include ^hostname"), "hostname edge-001\n");
    let nexus = Bench::new(specs::nexus("leaf-001")).text("show license usage");
    assert!(
        nexus.contains("\n(LAN_ENTERPRISE_SERVICES_PKG):\n") && nexus.contains("  License Type: Generic\n"),
        "{nexus}"
    );
    let xr = Bench::new(specs::xr("core-001")).text("show version");
    assert!(xr.starts_with("Fri Jan  2 00:00:00.118 UTC\nCisco IOS XR Software, Version 24.1.2 LNT\n"), "{xr}");
    let idle = Bench::new(specs::idle("edge-002")).text("show license usage");
    assert!(idle.contains("No licenses in use"), "{idle}");
}

#[test]
fn nothing_to_save_is_said() {
    let mut bench = Bench::new(specs::idle("edge-001"));
    assert_eq!(bench.text("license smart save usage all file flash:a"), "The requested item was not found\n");
    assert!(bench.text("license smart import flash:a").contains("not found"));
    bench.write("junk", b"junk".to_vec());
    assert_eq!(bench.text("license smart import flash:junk"), "message parsing error\n");
}

#[test]
fn flash_fills_up() {
    let mut spec = specs::switch("edge-001");
    spec.flash = 100;
    let mut bench = Bench::new(spec);
    let said = bench.text("license smart save usage all file flash:a");
    assert_eq!(said, "Smart Agent Trusted Storage failed to store*\n");
}

#[test]
fn files_are_listed_read_hashed_and_deleted() {
    for spec in all_systems() {
        let (os, flash) = (spec.os, spec.os.file_systems()[0]);
        let mut bench = Bench::new(spec);
        bench.write("a.txt", b"abc\n".to_vec());
        let path = format!("{flash}a.txt");
        assert!(bench.text(&format!("dir {flash}")).contains("a.txt\n"));
        assert!(bench.text(&format!("dir {path}")).contains("a.txt\n"));
        assert!(bench.text(&format!("dir {flash}b.txt")).contains("No such file"));
        let (read, hash) = match os {
            System::IosXe => (format!("more {path}"), format!("verify /md5 {path}")),
            System::IosXr => (format!("more {path}"), format!("show md5 file {path}")),
            System::NxOs => (format!("show file {path}"), format!("show file {path} md5sum")),
        };
        assert!(bench.text(&read).ends_with("abc\n"));
        assert!(bench.text(&hash).contains("0bee89b07a248e27c83fc3d5951213c1"));
        let Then::Ask { question, hidden: false } = bench.say(&format!("delete {path}")).then else { panic!("{os:?}") };
        assert!(question.contains(&path));
        assert!(bench.text("n").contains("aborted"));
        bench.say(&format!("delete {path}"));
        bench.say("");
        assert!(bench.text(&read).contains("No such file"));
    }
}

#[test]
fn files_go_without_a_question() {
    for (spec, before, line) in [
        (specs::switch("a"), "", "delete /force bootflash:a.txt"),
        (specs::xr("b"), "", "delete /noprompt harddisk:/a.txt"),
        (specs::nexus("c"), "", "delete bootflash:a.txt no-prompt"),
        (specs::nexus("c"), "terminal dont-ask", "delete bootflash:a.txt"),
    ] {
        let mut bench = Bench::new(spec);
        bench.write("a.txt", Vec::new());
        bench.say(before);
        assert_eq!(bench.say(line).then, Then::Prompt, "{line}");
        let Reply::State(state) = bench.device.apply(bench.now, Operation::State) else { panic!() };
        assert!(state.files.is_empty(), "{line}");
    }
}

#[test]
fn enable_asks_three_times() {
    let mut spec = specs::switch("edge-001");
    spec.terminal.enable = Some("open sesame".to_string());
    let mut bench = Bench::new(spec);
    assert_eq!(bench.cli.prompt(), "edge-001>");
    assert!(bench.text("license smart save usage all file flash:a").contains("% Invalid input detected"));
    assert_eq!(bench.say("enable"), Said::ask("Password: ", true));
    assert_eq!(bench.say("wrong"), Said::ask("Password: ", true));
    assert_eq!(bench.say("wrong"), Said::ask("Password: ", true));
    assert_eq!(bench.text("wrong"), "% Bad secrets\n\n");
    bench.say("en");
    bench.say("open sesame");
    assert_eq!(bench.cli.prompt(), "edge-001#");
    assert_eq!(bench.text("disable"), "");
    assert_eq!(bench.cli.prompt(), "edge-001>");
    assert_eq!(bench.say("exit").then, Then::Leave);
}

#[test]
fn mistakes_sound_like_the_system() {
    let mut xe = Bench::new(specs::switch("edge-001"));
    let caret = format!("{}^\n% Invalid input detected at '^' marker.\n\n", " ".repeat("edge-001#show ".len()));
    assert_eq!(xe.text("show licence all"), caret);
    assert_eq!(xe.text("show license"), "% Incomplete command.\n\n");
    assert_eq!(xe.text("show license s"), "% Ambiguous command:  \"show license s\"\n");
    let mut nexus = Bench::new(specs::nexus("leaf-001"));
    assert!(nexus.text("more bootflash:a").ends_with("^\n% Invalid command at '^' marker.\n"));
    let mut xr = Bench::new(specs::xr("core-001"));
    let said = xr.text("sing");
    assert!(said.starts_with("Fri Jan  2 ") && said.ends_with("% Invalid input detected at '^' marker.\n"), "{said}");
    let (device, now) = (&mut nexus.device, T0);
    let said = nexus.cli.forbidden(&mut |operation| device.apply(now, operation));
    assert_eq!(said.text, "% Permission denied for the role\n");
}

#[test]
fn headers_stand_before_outputs_where_they_are_set() {
    let mut spec = specs::switch("edge-001");
    spec.terminal.timestamps = true;
    let mut bench = Bench::new(spec);
    let said = bench.text("show license udi");
    assert!(
        said.starts_with("Load for five secs: ") && said.contains("\nTime source is NTP, 00:00:00.118 UTC Fri Jan 2")
    );
    assert_eq!(bench.text("terminal length 0"), "");
    assert_eq!(bench.cli.length, 0);
}
