//! Files as people write them, right and wrong: the messages about each, and whether an editor with the schema agrees.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cml_cloud::UsdPerHour;
use cml_spec::Runners;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::Value;

fn samples(kind: &str) -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(kind);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).expect("samples").map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let read = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("text"))
    };
    paths.into_iter().map(read).collect()
}

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(cml_spec::schema()).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

fn passes(schema: &jsonschema::Validator, text: &str) -> bool {
    serde_yaml::from_str::<Value>(text).is_ok_and(|value| schema.is_valid(&value))
}

/// Offers g5.xlarge only.
#[allow(clippy::type_complexity, reason = "as cml_spec::Market has it")]
const MARKET: fn(&Runners) -> Result<Vec<Option<UsdPerHour>>, (String, String)> = |runners| {
    if runners.needs.as_ref().is_some_and(|needs| needs.vcpus.least > 1000) {
        return Err(("no type has all of this".to_owned(), "ask for less".to_owned()));
    }
    Ok(vec![Some(UsdPerHour(Decimal::new(1006, 3)))])
};

#[test]
fn valid_files_are_read_and_their_doubts_are_told() {
    let schema = schema();
    for (name, text) in samples("valid") {
        let config =
            cml_spec::read("cml.yaml", &text, &MARKET).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(passes(&schema, &text), "{name}: the schema disagrees");
        let told: Vec<String> = config.warnings.iter().map(|one| format!("cml.yaml:{one}")).collect();
        insta::assert_snapshot!(format!("valid_{name}"), told.join("\n\n"));
    }
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place_and_what_would_be_right() {
    let schema = schema();
    for (name, text) in samples("invalid") {
        let error = cml_spec::read("cml.yaml", &text, &MARKET).expect_err(&name).to_string();
        insta::assert_snapshot!(format!("invalid_{name}"), error);
        let expected = text.lines().next() == Some("# schema: passes");
        assert_eq!(passes(&schema, &text), expected, "{name}: the schema");
    }
}

#[test]
fn a_token_in_the_file_is_not_repeated() {
    let text = "github: { scope: acme/vision, auth: { token_env: ghp_canary0123456789 } }\nrunners: {}\n";
    let error = cml_spec::read("cml.yaml", text, &MARKET).expect_err("is wrong");
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[test]
fn the_commented_example_is_right_and_leaves_nothing_out() {
    let text = include_str!("../../../templates/cml.yaml");
    let config = cml_spec::read("cml.yaml", text, &MARKET).expect("is right");
    assert_eq!(config.warnings, []);
    let schema: Value = serde_json::from_str(cml_spec::schema()).expect("JSON");
    let spec = &schema["properties"]["runners"]["additionalProperties"]["properties"];
    let in_schema: BTreeSet<&str> = spec.as_object().expect("keys").keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = cml_spec::spec_keys().iter().copied().collect();
    assert_eq!(in_schema, known);
    // `group` is a paid feature of GitHub's and not in the example.
    for key in known.iter().filter(|key| **key != "group") {
        assert!(text.contains(&format!(" {key}:")), "the example says nothing of {key}");
    }
    for (key, value) in spec.as_object().expect("keys") {
        assert!(value["description"].is_string(), "{key} has no description");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_text_breaks_the_reader(
        at in 0_usize..3000, take in 0_usize..40, put in "[\\PC\n\t{}\\[\\]:&*!|>#,'\"-]{0,12}",
    ) {
        let text: Vec<char> = include_str!("../../../templates/cml.yaml").chars().collect();
        let at = at.min(text.len());
        let rest = (at + take).min(text.len());
        let changed: String = text[..at].iter().chain(&put.chars().collect::<Vec<_>>()).chain(&text[rest..]).collect();
        if let Err(error) = cml_spec::read("cml.yaml", &changed, &MARKET) {
            prop_assert!(!error.problems.is_empty());
            prop_assert!(error.to_string().starts_with("cml.yaml:"));
        }
    }
}
