//! A bar chart of one case as SVG: shorter is better.

use std::fmt::Write;

use super::{Row, reference};

/// Whether a case is worth a picture.
pub fn is_drawn(case: &str) -> bool {
    DRAWN.contains(&case)
}

/// The file name of a case's chart.
pub fn file_name(case: &str) -> String {
    format!("{}.svg", case.replace('/', "-"))
}

/// A bar for each row, in the order given, with its range as a line over its end.
pub fn bars(case: &str, rows: &[&Row]) -> String {
    let longest = rows.iter().map(|row| row.cpu_ns_per_record.max).fold(1.0, f64::max);
    let scale = BAR_WIDTH / longest;
    let height = TOP + rows.len() * LINE + BOTTOM;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"22\" font-weight=\"bold\">{case}: CPU ns per record, less is better</text>\n"
    );
    let compared = reference(rows).map_or(1.0, |row| row.cpu_ns_per_record.median);
    for (at, row) in rows.iter().enumerate() {
        let cost = &row.cpu_ns_per_record;
        let y = TOP + at * LINE;
        let (text, middle) = (y + 15, y + 10);
        let fill = if row.client.starts_with("ottla") { "#c2410c" } else { "#64748b" };
        let (bar, from, to) = (cost.median * scale, cost.min * scale, cost.max * scale);
        let (from, to) = (LABELS + from, LABELS + to);
        let _ = write!(
            out,
            "<text x=\"{0}\" y=\"{text}\" text-anchor=\"end\">{1}</text>\n\
             <rect x=\"{LABELS}\" y=\"{y}\" width=\"{bar:.1}\" height=\"20\" fill=\"{fill}\"/>\n\
             <line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"#0f172a\"/>\n\
             <text x=\"{2:.1}\" y=\"{text}\">{3:.0} ({4:.1}×)</text>\n",
            LABELS - 8.0,
            row.client,
            to.max(LABELS + bar) + 8.0,
            cost.median,
            cost.median / compared,
        );
    }
    out.push_str("</svg>\n");
    out
}

const DRAWN: &[&str] = &[
    "produce/100/none/p1",
    "produce/1024/none/p1",
    "produce/100/lz4/p1",
    "produce/1024/lz4/p1",
    "consume/100/none/p1",
    "consume/1024/none/p1",
];

const WIDTH: f64 = 760.0;
const LABELS: f64 = 150.0;
const BAR_WIDTH: f64 = 490.0;
const TOP: usize = 36;
const LINE: usize = 28;
const BOTTOM: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Results;
    use crate::report::tests::measurement;

    #[test]
    fn the_dearest_bar_fills_the_chart_and_a_cheaper_one_its_share() {
        let measured =
            [measurement("a", "java", 0, 400.0), measurement("a", "ottla-lent", 0, 100.0)];
        let results = Results::of(&measured);
        let chart = bars("a", &results.of_case("a"));
        assert!(chart.contains("width=\"490.0\"") && chart.contains("width=\"122.5\""), "{chart}");
        assert!(chart.contains("400 (4.0×)") && chart.contains("100 (1.0×)"), "{chart}");
    }

    #[test]
    fn a_file_name_has_no_folders_in_it() {
        assert_eq!(file_name("produce/100/none/p1"), "produce-100-none-p1.svg");
    }
}
