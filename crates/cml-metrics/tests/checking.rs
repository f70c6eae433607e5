//! Requirements, and no worse than a baseline.

use cml_metrics::{Baseline, CheckReport, Directions, MetricsFile, Outcome, Requirement, Tolerance, check};
use proptest::prelude::*;

fn file(path: &str, text: &str) -> MetricsFile {
    MetricsFile::read(path, text.as_bytes()).expect("it can be read")
}

fn requirement(text: &str) -> Requirement {
    text.parse().expect("a requirement")
}

fn holds(metrics: &str, text: &str) -> bool {
    let files = [file("m.json", metrics)];
    check(&files, &[requirement(text)], None, &Directions::default()).expect("it can be judged").passed()
}

fn against(old: &str, new: &str, tolerance: &str) -> CheckReport {
    let old = [file("m.json", old)];
    let no_worse = Some(tolerance.parse().expect("a tolerance"));
    let baseline = Baseline { title: "main", files: &old, no_worse };
    check(&[file("m.json", new)], &[], Some(baseline), &Directions::default()).expect("it can be judged")
}

fn error(text: &str) -> String {
    text.parse::<Requirement>().expect_err("no requirement").to_string()
}

#[test]
fn every_operator_holds_where_it_should() {
    for (text, expected) in [
        ("a >= 1", true),
        ("a>=1.5", false),
        ("a <= 1", true),
        ("a < 1", false),
        ("a > 0.5", true),
        ("a == 1.0", true),
        ("a != 1", false),
        ("a < inf", true),
        ("a > -1e3", true),
    ] {
        assert_eq!(holds("{\"a\": 1}", text), expected, "{text}");
    }
    assert!(!holds("{\"a\": 9007199254740993}", "a == 9007199254740992"));
}

#[test]
fn nan_text_and_null_satisfy_nothing() {
    for metrics in ["{\"a\": NaN}", "{\"a\": \"1\"}", "{\"a\": null}", "{\"a\": true}"] {
        for operator in [">=", "<=", ">", "<", "==", "!="] {
            assert!(!holds(metrics, &format!("a {operator} 1")), "{metrics} {operator}");
        }
    }
}

#[test]
fn names_may_be_quoted_and_have_a_path() {
    let files = [file("a.json", "{\"x y\": 1, \"z\": 1}"), file("b c.json", "{\"z\": 2}")];
    for text in ["'x y' == 1", "a.json:\"x y\" == 1", "\"b c.json\":z == 2", "a.json:z==1"] {
        let report = check(&files, &[requirement(text)], None, &Directions::default()).expect(text);
        assert!(report.passed(), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_shown_with_a_caret() {
    insta::assert_snapshot!(
        [
            "",
            "accuracy",
            "accuracy => 0.9",
            "accuracy = 0.9",
            "accuracy ≥ 0.9",
            "accuracy >= high",
            "é >= 90%",
            "accuracy >= nan",
            "accuracy >= 0.9 and loss < 1",
            "'accuracy >= 0.9",
            "a:b:c > 1",
            "a.json: > 1",
            ">= 1",
        ]
        .map(error)
        .join("\n")
    );
}

#[test]
fn an_unknown_metric_or_file_is_told_with_what_is_there() {
    let files =
        [file("a.json", "{\"val\": {\"accuracy\": 1}, \"loss\": 1}"), file("b.json", "{\"loss\": 2}")];
    let error = |text: &str| {
        check(&files, &[requirement(text)], None, &Directions::default()).expect_err("not known").to_string()
    };
    insta::assert_snapshot!(
        ["acuracy > 1", "accuracy > 1", "qqq > 1", "loss < 1", "c.json:loss < 1", "b.json:accuracy > 1"]
            .map(error)
            .join("\n")
    );
}

#[test]
fn a_report_tells_what_failed_and_why() {
    let new = [file(
        "new.json",
        r#"{"accuracy": 0.87, "loss": 0.31, "f1": 0.8, "auc": 0.9, "epoch": 3, "mse": NaN, "r2": 1}"#,
    )];
    let old = [file(
        "old.json",
        r#"{"accuracy": 0.91, "loss": 0.3, "f1": 0.8, "auc": 0.8, "epoch": 2, "mse": 1, "mae": 1}"#,
    )];
    let baseline = Baseline { title: "main", files: &old, no_worse: Some(Tolerance::Relative(0.04)) };
    let requirements =
        [requirement("accuracy >= 0.9"), requirement("loss<0.5"), requirement("r2 > 0.99999999")];
    let report =
        check(&new, &requirements, Some(baseline), &Directions::default()).expect("it can be judged");
    assert!(!report.passed());
    assert_eq!(report.findings[0].why, "accuracy is 0.87, required >= 0.9 (main has 0.91)");
    insta::assert_snapshot!(report.markdown());
}

#[test]
fn a_value_just_beside_its_limit_is_not_rounded_onto_it() {
    let files = [file("m.json", "{\"acc\": 0.8999999}")];
    let report = check(&files, &[requirement("acc >= 0.9")], None, &Directions::default()).expect("judged");
    assert_eq!(report.findings[0].why, "acc is 0.8999999, required >= 0.9");
}

#[test]
fn a_tolerance_is_absolute_or_a_part_of_the_old_value() {
    let passes = |old: &str, new: &str, tolerance: &str| {
        against(&format!("{{\"acc\": {old}}}"), &format!("{{\"acc\": {new}}}"), tolerance).passed()
    };
    assert!(!passes("0.91", "0.90", "0"));
    assert!(passes("0.91", "0.90", "0.01"));
    assert!(!passes("0.91", "0.8999", "0.01"));
    assert!(passes("200", "199", "0.5%"));
    assert!(!passes("200", "198.9", "0.5 %"));
    assert!(!passes("0", "-1", "50%"));
    assert!(!passes("0.30000000000000004", "0.3", "0"));
    assert!(!passes("0.5", "NaN", "100%"));
    assert!(!passes("0.5", "null", "100%"));
    assert!(!passes("NaN", "NaN", "1"));
    assert!(passes("NaN", "0.1", "0"));
    for wrong in ["", "-1", "nan", "inf", "5%%", "x", "%"] {
        assert!(wrong.parse::<Tolerance>().is_err(), "{wrong}");
    }
}

#[test]
fn what_has_no_direction_or_no_other_side_is_not_judged() {
    let report = against(
        "{\"epoch\": 3, \"loss\": 1, \"acc\": \"x\"}",
        "{\"epoch\": 2, \"auc\": 1, \"acc\": \"y\"}",
        "0",
    );
    assert!(report.passed());
    assert_eq!(report.count(Outcome::NotJudged), 4);
    insta::assert_snapshot!(report.markdown());
}

#[test]
fn a_long_report_shows_what_failed_first_and_has_an_end() {
    let metrics = |last: usize| {
        let pairs = (0..300).map(|n| format!("\"loss{n}\": {}", if n == 299 { last } else { 1 }));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    };
    let markdown = against(&metrics(1), &metrics(2), "0").markdown();
    assert!(markdown.lines().nth(4).is_some_and(|line| line.starts_with("| ❌ failed")));
    assert_eq!(markdown.lines().last(), Some("Not shown: 100 more."));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*|[a-c:'\"\\\\<>=! .0-9e%-]{0,30}") {
        if let Ok(requirement) = text.parse::<Requirement>() {
            let _ = check(&[file("m.json", "{\"a\": 1}")], &[requirement], None, &Directions::default());
        }
        let _ = text.parse::<Tolerance>();
    }

    #[test]
    fn what_is_written_can_be_read_back(path in any::<Option<String>>(), name in any::<String>(), limit in any::<f64>()) {
        prop_assume!(!limit.is_nan());
        let mut written = requirement(&format!("a >= {limit:?}"));
        (written.path, written.name) = (path, name);
        let read = requirement(&written.to_string());
        prop_assert_eq!((&read.path, &read.name, read.operator), (&written.path, &written.name, written.operator));
        prop_assert_eq!(read.limit.value(), limit);
    }
}
