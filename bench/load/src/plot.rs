//! Pictures, in SVG: bars in columns, lines, ranges and strips. Each is a string that a browser shows.

use std::fmt::Write;

/// A bar: its length, and how far it went down and up in other rounds; or why there is none.
pub type Bar = Result<(f64, f64, f64), String>;

/// A row of bars, one for each column.
pub struct Row {
    pub group: String,
    pub label: String,
    pub color: &'static str,
    pub pale: bool,
    pub bars: Vec<Option<Bar>>,
}

/// The heading of a column, and how its numbers are written.
pub struct Column {
    pub title: String,
    pub show: fn(f64) -> String,
}

const LEFT: f64 = 262.0;
const ROW: f64 = 21.0;
const TOP: f64 = 84.0;
const INK: &str = "#1f2430";
const GREY: &str = "#7b8190";
const LINE: &str = "#e4e6eb";

struct Page {
    text: String,
}

impl Page {
    fn new(width: f64, height: f64, title: &str, subtitle: &str) -> Page {
        let mut page = Page { text: String::new() };
        let _ = write!(
            page.text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" font-size=\"12\">\n\
             <rect width=\"{width}\" height=\"{height}\" rx=\"10\" fill=\"#ffffff\"/>\n"
        );
        page.word(20.0, 32.0, title, INK, "start", "font-size=\"18\" font-weight=\"600\"");
        page.word(20.0, 52.0, subtitle, GREY, "start", "");
        page
    }

    fn word(&mut self, x: f64, y: f64, text: &str, color: &str, anchor: &str, more: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.text,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{color}\" text-anchor=\"{anchor}\" {more}>{text}</text>"
        );
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
        let _ = writeln!(
            self.text,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\" stroke-width=\"{width}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    fn rect(&mut self, at: (f64, f64), size: (f64, f64), color: &str, opacity: f64) {
        let _ = writeln!(
            self.text,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2.5\" fill=\"{color}\" fill-opacity=\"{opacity}\"/>",
            at.0, at.1, size.0, size.1
        );
    }

    fn path(&mut self, points: &[(f64, f64)], color: &str, width: f64, dashed: bool) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let dash = if dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        let _ = writeln!(
            self.text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}/>",
            points.join(" ")
        );
    }

    fn end(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

/// Rows with their groups to the left; each column has a scale of its own.
pub fn bars(title: &str, subtitle: &str, columns: &[Column], rows: &[Row]) -> String {
    let width = 980.0;
    let each = (width - LEFT - 20.0) / columns.len() as f64;
    let full = each - 86.0;
    let groups = rows.windows(2).filter(|pair| pair[0].group != pair[1].group).count() as f64;
    let height = TOP + rows.len() as f64 * ROW + groups * 10.0 + 34.0;
    let mut page = Page::new(width, height, title, subtitle);
    for (n, column) in columns.iter().enumerate() {
        page.word(LEFT + n as f64 * each, TOP - 8.0, &column.title, INK, "start", "font-weight=\"600\"");
    }
    // What is far longer than most is cut, so that the others can be told from each other.
    let most: Vec<f64> = (0..columns.len())
        .map(|n| {
            let values = rows.iter().filter_map(|row| Some(row.bars[n].as_ref()?.as_ref().ok()?.0));
            let mut values: Vec<f64> = values.collect();
            values.sort_by(f64::total_cmp);
            let middle = values.get(values.len() / 2).copied().unwrap_or(0.0);
            values.into_iter().filter(|value| *value <= middle * 5.0).fold(f64::MIN_POSITIVE, f64::max)
        })
        .collect();
    let mut y = TOP;
    let mut group = "";
    for row in rows {
        if row.group != group {
            if !group.is_empty() {
                y += 10.0;
                page.line((20.0, y - 5.0), (width - 20.0, y - 5.0), LINE, 1.0);
            }
            group = &row.group;
            page.word(20.0, y + 15.0, group, INK, "start", "font-weight=\"600\"");
        }
        page.word(LEFT - 10.0, y + 15.0, &row.label, if row.pale { GREY } else { INK }, "end", "");
        for (n, bar) in row.bars.iter().enumerate() {
            let x = LEFT + n as f64 * each;
            match bar {
                None => {}
                Some(Err(why)) => {
                    page.word(x, y + 15.0, why, "#b42318", "start", "font-size=\"11\" font-style=\"italic\"")
                }
                Some(Ok((value, low, high))) => {
                    let at = |value: f64| (value / most[n] * full).clamp(0.0, full * 1.12);
                    page.rect(
                        (x, y + 3.5),
                        (at(*value).max(1.5), ROW - 7.0),
                        row.color,
                        if row.pale { 0.45 } else { 1.0 },
                    );
                    if *value > most[n] * 1.12 {
                        let x = x + full * 0.94;
                        page.path(&[(x - 3.0, y + ROW), (x + 5.0, y)], "#ffffff", 4.0, false);
                    } else if high > low {
                        page.line((x + at(*low), y + ROW / 2.0), (x + at(*high), y + ROW / 2.0), INK, 1.2);
                    }
                    let text = (columns[n].show)(*value);
                    page.word(x + at(value.max(*high)) + 6.0, y + 15.0, &text, INK, "start", "font-size=\"11.5\"");
                }
            }
        }
        y += ROW;
    }
    page.word(
        20.0,
        height - 12.0,
        "pale: under the stock wasmtime command · thin line: least and most of all rounds",
        GREY,
        "start",
        "font-size=\"11\"",
    );
    page.end()
}

/// A line through points that are named below.
pub struct Curve {
    pub label: String,
    pub color: &'static str,
    pub dashed: bool,
    /// At each name: the median, the least and the most.
    pub points: Vec<Option<(f64, f64, f64)>>,
}

/// Panels of lines beside each other, from 0 to `top`.
pub fn lines(title: &str, subtitle: &str, names: &[&str], panels: &[(String, Vec<Curve>)], top: f64) -> String {
    let (width, height) = (980.0, 400.0);
    let each = (width - 30.0) / panels.len() as f64;
    let (up, down) = (TOP + 14.0, height - 60.0);
    let mut page = Page::new(width, height, title, subtitle);
    for (n, (panel, curves)) in panels.iter().enumerate() {
        let (left, right) = (20.0 + n as f64 * each + 34.0, 20.0 + (n + 1) as f64 * each - 126.0);
        let x = |at: usize| left + (right - left) * at as f64 / (names.len() - 1) as f64;
        let y = |value: f64| down - (down - up) * (value / top).min(1.03);
        page.word(left, TOP, panel, INK, "start", "font-weight=\"600\"");
        for step in 0..=4 {
            let value = f64::from(step) * 0.25;
            page.line((left, y(value)), (right, y(value)), LINE, 1.0);
            page.word(left - 6.0, y(value) + 4.0, &format!("{value:.2}"), GREY, "end", "font-size=\"11\"");
        }
        for (at, name) in names.iter().enumerate() {
            page.word(x(at), down + 18.0, name, GREY, "middle", "font-size=\"11\"");
        }
        page.word((left + right) / 2.0, down + 36.0, "idle connections", GREY, "middle", "font-size=\"11\"");
        let mut labels = Vec::new();
        for curve in curves {
            let known: Vec<_> =
                curve.points.iter().enumerate().filter_map(|(at, point)| Some((at, (*point)?))).collect();
            let points: Vec<_> = known.iter().map(|(at, point)| (x(*at), y(point.0))).collect();
            page.path(&points, curve.color, 2.4, curve.dashed);
            for (at, point) in &known {
                page.line((x(*at), y(point.1)), (x(*at), y(point.2)), curve.color, 1.2);
                let _ = writeln!(
                    page.text,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{}\"/>",
                    x(*at),
                    y(point.0),
                    curve.color
                );
            }
            if let Some((at, point)) = known.last() {
                labels.push((y(point.0), x(*at), format!("{} {:.2}", curve.label, point.0), curve.color));
            }
        }
        // So that none covers another.
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut above = f64::MIN;
        for (at, x, text, color) in labels {
            let at = at.max(above + 13.0);
            above = at;
            page.word(x + 8.0, at + 4.0, &text, color, "start", "font-size=\"11\" font-weight=\"600\"");
        }
    }
    page.end()
}

/// What lies between two numbers, and marks in it, on a logarithmic scale of microseconds.
pub struct Range {
    pub group: String,
    pub label: String,
    pub color: &'static str,
    pub pale: bool,
    /// p50, p99, p99.9, worst.
    pub marks: [f64; 4],
}

pub fn ranges(title: &str, subtitle: &str, rows: &[Range]) -> String {
    let width = 980.0;
    let groups = rows.windows(2).filter(|pair| pair[0].group != pair[1].group).count() as f64;
    let height = TOP + rows.len() as f64 * ROW + groups * 10.0 + 56.0;
    let mut page = Page::new(width, height, title, subtitle);
    let right = width - 40.0;
    let least = rows.iter().map(|row| row.marks[0]).fold(f64::MAX, f64::min).max(1.0).log10().floor();
    let most = rows.iter().map(|row| row.marks[3]).fold(1.0, f64::max).log10().ceil();
    let x = |value: f64| LEFT + (right - LEFT) * (value.max(1.0).log10() - least) / (most - least);
    for power in least as i32..=most as i32 {
        let value = 10_f64.powi(power);
        page.line((x(value), TOP - 4.0), (x(value), height - 40.0), LINE, 1.0);
        let name = if value < 1e3 {
            format!("{value} µs")
        } else if value < 1e6 {
            format!("{} ms", value / 1e3)
        } else {
            format!("{} s", value / 1e6)
        };
        page.word(x(value), height - 24.0, &name, GREY, "middle", "font-size=\"11\"");
    }
    let mut y = TOP;
    let mut group = "";
    for row in rows {
        if row.group != group {
            y += if group.is_empty() { 0.0 } else { 10.0 };
            group = &row.group;
            page.word(20.0, y + 15.0, group, INK, "start", "font-weight=\"600\"");
        }
        page.word(LEFT - 10.0, y + 15.0, &row.label, if row.pale { GREY } else { INK }, "end", "");
        let opacity = if row.pale { 0.45 } else { 1.0 };
        let [p50, p99, p999, worst] = row.marks.map(x);
        let middle = y + ROW / 2.0;
        page.line((p50, middle), (worst, middle), "#c9ccd4", 1.4);
        page.rect((p50, middle - 5.0), ((p99 - p50).max(1.0), 10.0), row.color, opacity * 0.55);
        page.rect((p50 - 1.5, middle - 7.0), (3.0, 14.0), row.color, opacity);
        page.rect((p99 - 1.5, middle - 7.0), (3.0, 14.0), row.color, opacity);
        for at in [p999, worst] {
            page.rect((at - 1.0, middle - 4.0), (2.0, 8.0), if at == worst { GREY } else { row.color }, opacity);
        }
        y += ROW;
    }
    page.word(20.0, height - 8.0, "bar: half of all to 99 of 100 · short mark: 999 of 1000 · grey end: the worst · pale: under the stock wasmtime command", GREY, "start", "font-size=\"11\"");
    page.end()
}

/// Panels of what was done in each part of a slice, one for each server.
pub struct Strip {
    pub title: String,
    pub color: &'static str,
    /// Of the rate before.
    pub parts: Vec<f64>,
    pub note: String,
}

pub fn strips(title: &str, subtitle: &str, strips: &[Strip], since: f64) -> String {
    let across = 4;
    let width = 980.0;
    let (each, tall) = ((width - 40.0) / across as f64, 124.0);
    let height = TOP + strips.len().div_ceil(across) as f64 * tall + 8.0;
    let mut page = Page::new(width, height, title, subtitle);
    for (n, strip) in strips.iter().enumerate() {
        let (left, top) = (20.0 + (n % across) as f64 * each, TOP + (n / across) as f64 * tall);
        let (full, up, down) = (each - 18.0, top + 12.0, top + 84.0);
        page.word(left, top, &strip.title, INK, "start", "font-weight=\"600\" font-size=\"11.5\"");
        page.rect((left, up), (full, down - up), "#f5f6f8", 1.0);
        page.rect((left + full * since, up), (full * (1.0 - since), down - up), "#fdecea", 1.0);
        let step = full / strip.parts.len().max(1) as f64;
        let y = |part: f64| down - (down - up - 4.0) * part.min(1.25) / 1.25;
        let mut area: Vec<(f64, f64)> = vec![(left, down)];
        area.extend(strip.parts.iter().enumerate().map(|(n, part)| (left + step * (n as f64 + 0.5), y(*part))));
        area.push((left + full, down));
        let points: Vec<String> = area.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            page.text,
            "<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"0.25\"/>",
            points.join(" "),
            strip.color
        );
        page.path(&area[1..area.len() - 1], strip.color, 1.8, false);
        page.word(
            left,
            down + 15.0,
            &strip.note,
            if strip.note.contains("frozen") { "#b42318" } else { GREY },
            "start",
            "font-size=\"11\"",
        );
    }
    page.end()
}
