//! The verb: reads files, prints, and tells by its exit code how much could be read.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{Completeness, Inspection, finished, inspect};
use crate::domain::problem::Problems;
use crate::exchange::archive::Limits;

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON object a file, one a line.
    Json,
    /// A row a file.
    Csv,
}

/// Inspects every file (`-` is standard input) and prints to `out`.
///
/// The exit code: 0 when every file was read whole, 1 when none was, 2 when some were not.
/// `Err` only when `out` cannot be written.
pub fn run(files: &[PathBuf], format: Format, out: &mut dyn Write) -> io::Result<u8> {
    let mut whole = 0;
    if format == Format::Csv {
        writeln!(out, "file,kind,whole,reports,problems")?;
    }
    for path in files {
        let inspection = one(path);
        whole += usize::from(inspection.completeness == Completeness::Whole);
        match format {
            Format::Table => table(&inspection, out)?,
            Format::Json => writeln!(out, "{}", inspection.json)?,
            Format::Csv => row(&inspection, out)?,
        }
    }
    out.flush()?;
    Ok(match whole {
        all if all == files.len() => 0,
        0 => 1,
        _ => 2,
    })
}

fn one(path: &Path) -> Inspection {
    let name = path.display().to_string();
    let most = Limits::default().total_bytes;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    let problem = match read {
        Ok(_) if bytes.len() as u64 <= most => return inspect(&name, &bytes),
        Ok(_) => format!("more than {most} bytes; nothing that large is read"),
        Err(error) => format!("cannot read the file: {error}"),
    };
    let mut problems = Problems::default();
    problems.fault(problem);
    finished(&name, "unknown", &problems, serde_json::json!({}), Vec::new())
}

fn table(inspection: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    let text = |key: &str| escape(inspection.json[key].as_str().unwrap_or_default());
    let how = match inspection.completeness {
        Completeness::Whole => "read whole",
        Completeness::NotWhole => "NOT read whole",
    };
    writeln!(out, "{}: {}, {how}", text("file"), text("kind"))?;
    for line in &inspection.lines {
        writeln!(out, "  {}", escape(line))?;
    }
    for problem in problems(inspection) {
        writeln!(out, "  ! {}", escape(problem))?;
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
    writer.write_record([cell(&text("file")), text("kind"), whole.to_string(), reports, cell(&problems)])?;
    writer.flush()
}

fn problems(inspection: &Inspection) -> impl Iterator<Item = &str> {
    inspection.json["problems"].as_array().into_iter().flatten().filter_map(|problem| problem.as_str())
}

/// A cell that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    let text = escape(text);
    if text.starts_with(['=', '+', '-', '@']) && text != "-" { format!("'{text}") } else { text }
}

/// Foreign text for a terminal: whatever moves the cursor, hides or turns text is spelled out.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let hidden = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if character.is_control() || hidden {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_nothing_to_obey() {
        assert_eq!(escape("a\u{1b}[2Jb\nc\u{9b}d\u{202e}e ü"), "a\\u{1b}[2Jb\\nc\\u{9b}d\\u{202e}e ü");
        assert_eq!(cell("=1+1"), "'=1+1");
    }

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
            let code = run(&files, format, &mut out).unwrap();
            (code, String::from_utf8(out).unwrap())
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
