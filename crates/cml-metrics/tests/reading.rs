//! Every format as people and programs write it, and malformed files.

use cml_metrics::{Format, MetricsFile, Problem, ReadError, Value};
use proptest::prelude::*;

fn read(path: &str, text: &str) -> Result<MetricsFile, ReadError> {
    MetricsFile::read(path, text.as_bytes())
}

fn pairs(path: &str, text: &str) -> Vec<(String, String)> {
    let file = read(path, text).expect("it can be read");
    file.metrics.into_iter().map(|metric| (metric.name, metric.value.to_string())).collect()
}

fn assert_pairs(path: &str, text: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    assert_eq!(pairs(path, text), expected);
}

fn problem(path: &str, text: &str) -> Problem {
    read(path, text).expect_err("it cannot be read").problem
}

fn message(path: &str, text: &str) -> String {
    read(path, text).expect_err("it cannot be read").to_string()
}

#[test]
fn nested_maps_and_lists_become_dotted_names_in_the_order_of_the_file() {
    let expected =
        [("train.loss", "0.30"), ("layers.0.acc", "1e-05"), ("layers.1", "true"), ("a", "x"), ("b", "null")];
    assert_pairs(
        "m.json",
        r#"{"train": {"loss": 0.30}, "layers": [{"acc": 1e-05}, true], "a": "x", "b": null}"#,
        &expected,
    );
    assert_pairs("m.yaml", "train:\n  loss: 0.30\nlayers: [{acc: 1e-05}, true]\na: x\nb:\n", &expected);
    assert_pairs("m.toml", "train.loss = 0.30\nlayers = [{acc = 1e-05}, true]\na = \"x\"\n", &expected[..4]);
}

#[test]
fn python_s_nan_and_infinity_are_numbers_in_json() {
    let file =
        read("m.json", r#"{"a": NaN, "b": Infinity, "c": [-Infinity], "NaN": "NaN, \"NaN"}"#).expect("JSON");
    let value = |name| file.get(name).and_then(Value::as_number).expect(name).value();
    assert!(value("a").is_nan());
    assert_eq!((value("b"), value("c.0")), (f64::INFINITY, f64::NEG_INFINITY));
    assert!(matches!(file.get("NaN"), Some(Value::Text(text)) if text == "NaN, \"NaN"));
    for wrong in ["{\"a\": 1NaN}", "{\"a\": NaNa}", "{\"a\": -NaNN}", "{NaN: 1}", "{\"a\": +NaN}"] {
        assert!(matches!(problem("m.json", wrong), Problem::Syntax { .. }), "{wrong}");
    }
}

#[test]
fn yaml_s_and_toml_s_own_numbers_are_numbers() {
    assert_pairs(
        "m.yaml",
        "a: .inf\nb: 0x1f\nc: '1'\nd: +1\n",
        &[("a", "inf"), ("b", "31"), ("c", "1"), ("d", "1")],
    );
    assert!(matches!(read("m.yml", "c: '1'").expect("YAML").get("c"), Some(Value::Text(_))));
    assert_pairs("m.toml", "a = inf\nb = 0x1f\nc = 1_000\n", &[("a", "inf"), ("b", "31"), ("c", "1000")]);
    assert_pairs("m.toml", "when = 2026-01-02\n[t]\nx = 1\n", &[("when", "2026-01-02"), ("t.x", "1")]);
}

#[test]
fn yaml_s_aliases_and_merge_keys_are_followed() {
    let text = "base: &b {acc: 0.9, loss: 1}\nthis:\n  <<: *b\n  loss: 2\n";
    assert_pairs(
        "m.yaml",
        text,
        &[("base.acc", "0.9"), ("base.loss", "1"), ("this.loss", "2"), ("this.acc", "0.9")],
    );
}

#[test]
fn two_columns_of_csv_are_names_and_values() {
    let expected = [("accuracy", "0.93"), ("loss", "0.2")];
    assert_pairs("m.csv", "name,value\naccuracy,0.93\nloss,0.2\n", &expected);
    assert_pairs("m.csv", "accuracy,0.93\nloss,0.2\n", &expected);
    assert_pairs("m.csv", "accuracy;0.93\r\nloss;0.2\r\n", &expected);
    assert_pairs("m.tsv", "metric\tvalue\naccuracy\t0.93\nloss\t0.2", &expected);
    assert_pairs("m.csv", "accuracy,0.93", &expected[..1]);
    assert_pairs("m.csv", "name,value\nmodel,resnet\nx,\n", &[("model", "resnet"), ("x", "null")]);
}

#[test]
fn a_csv_with_a_header_is_a_log_whose_last_values_count() {
    assert_pairs("m.csv", "epoch,loss\n1,0.3\n2,0.2\n", &[("epoch", "2"), ("loss", "0.2")]);
    assert_pairs("m.csv", "epoch,loss\n", &[]);
    assert_pairs(
        "m.csv",
        "time,loss\n2026-01-01 10:00,0.3\n2026-01-01 11:00,0.2\n",
        &[("time", "2026-01-01 11:00"), ("loss", "0.2")],
    );
    // As Lightning writes it.
    assert_pairs(
        "metrics.csv",
        "epoch,train_loss,val_loss\n0,0.5,\n0,,0.6\n1,0.4,\n",
        &[("epoch", "1"), ("train_loss", "0.4"), ("val_loss", "0.6")],
    );
    // pandas' index has no name.
    assert_pairs("m.csv", ",loss\n0,0.3\n1,nan\n", &[("loss", "nan")]);
    assert_pairs(
        "m.jsonl",
        "{\"loss\": 1}\n\n{\"loss\": 0.5, \"acc\": 1}\n",
        &[("loss", "0.5"), ("acc", "1")],
    );
}

#[test]
fn a_file_without_a_telling_extension_is_known_by_its_looks() {
    for text in [
        "{\"a\": 1}",
        "a: 1",
        "---\na: 1",
        "# metrics\na = 1",
        "a,1",
        "a\t1",
        "{a: 1}",
        "{\"a\":0}\n{\"a\":1}",
    ] {
        assert_pairs("metrics", text, &[("a", "1")]);
    }
    assert_pairs("metrics.txt", "[t]\na = 1", &[("t.a", "1")]);
    assert_pairs("metrics.txt", "[1]", &[("0", "1")]);
    assert_eq!(Format::of_path("a.json/metrics"), None);
    assert_eq!(Format::of_path("A.JSON"), Some(Format::Json));
}

#[test]
fn a_byte_order_mark_and_carriage_returns_do_not_matter() {
    assert_pairs("m.json", "\u{feff}{\r\n\"a\": 1\r\n}", &[("a", "1")]);
    assert_pairs("m.yaml", "\u{feff}a: 1\r\nb: 2\r\n", &[("a", "1"), ("b", "2")]);
    assert_pairs("m.toml", "\u{feff}a = 1\r\nb = 2\r\n", &[("a", "1"), ("b", "2")]);
    assert_pairs("m.csv", "\u{feff}a,1\r\nb,2\r\n", &[("a", "1"), ("b", "2")]);
}

#[test]
fn nothing_is_an_error_and_an_empty_map_is_none() {
    for path in ["m.json", "m.yaml", "m.toml", "m.csv", "m.tsv", "m.jsonl", "m"] {
        for text in ["", "\u{feff}", " \n\t\r\n"] {
            assert_eq!(problem(path, text), Problem::Empty, "{path} {text:?}");
        }
    }
    assert_eq!(problem("m.yaml", "# nothing\n"), Problem::Empty);
    assert_pairs("m.json", "{}", &[]);
}

#[test]
fn other_encodings_are_told() {
    let read = |bytes: &[u8]| MetricsFile::read("m.json", bytes).expect_err("it cannot be read");
    assert_eq!(read(b"\xff\xfe{\0}\0").problem, Problem::Utf16);
    insta::assert_snapshot!(read(b"{\n\"caf\xe9\": 1}"), @"m.json:2:5: this is not UTF-8 text; write the file as UTF-8");
}

#[test]
fn a_key_that_is_there_twice_is_named() {
    insta::assert_snapshot!(message("m.json", "{\"x\": {\"acc\": 1,\n  \"acc\": 2}}"), @"m.json:2:10: `acc` is there twice; rename one of them");
    insta::assert_snapshot!(message("m.yaml", "acc: 1\nacc: 2\n"), @"m.yaml:2:1: `acc` is there twice; rename one of them");
    insta::assert_snapshot!(message("m.toml", "acc = 1\nacc = 2\n"), @"m.toml:2:1: `acc` is there twice; rename one of them");
    insta::assert_snapshot!(message("m.csv", "name,value\nacc,1\nacc,2\n"), @"m.csv:3: `acc` is there twice; rename one of them");
    insta::assert_snapshot!(message("m.csv", "acc,acc\n1,2\n"), @"m.csv:1: `acc` is there twice; rename one of them");
    insta::assert_snapshot!(message("m.json", "{\"a\": {\"b\": 1}, \"a.b\": 2}"), @"m.json:1: `a.b` is there twice; rename one of them");
}

#[test]
fn faults_are_told_with_their_place() {
    insta::assert_snapshot!(message("m.json", "{\"a\": NaN,\n \"b\": 0.9.1}"), @"m.json:2:10: not JSON: expected `,` or `}`");
    insta::assert_snapshot!(message("m.json", "{\"a\": 1,}"), @"m.json:1:9: not JSON: key must be a string");
    insta::assert_snapshot!(message("m.json", "{\"a\": [\n1,\n\"\\ud800\"]}"), @"m.json:3:8: not JSON: unexpected end of hex escape");
    insta::assert_snapshot!(message("m.json", "0.93"), @r#"m.json:1: there is nothing but `0.93` without a name; write `{"accuracy": 0.9}`, in JSON for one"#);
    insta::assert_snapshot!(message("m.jsonl", "{\"a\": 1}\n{\"a\": }"), @"m.jsonl:2:7: not JSON lines: expected value");
    insta::assert_snapshot!(message("m.yaml", "a: 1\n\tb: 2\n"), @"m.yaml:1:4: not YAML: while scanning a plain scalar, found a tab (YAML is indented with spaces, never with tabs)");
    insta::assert_snapshot!(message("m.yaml", "a: 1\n---\na: 2\n"), @"m.yaml:2:1: not YAML: there is a second document; one file is one document");
    insta::assert_snapshot!(message("m.yaml", "[a]: 1\n"), @"m.yaml:1:1: not YAML: a list or map cannot be the name of a metric");
    insta::assert_snapshot!(message("m.yaml", "a: *b\n"), @"m.yaml:1:4: not YAML: while parsing node, found unknown anchor");
    insta::assert_snapshot!(message("m.toml", "a = 1\nb = \n"), @"m.toml:2:5: not TOML: string values must be quoted, expected literal string");
    insta::assert_snapshot!(message("m.csv", "a,b\n1,2\n1,2,3\n"), @"m.csv:3: not CSV: this row has 3 cells, the first one has 2");
}

#[test]
fn a_stranger_s_name_does_not_command_the_terminal() {
    let text = format!("{{\"\\u001b[2J{0}\": 1, \"\\u001b[2J{0}\": 2}}", "x".repeat(500));
    let message = message("m.json", &text);
    assert!(message.len() < 200 && !message.contains('\u{1b}'), "{message}");
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    for depth in [100, 100_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        assert_eq!(problem("m.json", &format!("{open}{close}")), Problem::TooDeep);
        assert!(read("m.toml", &format!("a = {open}{close}")).is_err());
        assert!(read("m.json", &open).is_err());
        assert!(read("m.json", &"{\"a\":".repeat(depth)).is_err());
        assert!(read("m.yaml", &open).is_err());
    }
    assert_eq!(problem("m.yaml", &"- ".repeat(100)), Problem::TooDeep);
}

#[test]
fn aliases_cannot_fill_the_memory() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..30 {
        let aliases = vec![format!("*a{}", n - 1); 9].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    assert_eq!(problem("m.yaml", &text), Problem::Aliases);
}

#[test]
fn data_is_no_metrics() {
    let values = vec!["1"; 10_001].join(",");
    assert_eq!(problem("m.json", &format!("[{values}]")), Problem::TooMany);
    assert_eq!(problem("m.json", &format!("{{\"{}\": 1}}", "x".repeat(2000))), Problem::LongName);
}

const PATHS: [&str; 7] = ["m.json", "m.yaml", "m.toml", "m.csv", "m.tsv", "m.jsonl", "m"];

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for path in PATHS {
            let _ = MetricsFile::read(path, &bytes);
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC*|[\\[\\]{}:,\"'\\\\ \n\t\r&*!|>#%@=.0-9eaNInfity<-]{0,80}") {
        for path in PATHS {
            let _ = MetricsFile::read(path, text.as_bytes());
            let _ = cml_metrics::Table::read(path, text.as_bytes(), None);
        }
    }

    #[test]
    fn what_is_read_as_json_is_json(text in "[\\[\\]{}:,\"\\\\ \n1.ea-]{0,24}|\\{\"a\":[\\[\\]{}:,\"\\\\ \n1.ea-]{0,12}\\}") {
        // Numbers like 1e111111 are infinite here, and an error there.
        if read("m.json", &text).is_ok() && !text.contains('e') {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn numbers_are_kept_as_they_are_written(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
        let written = format!("{value:?}");
        for (path, text) in [
            ("m.json", format!("{{\"a\": {written}}}")),
            ("m.yaml", format!("a: {written}")),
            ("m.toml", format!("a = {written}")),
            ("m.csv", format!("a,{written}")),
        ] {
            prop_assert_eq!(&pairs(path, &text)[0].1, &written);
        }
    }
}

#[test]
fn a_file_of_a_million_values_is_refused_before_it_fills_the_memory() {
    let many = |one: &str| one.repeat(1_000_001);
    for (path, text) in [
        ("m.csv", format!("a,b\n{}", "1,2\n".repeat(500_001))),
        ("m.jsonl", "{\"a\":1}\n".repeat(500_001)),
        ("m.json", format!("{{\"a\": [{}0]}}", many("0,"))),
        ("m.yaml", format!("a: [{}0]", many("0,"))),
    ] {
        let error = cml_metrics::MetricsFile::read(path, text.as_bytes()).expect_err(path).to_string();
        assert!(error.contains("which is the most that is read"), "{path}: {error}");
        let error = cml_metrics::Table::read(path, text.as_bytes(), None).expect_err(path).to_string();
        assert!(error.contains("which is the most that is read"), "{path}: {error}");
    }
}

#[test]
fn a_row_of_millions_of_cells_is_refused() {
    let commas = ",".repeat(5 << 20);
    let quoted = format!("a,b\n{}", "\"\",".repeat(1_000_001));
    for (path, text) in [("m.csv", &commas), ("m", &commas), ("m.csv", &quoted)] {
        let errors = [
            cml_metrics::MetricsFile::read(path, text.as_bytes()).expect_err(path),
            cml_metrics::Table::read(path, text.as_bytes(), None).expect_err(path),
        ];
        for error in errors {
            assert_eq!(error.problem, Problem::TooManyCells, "{path}: {error}");
            assert!(error.to_string().contains("more than 1000000 values"), "{error}");
        }
    }
    // Delimiters in quotes do not count.
    let text = format!("name,value\n\"{}\",1\n", ",".repeat(1_000_001));
    assert!(cml_metrics::Table::read("m.csv", text.as_bytes(), None).is_ok());
}

#[test]
fn a_file_that_is_too_long_for_its_format_is_refused_unread() {
    for (path, mib) in [("m.yaml", 4), ("m.toml", 4), ("m.csv", 20), ("m.json", 20)] {
        let text = format!("a = 1 # {}", "x".repeat(mib << 20));
        let error = cml_metrics::MetricsFile::read(path, text.as_bytes()).expect_err(path).to_string();
        assert!(error.contains(&format!("longer than {mib} MiB")), "{path}: {error}");
    }
}
