//! A message as HTML for a mail: the same words and table as its plain text, nothing that is loaded from elsewhere.

use std::fmt::Write as _;

use super::text;
use crate::domain::message::Message;
use crate::domain::problem::{as_html, excerpt};
use crate::domain::violation::Severity;

/// The whole message with at most so many lines of the table.
pub(super) fn write(message: &Message, most: usize) -> String {
    let colour = match message.severity {
        Severity::Info => "#2a6f97",
        Severity::Warning => "#b26a00",
        Severity::Critical => "#b3261e",
    };
    let title = as_html(&message.title);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"font-family:sans-serif\">\n\
         <h2 style=\"border-left:6px solid {colour};padding-left:8px\">{title}</h2>\n"
    );
    for sentence in message.text.lines().filter(|line| !line.trim().is_empty()) {
        let _ = writeln!(html, "<p>{}</p>", as_html(sentence));
    }
    let lines = &message.lines[..message.lines.len().min(most)];
    if !lines.is_empty() {
        let columns = text::columns(lines);
        html.push_str("<table border=\"1\" cellpadding=\"4\" style=\"border-collapse:collapse\">\n<tr>");
        for (heading, _) in &columns {
            let _ = write!(html, "<th align=\"left\">{heading}</th>");
        }
        html.push_str("</tr>\n");
        for line in lines {
            html.push_str("<tr>");
            for (_, cell) in &columns {
                let _ = write!(html, "<td>{}</td>", as_html(&excerpt(&cell(line))));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</table>\n");
    }
    if let Some(more) = text::left_out(message, most) {
        let _ = writeln!(html, "<p>{}</p>", as_html(&more));
    }
    let remedies = text::remedies(lines);
    if !remedies.is_empty() {
        html.push_str("<p>What can be done:</p>\n<ul>\n");
        for remedy in remedies {
            let _ = writeln!(html, "<li>{}</li>", as_html(remedy));
        }
        html.push_str("</ul>\n");
    }
    let _ = write!(
        html,
        "<p><small>{} {}, {}</small></p>\n</body></html>\n",
        message.topic,
        as_html(&message.id),
        message.at
    );
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_of_others_is_text() {
        assert_eq!(
            as_html("<img src=x onerror=\"a('b')\">&\u{202e}\u{1b}"),
            "&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt;&amp;\\u{202e}\\u{1b}"
        );
    }
}
