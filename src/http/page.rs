//! The status page, and its twin for programs.

use std::fmt::Write;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::figures::Figures;
use super::query::{Part, Query};
use crate::domain::deadline::ObligationState;
use crate::domain::digest::Sha256;
use crate::domain::overview::Queue;
use crate::domain::problem::as_html;
use crate::domain::settings::Word;
use crate::domain::status::Row;
use crate::domain::violation::Severity;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.4 system-ui,sans-serif;margin:1.5rem;max-width:110rem}\
h1{font-size:1.3rem;margin:0}\
p,form,ul{margin:.6rem 0}\
ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.3rem 1.2rem}\
table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.25rem .8rem .25rem 0;border-bottom:1px solid #8884;vertical-align:top}\
th{position:sticky;top:0;background:Canvas}\
td.n,time{white-space:nowrap;font-variant-numeric:tabular-nums}\
td:nth-child(3){white-space:nowrap}td:nth-child(10){min-width:20rem}\
.overdue{color:#b00020;font-weight:600}\
.due-soon{color:#8a5a00;font-weight:600}\
.trouble{border-left:.3rem solid #b00020;padding-left:.6rem}\
@media(prefers-color-scheme:dark){.overdue{color:#ff8a80}.due-soon{color:#ffd180}}";

/// Its own style and nothing else: no script, no picture, no frame, no form to elsewhere.
pub(super) fn content_security_policy() -> String {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let digest = data_encoding::BASE64.encode(&Sha256::of(STYLE.as_bytes()).0);
        format!(
            "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
    });
    POLICY.clone()
}

/// The page. Writing into a text cannot fail.
pub(super) fn html(figures: &Figures, query: &Query, part: &Part) -> String {
    let mut page = String::with_capacity(4096 + 512 * part.rows.len());
    let name = as_html(&figures.view.name);
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}: deadlines</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n<body>\
         <h1>{name}: deadlines of {} obligations</h1>\n<p>As of {}.</p>\n",
        figures.overview.entries.len(),
        minute(Some(figures.overview.at)),
    );
    if let Some(trouble) = figures.view.ledger.trouble() {
        let _ = writeln!(page, "<p class=\"trouble\">The ledger: {}</p>", as_html(&trouble));
    }
    totals(&mut page, figures, query);
    form(&mut page, query);
    if part.rows.is_empty() {
        page.push_str("<p>No rows.</p>\n");
    } else {
        table(&mut page, &part.rows);
    }
    pages(&mut page, query, part);
    page.push_str("</body></html>\n");
    page
}

fn totals(page: &mut String, figures: &Figures, query: &Query) {
    page.push_str("<ul>");
    for (state, count) in ObligationState::ALL.iter().zip(figures.overview.totals()).filter(|(_, count)| *count > 0) {
        let link = Query { state: Some(*state), page: 1, ..query.clone() }.link();
        let _ =
            write!(page, "<li><a href=\"{}\"><span class=\"{state}\">{state}</span></a> {count}</li>", as_html(&link));
    }
    page.push_str("</ul>\n");
    let open = |severity: Severity| -> usize {
        figures.overview.violations.iter().filter(|((_, _, own), _)| *own == severity).map(|(_, count)| count).sum()
    };
    let open: Vec<String> = Severity::ALL
        .iter()
        .rev()
        .map(|severity| (open(*severity), severity))
        .filter(|(count, _)| *count > 0)
        .map(|(count, severity)| format!("{count} {severity}"))
        .collect();
    if !open.is_empty() {
        let _ = writeln!(
            page,
            "<p>Violations: {}. <code>slp-collector violation list</code> tells them.</p>",
            open.join(", ")
        );
    }
    let Queue { under_way, by_hand, quarantined } = figures.overview.answers;
    if under_way + by_hand + quarantined > 0 {
        let _ = writeln!(
            page,
            "<p>Answers: {under_way} on their way to devices, {by_hand} for a person to carry, {quarantined} of unknown \
             devices. <code>slp-collector ack list</code> tells them.</p>"
        );
    }
}

fn form(page: &mut String, query: &Query) {
    page.push_str(
        "<form method=\"get\" action=\"/\"><label>State <select name=\"state\"><option value=\"\">all</option>",
    );
    for state in ObligationState::ALL {
        let selected = if query.state == Some(*state) { " selected" } else { "" };
        let _ = write!(page, "<option{selected}>{state}</option>");
    }
    let site = as_html(query.site.as_deref().unwrap_or_default());
    let _ = writeln!(
        page,
        "</select></label> <label>Site <input name=\"site\" value=\"{site}\"></label> <button>Show</button></form>"
    );
}

const COLUMNS: [&str; 11] =
    ["Device", "Site", "State", "Contact", "Due", "Leave by", "Days left", "Last ACK", "Waiting", "Reason", "Trouble"];

fn table(page: &mut String, rows: &[Row]) {
    page.push_str("<table><thead><tr>");
    for column in COLUMNS {
        let _ = write!(page, "<th scope=\"col\">{column}</th>");
    }
    page.push_str("</tr></thead><tbody>\n");
    for row in rows {
        let device = match (&row.device, &row.instance) {
            (Some(name), _) => as_html(&name.0),
            (None, Some(instance)) => as_html(&format!("{} {}", instance.pid, instance.sn)),
            (None, None) => "–".to_owned(),
        };
        let state = row.state;
        let days = row.days_left.map_or_else(|| "–".to_owned(), |days| format!("{days:.1}"));
        let _ = writeln!(
            page,
            "<tr><td>{device}</td><td>{}</td><td class=\"{state}\">{state}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td class=\"n\">{days}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td></tr>",
            as_html(&row.site.0),
            row.contact,
            minute(row.due),
            minute(row.leave_by),
            minute(row.last_ack),
            row.reports_waiting,
            as_html(&row.reason),
            as_html(row.trouble.as_deref().unwrap_or_default()),
        );
    }
    page.push_str("</tbody></table>\n");
}

fn pages(page: &mut String, query: &Query, part: &Part) {
    let _ = write!(page, "<p>Page {} of {}; {} rows.", query.page, part.pages, part.matching);
    let mut link = |word: &str, to: usize| {
        let link = Query { page: to, ..query.clone() }.link();
        let _ = write!(page, " <a href=\"{}\" rel=\"{word}\">{word}</a>", as_html(&link));
    };
    if query.page > 1 {
        link("prev", (query.page - 1).min(part.pages));
    }
    if query.page < part.pages {
        link("next", query.page + 1);
    }
    page.push_str("</p>\n");
}

fn minute(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| format!("<time datetime=\"{at}\">{}</time>", at.strftime("%Y-%m-%d %H:%MZ")))
}

/// `/status.json`: rows as `status --format json` has them, a page at a time.
#[derive(Serialize)]
struct Document<'a> {
    collector: &'a str,
    as_of: Timestamp,
    totals: serde_json::Value,
    matching: usize,
    page: usize,
    pages: usize,
    rows: &'a [Row],
}

pub(super) fn json(figures: &Figures, query: &Query, part: &Part) -> String {
    let totals = ObligationState::ALL.iter().zip(figures.overview.totals());
    let document = Document {
        collector: &figures.view.name,
        as_of: figures.overview.at,
        totals: totals.map(|(state, count)| (state.to_string(), json!(count))).collect(),
        matching: part.matching,
        page: query.page,
        pages: part.pages,
        rows: &part.rows,
    };
    serde_json::to_string(&document).expect("its keys are texts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(
            as_html("<script>\"x\" & 'y'</script>"),
            "&lt;script&gt;&quot;x&quot; &amp; &#39;y&#39;&lt;/script&gt;"
        );
        assert!(!as_html("a\u{1b}[31m\u{202e}b").contains(['\u{1b}', '\u{202e}']));
    }

    #[test]
    fn the_style_is_the_one_that_the_policy_names() {
        // Base64 of a SHA-256: 43 digits and the sign that ends it.
        let policy = content_security_policy();
        let digest = policy.split("'sha256-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        assert_eq!((digest.len(), digest.ends_with('=')), (44, true));
        assert!(!STYLE.contains("</"));
    }
}
