//! An entitlement over time as SVG: no script, nothing fetched, and readable in print.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::problem::as_html;
use crate::domain::snapshot::Step;

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Picture {
    pub title: String,
    pub subtitle: String,
    pub from: Timestamp,
    pub to: Timestamp,
    /// Instants that snapshots are of.
    pub marks: Vec<Timestamp>,
    pub steps: Vec<Step>,
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 930.0;
const TOP: f64 = 80.0;
const BOTTOM: f64 = 350.0;

/// Grey by brightness alone, so that a printer without colours shows the same; hatched is not known.
const STYLE: &str = "text{font:13px sans-serif;fill:#111}.title{font-size:17px;font-weight:bold}.small{font-size:11px}\
.end{text-anchor:end}.middle{text-anchor:middle}.measured{fill:#1f4e79;shape-rendering:crispEdges}.observed{fill:#a9c8e6;stroke:#1f4e79;\
stroke-width:.5;stroke-dasharray:3 2}.gap{fill:url(#hatch)}.line{stroke:#bbb;stroke-width:.5}\
.axis{stroke:#111;stroke-width:1}.mark{stroke:#111;stroke-width:1;stroke-dasharray:6 3}.peak{fill:none;stroke:#b00020;\
stroke-width:2}";

/// Draws it.
pub fn svg(picture: &Picture) -> String {
    let mut out = String::new();
    // Writing to a text cannot fail.
    let _ = draw(picture, &mut out);
    out
}

fn draw(picture: &Picture, out: &mut String) -> std::fmt::Result {
    let Picture { title, subtitle, from, to, marks, steps } = picture;
    let span = to.as_second().saturating_sub(from.as_second()).max(1) as f64;
    let x = |at: Timestamp| {
        let share = at.as_second().saturating_sub(from.as_second()) as f64 / span;
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    };
    let highest = steps.iter().map(|step| step.measured.saturating_add(step.observed)).max().unwrap_or(0);
    let tick = tick(highest);
    let top = highest.div_ceil(tick).max(1).saturating_mul(tick);
    let y = |value: u64| BOTTOM - value as f64 / top as f64 * (BOTTOM - TOP);

    writeln!(out, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">"#)?;
    writeln!(out, "<title>{}</title>", as_html(title))?;
    writeln!(out, "<style>{STYLE}</style>")?;
    writeln!(
        out,
        r##"<defs><pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V8" stroke="#888" stroke-width="2"/></pattern></defs>"##
    )?;
    writeln!(out, r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>"##)?;
    writeln!(out, r#"<text class="title" x="{LEFT}" y="30">{}</text>"#, as_html(title))?;
    writeln!(out, r#"<text class="small" x="{LEFT}" y="50">{}</text>"#, as_html(subtitle))?;
    let mut value = 0;
    while value <= top {
        let at = y(value);
        writeln!(out, r#"<path class="line" d="M{LEFT} {at:.1}H{RIGHT}"/>"#)?;
        writeln!(out, r#"<text class="small end" x="{:.1}" y="{:.1}">{value}</text>"#, LEFT - 6.0, at + 4.0)?;
        value = value.saturating_add(tick);
    }
    for step in steps {
        let (left, right) = (x(step.start), x(step.end));
        let mut bar = |class: &str, low: f64, high: f64| {
            let (width, height) = (right - left, low - high);
            writeln!(
                out,
                r#"<rect class="{class}" x="{left:.1}" y="{high:.1}" width="{width:.1}" height="{height:.1}"/>"#
            )
        };
        if step.is_gap() {
            bar("gap", BOTTOM, TOP)?;
            continue;
        }
        if step.measured > 0 {
            bar("measured", BOTTOM, y(step.measured))?;
        }
        if step.observed > 0 {
            bar("observed", y(step.measured), y(step.measured.saturating_add(step.observed)))?;
        }
        // Part of it is not known: so much more there may be.
        if step.unknown > 0 {
            bar("gap", y(step.measured.saturating_add(step.observed)), TOP)?;
        }
    }
    writeln!(out, r#"<path class="axis" d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none"/>"#)?;
    for (at, day) in days(*from, *to) {
        let at = x(at);
        writeln!(out, r#"<path class="axis" d="M{at:.1} {BOTTOM}v5"/>"#)?;
        writeln!(out, r#"<text class="small middle" x="{at:.1}" y="{:.1}">{day}</text>"#, BOTTOM + 18.0)?;
    }
    for mark in marks.iter().filter(|mark| (from..=to).contains(mark)) {
        let at = x(*mark);
        writeln!(out, r#"<path class="mark" d="M{at:.1} {:.1}V{BOTTOM}"/>"#, TOP - 14.0)?;
        let said = mark.to_zoned(TimeZone::UTC).strftime("as of %Y-%m-%d %H:%M");
        writeln!(out, r#"<text class="small end" x="{:.1}" y="{:.1}">{said}</text>"#, at - 4.0, TOP - 6.0)?;
    }
    if let Some(peak) = peak(steps) {
        let (at, high) = (x(peak.start), y(peak.measured));
        writeln!(out, r#"<circle class="peak" cx="{at:.1}" cy="{high:.1}" r="5"/>"#)?;
    }
    legend(picture, out)?;
    writeln!(out, "</svg>")
}

fn legend(picture: &Picture, out: &mut String) -> std::fmt::Result {
    let said = match peak(&picture.steps) {
        Some(peak) => {
            let at = peak.start.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M");
            format!("peak {} from {at} UTC", peak.measured)
        }
        None => "nothing was measured".to_owned(),
    };
    let at = BOTTOM + 52.0;
    let mut left = LEFT;
    for (class, said) in [
        ("measured", "measured by reports"),
        ("observed", "seen by polls only"),
        ("gap", "not known, or not all of it"),
    ] {
        writeln!(out, r#"<rect class="{class}" x="{left:.1}" y="{:.1}" width="18" height="12"/>"#, at - 11.0)?;
        writeln!(out, r#"<text x="{:.1}" y="{at:.1}">{said}</text>"#, left + 24.0)?;
        left += 190.0;
    }
    writeln!(out, r#"<circle class="peak" cx="{:.1}" cy="{:.1}" r="5"/>"#, left + 25.0, at - 5.0)?;
    writeln!(out, r#"<text x="{:.1}" y="{at:.1}">{said}</text>"#, left + 38.0)
}

/// The first step in which the most was measured.
fn peak(steps: &[Step]) -> Option<&Step> {
    let measured = steps.iter().filter(|step| step.measured > 0);
    measured.reduce(|highest, step| if step.measured > highest.measured { step } else { highest })
}

/// The distance of lines that leaves at most six: 1, 2 or 5, by a power of ten.
fn tick(highest: u64) -> u64 {
    let mut power = 1u64;
    loop {
        for factor in [1, 2, 5] {
            let tick = power.saturating_mul(factor);
            if highest / tick < 6 || tick == u64::MAX {
                return tick;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Midnights to write below the axis: at most eight.
fn days(from: Timestamp, to: Timestamp) -> Vec<(Timestamp, String)> {
    const DAY: i64 = 86_400;
    let whole = to.as_second().saturating_sub(from.as_second()) / DAY;
    let every = (whole / 7).max(1).saturating_mul(DAY);
    let mut midnight = from.as_second().div_euclid(DAY).saturating_mul(DAY);
    let mut days = Vec::new();
    while midnight <= to.as_second() {
        if let Ok(at) = Timestamp::from_second(midnight)
            && at >= from
        {
            days.push((at, at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string()));
        }
        midnight = midnight.saturating_add(every);
    }
    days
}
