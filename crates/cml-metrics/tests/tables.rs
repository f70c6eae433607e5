//! Columns for plots.

use cml_metrics::{Problem, ReadError, Table};

fn read(path: &str, text: &str, at: Option<&str>) -> Result<Table, ReadError> {
    Table::read(path, text.as_bytes(), at)
}

fn table(path: &str, text: &str) -> Table {
    read(path, text, None).expect("a table")
}

#[test]
fn every_format_gives_the_same_columns() {
    for (path, text) in [
        ("t.csv", "epoch,loss\n1,0.5\n2,0.25\n"),
        ("t.tsv", "epoch\tloss\r\n1\t0.5\r\n2\t0.25\r\n"),
        ("t.jsonl", "{\"epoch\":1,\"loss\":0.5}\n{\"epoch\":2,\"loss\":0.25}\n"),
        ("t.json", "[{\"epoch\":1,\"loss\":0.5},{\"epoch\":2,\"loss\":0.25}]"),
        ("t.json", "{\"title\": \"x\", \"train\": [{\"epoch\":1,\"loss\":0.5},{\"epoch\":2,\"loss\":0.25}]}"),
        ("t.yaml", "train:\n- {epoch: 1, loss: 0.5}\n- {epoch: 2, loss: 0.25}\n"),
        ("log", "epoch,loss\n1,0.5\n2,0.25\n"),
        ("log", "{\"epoch\":1,\"loss\":0.5}\n{\"epoch\":2,\"loss\":0.25}\n"),
    ] {
        let table = table(path, text);
        assert_eq!(table.columns().collect::<Vec<_>>(), ["epoch", "loss"], "{path}");
        assert_eq!(table.numbers("loss").expect("numbers"), [0.5, 0.25], "{path}");
        assert_eq!(table.len(), 2, "{path}");
    }
}

#[test]
fn what_is_missing_is_nan_or_no_text() {
    for (path, text) in [
        ("t.csv", "a,b\n1,\n,x\n3,NA\n"),
        ("t.json", "[{\"a\": 1}, {\"b\": \"x\"}, {\"a\": 3, \"b\": null}]"),
    ] {
        let table = table(path, text);
        let numbers = table.numbers("a").expect("numbers");
        assert!(numbers[0] == 1.0 && numbers[1].is_nan() && numbers[2] == 3.0, "{path}");
        assert_eq!(table.texts("b").expect("texts"), [None, Some("x".to_owned()), None], "{path}");
    }
}

#[test]
fn objects_in_a_row_give_dotted_columns() {
    let table = table("t.json", "[{\"train\": {\"loss\": 1}}, {\"train\": {\"loss\": NaN}, \"roc\": [0.5]}]");
    assert_eq!(table.columns().collect::<Vec<_>>(), ["train.loss", "roc.0"]);
}

#[test]
fn a_column_that_cannot_be_had_is_told() {
    let csv = table("t.csv", "step,loss\n1,0.5\n\n2,high\n");
    insta::assert_snapshot!(csv.numbers("acc").expect_err("no column"), @"t.csv: there is no column `acc`; known: `step`, `loss`");
    insta::assert_snapshot!(csv.numbers("loss").expect_err("no number"), @r#"t.csv:4: "high" in the column `loss` is no number"#);
    let toml = table("t.toml", "[[row]]\na = 1\n[[row]]\na = 'x'\n");
    insta::assert_snapshot!(toml.numbers("a").expect_err("no number"), @r#"t.toml:4: "x" in the column `a` is no number"#);
    let json = table("t.json", "[{\"a\": 1},\n {\"a\":\n true}]");
    insta::assert_snapshot!(json.numbers("a").expect_err("no number"), @r#"t.json:3: "true" in the column `a` is no number"#);
}

#[test]
fn several_lists_of_rows_have_to_be_chosen_from() {
    let text = "{\"train\": [{\"a\": 1}], \"test\": {\"x\": [{\"a\": 2}]}}";
    let error = |at| read("t.json", text, at).expect_err("no list").to_string();
    insta::assert_snapshot!(error(None), @"t.json: there are several lists of rows; choose one of `train`, `test.x`");
    insta::assert_snapshot!(error(Some("test")), @"t.json: there is no list of rows `test`; known: `train`, `test.x`");
    let table = read("t.json", text, Some("test.x")).expect("a table");
    assert_eq!(table.numbers("a").expect("numbers"), [2.0]);
}

#[test]
fn what_has_no_rows_is_no_table() {
    for text in ["{}", "[]", "[1, 2]", "3", "{\"a\": [{\"b\": 1}, 2]}"] {
        assert_eq!(read("t.json", text, None).expect_err(text).problem, Problem::NoRows, "{text}");
    }
    assert_eq!(read("t.jsonl", "1\n", None).expect_err("a number").problem, Problem::NoRows);
    assert!(table("t.csv", "a,b\n").is_empty());
}
