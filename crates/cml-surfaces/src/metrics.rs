//! Metrics and tables, which untrusted training writes.

use cml_metrics::{Directions, MarkdownOptions, MetricsFile, Table, compare};
use cml_plot::{Chart, ConfusionMatrix, Kind, Series, roc};

use crate::github::split;

/// Limit on the rows of a chart that are drawn here: drawing is slow, and longer ones exercise no other code.
const ROWS_DRAWN: usize = 64;

pub(crate) fn json(bytes: &[u8]) {
    for path in ["metrics.json", "metrics.jsonl"] {
        metrics(path, bytes);
    }
}

pub(crate) fn yaml(bytes: &[u8]) {
    metrics("metrics.yaml", bytes);
}

pub(crate) fn toml(bytes: &[u8]) {
    metrics("metrics.toml", bytes);
}

pub(crate) fn csv(bytes: &[u8]) {
    for path in ["metrics.csv", "metrics.tsv", "metrics"] {
        metrics(path, bytes);
    }
}

/// Parses a file, compares it with itself and with an empty side, and formats it as Markdown.
fn metrics(path: &str, bytes: &[u8]) {
    let file = match MetricsFile::read(path, bytes) {
        Ok(file) => [file],
        Err(error) => {
            assert!(error.to_string().len() <= 4096, "the message is as long as the file");
            return;
        }
    };
    let same = compare(Some(&file), &file, &Directions::default());
    assert_eq!(same.summary.better + same.summary.worse + same.summary.changed, 0, "it differs from itself");
    let alone = compare(None, &file, &Directions::default());
    for comparison in [same, alone] {
        let table = comparison.markdown(&MarkdownOptions::default());
        let rows = table.lines().filter(|line| line.starts_with('|'));
        for row in rows {
            assert!(row.ends_with('|') && !row.contains(['\r', '\u{1b}']), "{row:?} leaves its row");
        }
    }
}

/// Draws a table as every kind of plot: the first line is the file's name, the rest the file.
pub(crate) fn plot(bytes: &[u8]) {
    let (name, rest) = split(bytes);
    let table = match Table::read(&String::from_utf8_lossy(name), rest, None) {
        Ok(table) => table,
        Err(error) => {
            assert!(error.to_string().len() <= 4096, "the message is as long as the file");
            return;
        }
    };
    let columns: Vec<String> = table.columns().take(3).map(str::to_owned).collect();
    let [x, ys @ ..] = columns.as_slice() else { return };
    if table.len() > ROWS_DRAWN {
        return;
    }
    if let (Ok(truth), Some(Ok(predicted))) = (table.texts(x), ys.first().map(|y| table.texts(y))) {
        let pairs = truth.into_iter().zip(predicted).filter_map(|(one, other)| Some((one?, other?)));
        if let Ok(matrix) = ConfusionMatrix::from_pairs(pairs) {
            draw(Kind::Confusion(matrix));
        }
    }
    let Ok(x) = table.numbers(x) else { return };
    let numbers: Vec<(&String, Vec<f64>)> =
        ys.iter().filter_map(|y| Some((y, table.numbers(y).ok()?))).collect();
    let series = |(name, y): &(&String, Vec<f64>)| {
        Series::new((*name).clone(), x.iter().copied().zip(y.iter().copied()).collect())
    };
    draw(Kind::Line(numbers.iter().map(series).collect()));
    draw(Kind::Scatter(numbers.iter().map(series).collect()));
    let positives: Vec<bool> = x.iter().map(|x| *x > 0.5).collect();
    let curves = numbers.iter().filter_map(|(name, y)| roc((*name).clone(), y, &positives).ok());
    draw(Kind::Roc(curves.collect()));
}

fn draw(kind: Kind) {
    let mut chart = Chart::new(kind);
    (chart.width, chart.height) = (320, 240);
    if let Ok(svg) = chart.to_svg() {
        let lower = svg.to_ascii_lowercase();
        assert!(!lower.contains("<script") && !svg.contains('\0'), "the picture can run something");
        assert!(chart.to_png().is_ok(), "what can be drawn as text can be painted");
    }
}
