//! Prometheus metrics, from the daemon's own answer.

use std::collections::{BTreeMap, BTreeSet};

use cml_cloud::Usd;
use cml_daemon::{Counters, Pool, StatusSnapshot};

use super::{cell, page};

/// Returns one pool in which everything is known, so that no metric is omitted.
fn board() -> StatusSnapshot {
    let pool = Pool {
        name: "gpu".to_owned(),
        labels: vec!["gpu".to_owned()],
        max: 1,
        starting: 0,
        idle: 0,
        busy: 0,
        leaving: 0,
        queued: 0,
        spent_today_usd: Usd::default(),
        running_usd: Usd::default(),
        budget_day_usd: Some(Usd::default()),
    };
    StatusSnapshot { pools: vec![pool], ..StatusSnapshot::default() }
}

/// Returns the labels of each sample, with their values where these are few and fixed.
fn labels(told: &str) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut all: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for line in told.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let Some((inside, _)) = rest.split_once('}') else { continue };
        for (label, value) in inside.split(',').filter_map(|pair| pair.split_once('=')) {
            let values = all.entry(name.to_owned()).or_default().entry(label.to_owned()).or_default();
            values.insert(value.trim_matches('"').to_owned());
        }
    }
    all
}

fn told_of(labels: Option<&BTreeMap<String, BTreeSet<String>>>) -> String {
    let label = |(label, values): (&String, &BTreeSet<String>)| {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        if label == "spec" { "`spec`".to_owned() } else { format!("`{label}`: {}", values.join(", ")) }
    };
    labels.into_iter().flatten().map(label).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_page_of_metrics_has_each_that_the_daemon_tells() {
    let told = cml_daemon::metrics(&board(), &Counters::default()).expect("a text");
    let words = |kind: &str| -> Vec<(String, String)> {
        let lines = told.lines().filter_map(|line| line.strip_prefix(&format!("# {kind} ")));
        lines.filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    };
    let mut text = String::from(
        "`GET /metrics` of the daemon, as OpenMetrics. Counters end in `_total`, histograms in `_bucket`, `_sum` and `_count`.\n\n\
         | metric | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    let labels = labels(&told);
    let types = words("TYPE");
    for (name, help) in words("HELP") {
        let kind = types.iter().find(|(typed, _)| *typed == name).map_or("", |(_, kind)| kind.as_str());
        let sample = if kind == "counter" { format!("{name}_total") } else { name };
        text.push_str(&format!(
            "| `{sample}` | {kind} | {} | {} |\n",
            told_of(labels.get(&sample)),
            cell(&help)
        ));
    }
    page("metrics.md", "Metrics", &text);
}
