//! IOS XR's own texts: version, inventory, mistakes, directories. Version and inventory follow captures; `dir` and the
//! failures of files are invented.

use std::fmt::Write as _;

use crate::cli::command::Mistake;
use crate::cli::files::Listing;
use crate::cli::time;
use crate::spec::Spec;
use crate::state::State;

pub fn version(spec: &Spec, state: &State) -> String {
    let (version, pid) = (&state.software, &state.udi.pid);
    format!(
        "Cisco IOS XR Software, Version {version} LNT\n\nBuild Information:\n Built By     : lab\n Version      : \
         {version}\n Label        : {version}\n\ncisco 8000 (Simulated CPU)\ncisco {pid} (Simulated CPU) processor with 64GB \
         of memory\n{} uptime is {}\n",
        spec.name,
        time::uptime(state.now - state.started),
    )
}

pub fn inventory(state: &State) -> String {
    let mut text = String::new();
    for (index, member) in state.members.iter().enumerate() {
        let (pid, sn) = (&member.udi.pid, &member.udi.sn);
        let _ = write!(
            text,
            "NAME: \"Rack {index}\", DESCR: \"Cisco {pid}\"\nPID: {pid:<18}, VID: V01, SN: {sn}\n\nNAME: \
             \"{index}/RP0/CPU0\", DESCR: \"Cisco {pid}\"\nPID: {pid:<18}, VID: V01, SN: {sn}\n\n"
        );
    }
    text
}

pub fn mistake(indent: usize, line: &str, mistake: Mistake) -> String {
    match mistake {
        Mistake::Invalid(at) => {
            format!("{:1$}^\n% Invalid input detected at '^' marker.\n", "", indent + at)
        }
        Mistake::Ambiguous => format!("% Ambiguous command:  \"{line}\"\n"),
        Mistake::Incomplete => "% Incomplete command.\n".to_string(),
    }
}

pub fn directory(spec: &Spec, listing: &Listing<'_>) -> String {
    let time = time::listed(spec, listing.now, "%b %e %H:%M");
    let mut text = format!("Directory of {}\n", listing.system);
    for (index, (name, size)) in listing.files.iter().enumerate() {
        let _ = writeln!(text, "{:>5} -rw-r--r--. 1 {size:>10} {time} {name}", index + 11);
    }
    let _ = write!(text, "\n{} kbytes total ({} kbytes free)\n", listing.total / 1024, listing.free / 1024);
    text
}
