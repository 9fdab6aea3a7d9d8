//! `inspect`: reads any SLP file or device output, offline, and tells by its exit code how much could be read.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::output::{Format, printable, spreadsheet};
use super::{Exit, Listing, Stop};
use crate::domain::problem::Problems;
use crate::exchange::archive::Limits;
use crate::inspect::{self, Completeness, Inspection};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files; `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The device's time zone, such as Europe/Berlin: local times then have UTC.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    timezone: Option<TimeZone>,
    #[command(flatten)]
    listing: Listing,
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| "no time zone of that name is known".to_owned())
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Stop> {
    Ok(inspect(&args.files, args.timezone.as_ref(), args.listing.format, out)?)
}

/// Inspects every file (`-` is standard input) and prints to `out`. `zone` is that of the devices whose outputs
/// are among the files.
///
/// Done when every file was read whole, failed when none was, partly when some were not.
/// `Err` only when `out` cannot be written.
pub fn inspect(files: &[PathBuf], zone: Option<&TimeZone>, format: Format, out: &mut dyn Write) -> io::Result<Exit> {
    let mut whole = 0;
    if format == Format::Csv {
        writeln!(out, "file,kind,whole,reports,problems")?;
    }
    for path in files {
        let inspection = one(path, zone);
        whole += usize::from(inspection.completeness == Completeness::Whole);
        match format {
            Format::Table => table(&inspection, out)?,
            Format::Json | Format::Ndjson => writeln!(out, "{}", inspection.json)?,
            Format::Csv => row(&inspection, out)?,
        }
    }
    out.flush()?;
    Ok(Exit::of(whole, files.len() - whole))
}

fn one(path: &Path, zone: Option<&TimeZone>) -> Inspection {
    let name = path.display().to_string();
    let most = Limits::default().total_bytes;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    let problem = match read {
        Ok(_) if bytes.len() as u64 <= most => return inspect::inspect_in(&name, &bytes, zone),
        Ok(_) => format!("more than {most} bytes; nothing that large is read"),
        Err(error) => format!("cannot read the file: {error}"),
    };
    let mut problems = Problems::default();
    problems.fault(problem);
    inspect::finished(&name, "unknown", &problems, serde_json::json!({}), Vec::new())
}

fn table(inspection: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    let text = |key: &str| printable(inspection.json[key].as_str().unwrap_or_default());
    let how = match inspection.completeness {
        Completeness::Whole => "read whole",
        Completeness::NotWhole => "NOT read whole",
    };
    writeln!(out, "{}: {}, {how}", text("file"), text("kind"))?;
    for line in &inspection.lines {
        writeln!(out, "  {}", printable(line))?;
    }
    for problem in problems(inspection) {
        writeln!(out, "  ! {}", printable(problem))?;
    }
    Ok(())
}

fn row(inspection: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    let json = &inspection.json;
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    let reports = json["reports"].as_array().map_or(String::new(), |reports| reports.len().to_string());
    let whole = inspection.completeness == Completeness::Whole;
    let problems = problems(inspection).collect::<Vec<_>>().join("; ");
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        spreadsheet(&text("file")).into_owned(),
        text("kind"),
        whole.to_string(),
        reports,
        spreadsheet(&problems).into_owned(),
    ])?;
    writer.flush()
}

fn problems(inspection: &Inspection) -> impl Iterator<Item = &str> {
    inspection.json["problems"].as_array().into_iter().flatten().filter_map(|problem| problem.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_how_many_were_read() {
        let folder = tempfile::tempdir().unwrap();
        let good = folder.path().join("good\u{1b}.json");
        let bad = folder.path().join("bad.txt");
        std::fs::write(&good, "{\"usage\":[]}").unwrap();
        std::fs::write(&bad, "hello").unwrap();
        let missing = folder.path().join("missing");
        let code = |files: &[&PathBuf], format| {
            let files: Vec<PathBuf> = files.iter().map(|file| (*file).clone()).collect();
            let mut out = Vec::new();
            let exit = inspect(&files, None, format, &mut out).unwrap();
            (exit.code(), String::from_utf8(out).unwrap())
        };
        let (status, text) = code(&[&good], Format::Table);
        assert_eq!(status, 0);
        assert!(
            text.contains("good\\u{1b}.json: rum-report-file, read whole\n  ! the file holds no reports\n"),
            "{text}"
        );
        assert_eq!(code(&[&bad, &missing], Format::Json).0, 1);
        let (status, text) = code(&[&good, &bad, &missing], Format::Json);
        assert_eq!((status, text.lines().count()), (2, 3));
        let (status, text) = code(&[&good, &missing], Format::Csv);
        assert_eq!((status, text.lines().count()), (2, 3));
        assert!(text.contains(",unknown,false,,cannot read the file:"), "{text}");
    }
}
