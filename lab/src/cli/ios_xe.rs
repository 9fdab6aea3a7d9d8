//! IOS XE's own texts: version, inventory, mistakes, directories.

use std::fmt::Write as _;

use crate::cli::command::Mistake;
use crate::cli::files::Listing;
use crate::cli::time;
use crate::spec::Spec;
use crate::state::State;

/// Laid out as in captures of 17.x; only lines that identify the box, without the legal notices.
pub fn version(spec: &Spec, state: &State) -> String {
    let (host, pid, sn) = (&spec.name, &state.udi.pid, &state.udi.sn);
    let plain = |part: &str| part.parse::<u32>().map_or_else(|_| part.to_string(), |number| number.to_string());
    let numbers: Vec<String> = state.software.split('.').map(plain).collect();
    let uptime = time::uptime(state.now - state.started);
    format!(
        "Cisco IOS XE Software, Version {}\nCisco IOS Software [Lab], Simulated Software (LAB_IOSXE), Version {}, RELEASE \
         SOFTWARE (fc1)\n\nROM: IOS-XE ROMMON\n{host} uptime is {uptime}\nUptime for this control processor is \
         {uptime}\nSystem returned to ROM by Reload Command\nSystem image file is \"bootflash:packages.conf\"\nLast reload \
         reason: Reload Command\n\nSmart Licensing Status: Smart Licensing Using Policy\n\ncisco {pid} (X86) processor \
         with 1333273K/6147K bytes of memory.\nProcessor board ID {sn}\n{}K bytes of Flash at bootflash:.\n\nModel Number \
         \x20                     : {pid}\nSystem Serial Number               : {sn}\n\nConfiguration register is 0x102\n",
        state.software,
        numbers.join("."),
        spec.flash / 1024,
    )
}

pub fn inventory(state: &State) -> String {
    let mut text = String::new();
    for (index, member) in state.members.iter().enumerate() {
        let udi = &member.udi;
        let name = if udi.pid.starts_with("C9300") || udi.pid.starts_with("C9500") {
            format!("Switch {}", index + 1)
        } else {
            "Chassis".to_string()
        };
        let _ =
            write!(text, "NAME: \"{name}\", DESCR: \"{0}\"\nPID: {0:<18}, VID: V01  , SN: {1}\n\n", udi.pid, udi.sn);
    }
    text
}

pub fn running_config(spec: &Spec) -> String {
    let body = format!("!\nversion {}\n!\nhostname {}\n!\nend\n", spec.release(), spec.name);
    format!("Building configuration...\n\nCurrent configuration : {} bytes\n{body}", body.len())
}

/// `indent` is where on the screen the line began.
pub fn mistake(indent: usize, line: &str, mistake: Mistake) -> String {
    match mistake {
        Mistake::Invalid(at) => {
            format!("{:1$}^\n% Invalid input detected at '^' marker.\n\n", "", indent + at)
        }
        Mistake::Ambiguous => format!("% Ambiguous command:  \"{line}\"\n"),
        Mistake::Incomplete => "% Incomplete command.\n\n".to_string(),
    }
}

pub fn directory(spec: &Spec, listing: &Listing<'_>) -> String {
    let time = time::listed(spec, listing.now, "%b %d %Y %H:%M:%S +00:00");
    let mut text = format!("Directory of {}/\n\n", listing.system);
    for (index, (name, size)) in listing.files.iter().enumerate() {
        let _ = writeln!(text, "{:>5}  -rw-  {size:>16}  {time}  {name}", index + 11);
    }
    let _ = write!(text, "\n{} bytes total ({} bytes free)\n", listing.total, listing.free);
    text
}
