//! How the command lines of the three systems behave: plain data.
//!
//! Sources: Cisco's unicon plugins (prompts, pagers), recorded outputs (complaints). What only rests on general
//! knowledge is marked *unconfirmed*.

use super::super::Complaint;

/// How one system's command line behaves.
#[derive(Debug)]
pub struct Manner {
    /// `ios-xe`, `ios-xr`, `nx-os`.
    pub system: &'static str,
    /// What a pager shows at the beginning of a line, and the key that goes on.
    pub pagers: &'static [(&'static str, &'static str)],
    /// How a line begins, in lower case, that says no to a command.
    pub complaints: &'static [(&'static str, Complaint)],
    /// How a line ends that waits for an answer.
    pub questions: &'static [&'static str],
    /// What a prompt or a greeting holds where a standby answers.
    pub standby: &'static [&'static str],
}

const QUESTIONS: &[&str] = &["[confirm]", "]?", "]:", "(y/n)?", "(yes/no)?", "[y/n]", "[no]"];

/// IOS XE.
pub static IOS_XE: Manner = Manner {
    system: "ios-xe",
    pagers: &[("--More--", " ")],
    complaints: &[
        ("% invalid input", Complaint::Unknown),
        ("% incomplete command", Complaint::Unknown),
        ("% ambiguous command", Complaint::Unknown),
        ("% unknown command", Complaint::Unknown),
        ("% unrecognized command", Complaint::Unknown),
        ("% bad ip address or host name", Complaint::Unknown),
        ("% authorization failed", Complaint::Unauthorized),
        ("command authorization failed", Complaint::Unauthorized),
        ("% access denied", Complaint::Unauthorized),
        ("%error", Complaint::Failed),
        ("% error", Complaint::Failed),
    ],
    questions: QUESTIONS,
    standby: &["-stby", "standby console disabled"],
};

/// IOS XR.
pub static IOS_XR: Manner = Manner {
    system: "ios-xr",
    pagers: &[("--More--", " "), ("(END)", "q")],
    complaints: &[
        ("% invalid command", Complaint::Unknown),
        ("% invalid input", Complaint::Unknown),
        ("% incomplete", Complaint::Unknown),
        ("% ambiguous", Complaint::Unknown),
        ("% unmatched quote", Complaint::Unknown),
        // Unconfirmed.
        ("% this command is not authorized", Complaint::Unauthorized),
        ("%error", Complaint::Failed),
        ("% error", Complaint::Failed),
    ],
    questions: QUESTIONS,
    standby: &["this (d)rp node is not ready or active for login"],
};

/// NX-OS.
pub static NX_OS: Manner = Manner {
    system: "nx-os",
    pagers: &[("--More--", " "), ("(END)", "q")],
    complaints: &[
        ("% invalid command", Complaint::Unknown),
        ("% invalid input", Complaint::Unknown),
        ("% invalid number", Complaint::Unknown),
        ("% incomplete", Complaint::Unknown),
        ("% ambiguous", Complaint::Unknown),
        ("cmd exec error", Complaint::Unknown),
        ("syntax error", Complaint::Unknown),
        // Unconfirmed.
        ("% permission denied", Complaint::Unauthorized),
        ("error:", Complaint::Failed),
        ("% error", Complaint::Failed),
    ],
    questions: QUESTIONS,
    standby: &["(standby)"],
};

impl Manner {
    /// What the device has against a command, and its words, if the first lines of its answer say so.
    ///
    /// Later lines are output: a log or a configuration may quote any complaint.
    pub fn complaint(&self, text: &str) -> Option<(Complaint, String)> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "^").take(3);
        for line in lines {
            let lower = line.to_ascii_lowercase();
            if let Some((_, complaint)) = self.complaints.iter().find(|(sign, _)| lower.starts_with(sign)) {
                return Some((*complaint, line.chars().take(200).collect()));
            }
        }
        None
    }

    /// Is this the prompt or the greeting of a standby?
    pub fn is_standby(&self, text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        self.standby.iter().any(|sign| lower.contains(sign))
    }

    /// Does this unfinished line wait for an answer?
    pub fn is_question(&self, line: &str) -> bool {
        let line = line.trim_end();
        let lower = line.to_ascii_lowercase();
        lower.ends_with("password:") || self.questions.iter().any(|sign| lower.ends_with(sign))
    }

    /// Could this unfinished line be a prompt? The characters that host names, locations and modes have,
    /// then `#` or `>`.
    pub fn is_prompt(&self, line: &str) -> bool {
        const LONGEST: usize = 120;
        let Some(name) = line.strip_suffix(['#', '>']) else { return false };
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-@()/:+~".contains(c);
        !name.is_empty() && name.len() <= LONGEST && name.chars().all(fits)
    }
}
