//! The table for a pull request.

use cml_metrics::{Comparison, Directions, MarkdownOptions, MetricsFile, compare};
use proptest::prelude::*;

fn file(path: &str, text: &str) -> MetricsFile {
    MetricsFile::read(path, text.as_bytes()).expect("it can be read")
}

fn json(old: &str, new: &str) -> Comparison {
    compare(Some(&[file("m.json", old)]), &[file("m.json", new)], &Directions::default())
}

fn titled(only_changed: bool) -> MarkdownOptions {
    MarkdownOptions { old_title: "main".to_owned(), only_changed, ..MarkdownOptions::default() }
}

#[test]
fn a_table_tells_what_got_better_and_what_worse() {
    let old = r#"{"accuracy": 0.8712, "loss": 0.30000000000000004, "val": {"loss": 0.5}, "epoch": 10, "lr": 0.001,
        "model": "resnet18", "gone": 1, "f1": 0.9, "params": 11689512, "nan_loss": 0.1, "zero_err": 0}"#;
    let new = r#"{"accuracy": 0.8835, "loss": 0.35, "val": {"loss": 0.4871}, "epoch": 12, "lr": 0.001,
        "model": "resnet34", "f1": 0.90, "params": 21797672, "nan_loss": NaN, "zero_err": 0.25, "added": true}"#;
    insta::assert_snapshot!(json(old, new).markdown(&titled(false)));
    insta::assert_snapshot!(json(old, new).markdown(&titled(true)));
}

#[test]
fn several_files_have_a_column_for_their_paths() {
    let old = [file("a/m.json", "{\"acc\": 0.5}"), file("gone.yaml", "x: 1")];
    let new = [file("a/m.json", "{\"acc\": 0.25}"), file("b|c.toml", "x = 1")];
    insta::assert_snapshot!(compare(Some(&old), &new, &Directions::default()).markdown(&titled(false)));
}

#[test]
fn one_file_on_each_side_is_compared_whatever_its_path() {
    let (old, new) = ([file("old.yaml", "acc: 0.5")], [file("new.json", "{\"acc\": 0.5}")]);
    let comparison = compare(Some(&old), &new, &Directions::default());
    assert_eq!(comparison.summary.unchanged, 1);
    assert_eq!(comparison.files.len(), 1);
}

#[test]
fn without_an_old_side_the_values_are_shown_alone() {
    let new = [file("m.json", "{\"acc\": 0.5, \"big\": 123456789012345678901}")];
    insta::assert_snapshot!(
        compare(None, &new, &Directions::default()).markdown(&MarkdownOptions::default())
    );
}

#[test]
fn tiny_changes_are_not_rounded_away() {
    let comparison =
        json("{\"acc\": 0.931214, \"n\": 9007199254740992}", "{\"acc\": 0.931215, \"n\": 9007199254740993}");
    insta::assert_snapshot!(comparison.markdown(&MarkdownOptions { precision: 3, ..titled(false) }));
}

#[test]
fn nothing_to_show_is_said_in_words() {
    let same = json("{\"acc\": 1, \"x\": NaN}", "{\"acc\": 1.0, \"x\": NaN}");
    assert_eq!(same.markdown(&titled(true)), "None of 2 metrics has changed.\n");
    assert_eq!(json("{}", "{}").markdown(&titled(false)), "There are no metrics.\n");
}

#[test]
fn a_long_table_leaves_out_what_is_the_same_and_then_what_is_beyond() {
    let metrics = |value: usize| {
        let pairs = (0..30).map(|n| format!("\"m{n}\": {}", if n % 2 == 0 { value } else { 0 }));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    };
    let options = |rows_max| MarkdownOptions { rows_max, ..titled(false) };
    let comparison = json(&metrics(1), &metrics(2));
    let last = |rows_max| comparison.markdown(&options(rows_max)).lines().last().map(str::to_owned);
    assert_eq!(comparison.markdown(&options(30)).lines().count(), 32);
    assert_eq!(last(20).as_deref(), Some("Not shown: 15 without a change."));
    assert_eq!(last(10).as_deref(), Some("Not shown: 15 without a change, and 5 more."));
}

#[test]
fn programs_get_json() {
    let comparison = json(
        "{\"acc\": 0.5, \"gone\": null, \"n\": -0.0, \"err\": 1}",
        "{\"acc\": 0.75, \"n\": 0, \"err\": Infinity, \"name\": \"x\"}",
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&comparison).expect("JSON"));
}

#[test]
fn configured_directions_judge() {
    let directions = Directions::new(&["*.gain".to_owned()], &["acc*".to_owned()]);
    let comparison = compare(
        Some(&[file("m.json", "{\"x\": {\"gain\": 1}, \"acc\": 1}")]),
        &[file("m.json", "{\"x\": {\"gain\": 2}, \"acc\": 2}")],
        &directions,
    );
    assert_eq!((comparison.summary.better, comparison.summary.worse), (1, 1));
}

/// Counts pipes that end a cell; none is escaped with a backslash, because they are written as `&#124;`.
fn pipes(line: &str) -> usize {
    line.matches('|').count()
}

proptest! {
    #[test]
    fn every_line_of_a_table_has_as_many_pipes(
        names in proptest::collection::vec(any::<String>(), 1..6),
        texts in proptest::collection::vec(any::<String>(), 1..6),
        title in any::<String>(),
        path in any::<String>(),
        precision in any::<usize>(),
        with_old in any::<bool>(),
    ) {
        let object: serde_json::Map<String, serde_json::Value> =
            names.iter().cloned().zip(texts.iter().cloned().map(serde_json::Value::from)).collect();
        let text = serde_json::Value::Object(object).to_string();
        // Dotted names may collide.
        let Ok(mut new) = MetricsFile::read("m.json", text.as_bytes()) else { return Ok(()) };
        new.path = path;
        let old = [file("m.json", "{\"a\": 1}"), file("n.json", "{\"a|b\": \"|\"}")];
        let comparison = compare(with_old.then_some(&old[..]), &[new], &Directions::default());
        let options = MarkdownOptions { old_title: title.clone(), new_title: title, precision, ..MarkdownOptions::default() };
        let markdown = comparison.markdown(&options);
        let lines: Vec<&str> = markdown.split('\n').filter(|line| !line.is_empty()).collect();
        prop_assert!(lines.len() >= 3 || lines == ["There are no metrics."]);
        prop_assert!(lines.iter().all(|line| pipes(line) == pipes(lines[0])));
    }

    #[test]
    fn a_change_is_never_shown_as_none(old in any::<f64>(), new in any::<f64>()) {
        prop_assume!(old.is_finite() && new.is_finite());
        let markdown = json(&format!("{{\"acc\": {old:?}}}"), &format!("{{\"acc\": {new:?}}}")).markdown(&titled(false));
        prop_assert_eq!(markdown.contains("no change"), old == new, "{}", markdown);
        prop_assert!(!markdown.contains("| -0 |"));
        if old != new {
            let cells: Vec<&str> = markdown.lines().last().expect("a line").split(" | ").collect();
            prop_assert_ne!(cells[1], cells[2]);
        }
    }
}
