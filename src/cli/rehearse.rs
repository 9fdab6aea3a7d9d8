//! `device rehearse`: the questions at the terminal, and what was done at the end.

use std::io::{BufRead, IsTerminal, Write};

use super::ask::{converse, part};
use super::output::{self, Column, Format, printable, word};
use super::{Exit, Stop};
use crate::config::Config;
use crate::control::{Answered, Reply, Request};
use crate::domain::instance::DeviceName;
use crate::flow::rehearse::{Ending, Leave, Question, Rehearsal, Step};

pub(super) fn run(
    name: DeviceName,
    yes: bool,
    format: Format,
    config: Config,
    out: &mut dyn Write,
) -> Result<Exit, Stop> {
    if !yes && !std::io::stdin().is_terminal() {
        return Err(Stop::usage("nobody is at a terminal to answer its questions; --yes answers them all"));
    }
    let mut heard = Ok(());
    let answered = converse(config, Request::Rehearse { name }, &mut |reply| match reply {
        Reply::Question(_) if yes => Some(Leave::All),
        Reply::Question(question) => match ask(&question, &mut std::io::stdin().lock(), &mut std::io::stderr()) {
            Ok(leave) => Some(leave),
            Err(error) => {
                heard = Err(error);
                Some(Leave::No)
            }
        },
        Reply::Step(step) => {
            if format == Format::Table {
                // The page at the end has it again; whoever waits sees it now.
                drop(writeln!(std::io::stderr(), "{}", printable(&line(&step))));
            }
            None
        }
        Reply::Total(_)
        | Reply::Rows(_)
        | Reply::Polled(_)
        | Reply::Taken(_)
        | Reply::Delivered(_)
        | Reply::Brought(_)
        | Reply::Bytes(_)
        | Reply::Done(_)
        | Reply::Failed { .. } => None,
    })?;
    heard?;
    let rehearsal = part!(answered, Answered::Rehearsal(rehearsal) => rehearsal);
    match format {
        Format::Table => page(&rehearsal, out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &rehearsal).map_err(Stop::failed)?;
            writeln!(out)?;
        }
        Format::Ndjson => output::list(out, format, std::slice::from_ref(&rehearsal), &[])?,
        Format::Csv => output::list(out, format, &rehearsal.steps, STEPS)?,
    }
    let ended = |endings: &[Ending]| rehearsal.steps.iter().filter(|step| endings.contains(&step.ending)).count();
    Ok(Exit::of(ended(&[Ending::Done]), ended(&[Ending::Declined, Ending::Failed])))
}

const STEPS: &[Column<Step>] =
    &[("step", |step| word(&step.step)), ("ending", |step| word(&step.ending)), ("said", |step| step.said.clone())];

/// Asks until an answer is one. Whoever ends the input says no.
fn ask(question: &Question, from: &mut dyn BufRead, to: &mut dyn Write) -> std::io::Result<Leave> {
    loop {
        let what = format!("{}: {}: {}", question.device, word(&question.write), question.detail);
        write!(to, "{}\n  send it? [y]es, [n]o, [a]ll: ", printable(&what))?;
        to.flush()?;
        let mut answer = String::new();
        if from.read_line(&mut answer)? == 0 {
            return Ok(Leave::No);
        }
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(Leave::Yes),
            "n" | "no" => return Ok(Leave::No),
            "a" | "all" => return Ok(Leave::All),
            _ => {}
        }
    }
}

fn line(step: &Step) -> String {
    format!("{:<9} {:<9} {}", word(&step.step), word(&step.ending), step.said)
}

fn page(rehearsal: &Rehearsal, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "rehearsal of {}", printable(&rehearsal.device.to_string()))?;
    for step in &rehearsal.steps {
        writeln!(out, "  {}", printable(&line(step)))?;
    }
    writeln!(out, "written to the device:")?;
    if rehearsal.written.is_empty() {
        writeln!(out, "  nothing")?;
    }
    for written in &rehearsal.written {
        let failure = written.failure.as_ref().map_or(String::new(), |cause| format!(" — failed: {cause}"));
        writeln!(out, "  {}", printable(&format!("{:<16} {}{failure}", word(&written.write), written.detail)))?;
    }
    for file in &rehearsal.left {
        writeln!(out, "left on the device: {}", printable(file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Write as Writing;

    #[test]
    fn a_question_is_asked_until_it_is_answered() {
        let question = Question {
            device: DeviceName::from("edge-1"),
            write: Writing::CloseReports,
            detail: "POST /smartlic-service/close-reports".to_owned(),
        };
        for (typed, leave, times) in
            [("y\n", Leave::Yes, 1), ("perhaps\n\nNO\n", Leave::No, 3), ("all\n", Leave::All, 1), ("", Leave::No, 1)]
        {
            let mut shown = Vec::new();
            assert_eq!(ask(&question, &mut typed.as_bytes(), &mut shown).unwrap(), leave);
            let shown = String::from_utf8(shown).unwrap();
            assert_eq!(shown.matches("edge-1: close-reports: POST /smartlic-service/close-reports").count(), times);
        }
    }
}
