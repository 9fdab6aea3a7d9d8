//! NX-OS's own texts: version, inventory, mistakes, directories. Version and inventory follow captures; the rest is
//! invented after the system's habits.

use std::fmt::Write as _;

use crate::cli::command::Mistake;
use crate::cli::files::Listing;
use crate::cli::time;
use crate::spec::Spec;
use crate::state::State;

pub fn version(spec: &Spec, state: &State) -> String {
    let up = (state.now - state.started).max(0);
    let (days, hours, minutes, seconds) = (up / 86_400, up / 3600 % 24, up / 60 % 60, up % 60);
    format!(
        "Cisco Nexus Operating System (NX-OS) Software\n\nSoftware\n  BIOS: version 01.08\n  NXOS: version {}\n  NXOS image \
         file is: bootflash:///nxos64.bin\n\nHardware\n  cisco Nexus9000 {} Chassis\n  Processor Board ID {}\n\n  Device name: \
         {}\n  bootflash:   {} kB\nKernel uptime is {days} day(s), {hours} hour(s), {minutes} minute(s), {seconds} \
         second(s)\n\nLast reset\n  Reason: Unknown\n  System version: {}\n\n",
        state.software,
        state.udi.pid.trim_start_matches("N9K-"),
        state.udi.sn,
        spec.name,
        spec.flash / 1024,
        state.software,
    )
}

pub fn inventory(state: &State) -> String {
    let (pid, sn) = (&state.udi.pid, &state.udi.sn);
    let model = pid.trim_start_matches("N9K-");
    let mut text = format!("NAME: \"Chassis\",  DESCR: \"Nexus9000 {model} Chassis\"\n");
    let _ = write!(text, "PID: {pid:<20} ,  VID: V01 ,  SN: {sn}\n\n");
    for (index, member) in state.members.iter().enumerate() {
        let _ = writeln!(text, "NAME: \"Slot {}\",  DESCR: \"Supervisor\"", index + 1);
        let _ = write!(text, "PID: {:<20} ,  VID: V01 ,  SN: {}\n\n", member.udi.pid, member.udi.sn);
    }
    text
}

pub fn mistake(indent: usize, mistake: Mistake) -> String {
    match mistake {
        Mistake::Invalid(at) => format!("{:1$}^\n% Invalid command at '^' marker.\n", "", indent + at),
        Mistake::Ambiguous => "% Ambiguous command at '^' marker.\n".to_string(),
        Mistake::Incomplete => "% Incomplete command at '^' marker.\n".to_string(),
    }
}

pub fn directory(spec: &Spec, listing: &Listing<'_>) -> String {
    let time = time::listed(spec, listing.now, "%b %d %H:%M:%S %Y");
    let mut text = String::new();
    for (name, size) in &listing.files {
        let _ = writeln!(text, "{size:>11}    {time}  {name}");
    }
    let used = listing.total.saturating_sub(listing.free);
    let _ = write!(
        text,
        "\nUsage for bootflash://sup-local\n{used:>12} bytes used\n{:>12} bytes free\n{:>12} bytes total\n",
        listing.free, listing.total
    );
    text
}
