//! `docs/outside.md`, our assumptions about the outside: each row has a source that is not ours, a place that simulates
//! it, and an existing test, or states that nothing outside checks it. Also assumptions that a third party on this
//! machine can verify.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cml_e2e::book::root;
use cml_e2e::moto::Moto;

const UNGUARDED: &str = "none: meets a real account first";
const HEADER: &str = "| belief | source | simulated in | checked by |";

/// What is wrong with the rows of a page.
fn wrong_with(page: &str, root: &Path) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let mut wrong = Vec::new();
    for row in rows.filter(|row| *row != HEADER && *row != "|---|---|---|---|") {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [belief, source, place, check] = cells.as_slice() else {
            wrong.push(format!("{row}: {} cells, not 4", cells.len()));
            continue;
        };
        let mut say = |why: String| wrong.push(format!("{belief}: {why}"));
        if belief.is_empty() {
            say(format!("no belief in {row}"));
        }
        if !source.contains("https://") {
            say(format!("the source {source:?} has no address"));
        }
        let places = quoted(place);
        if places.is_empty() {
            say(format!("{place:?} is no file"));
        }
        for path in places.iter().filter(|path| !root.join(path).exists()) {
            say(format!("{path} is not there"));
        }
        if *check == UNGUARDED {
            continue;
        }
        let tests = quoted(check);
        if tests.is_empty() {
            say(format!("{check:?} is neither a test nor {UNGUARDED:?}"));
        }
        for test in tests {
            let Some((path, name)) = test.split_once("::") else {
                say(format!("{test:?} is no file::test"));
                continue;
            };
            let source = std::fs::read_to_string(root.join(path)).unwrap_or_default();
            if !source.contains(&format!("fn {name}(")) {
                say(format!("{path} has no test {name}"));
            }
        }
    }
    wrong
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/outside.md")).expect("the page")
}

#[test]
fn each_belief_has_its_source_its_place_and_its_check() {
    let page = page();
    let wrong = wrong_with(&page, root());
    assert!(wrong.is_empty(), "docs/outside.md:\n{}", wrong.join("\n"));
    let sections = page.matches("\n## ").count();
    assert_eq!(page.matches(HEADER).count(), sections, "one table a section");
    assert!(page.matches("](https://").count() > 40, "the page has rows");
}

#[test]
fn a_row_without_source_place_or_check_is_told() {
    let row = |source: &str, place: &str, check: &str| format!("| it is so | {source} | {place} | {check} |");
    let (good, file) = ("[a page](https://docs.github.com)", "`tests/tests/everyday/outside.rs`");
    let test = "`tests/tests/everyday/outside.rs::a_row_without_source_place_or_check_is_told`";
    let wrong = |row: String| wrong_with(&row, root()).len();
    assert_eq!(wrong(row(good, file, test)), 0);
    assert_eq!(wrong(row(good, file, UNGUARDED)), 0);
    assert_eq!(wrong(row("common knowledge", file, test)), 1);
    assert_eq!(wrong(row(good, "`tests/nowhere.rs`", test)), 1);
    assert_eq!(wrong(row(good, file, "none")), 1);
    assert_eq!(wrong(row(good, file, "`tests/tests/everyday/outside.rs::gone`")), 1);
    assert_eq!(wrong("| it is so | here |".to_owned()), 1);
}

/// Asks botocore, or the emulator's data, which were not written here; the answer is JSON.
fn asked(script: &str) -> serde_json::Value {
    let output = std::process::Command::new(Moto::shared().python())
        .args(["-c", script])
        .output()
        .expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn services_that_we_sign_for_ourselves_are_where_botocore_finds_them() {
    let script = std::fs::read_to_string(root().join("tests/support/endpoints.py")).expect("the script");
    let kept =
        std::fs::read_to_string(root().join("crates/cml-aws/testdata/endpoints.json")).expect("the answer");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(kept, asked(&script), "print it anew with tests/support/endpoints.py");
}

#[test]
fn architecture_cpus_memory_and_gpus_of_our_types_are_those_that_ec2_describes() {
    let described = asked(
        "import json\n\
         from moto.ec2.models.instance_types import INSTANCE_TYPES as all\n\
         print(json.dumps({n: [t['ProcessorInfo']['SupportedArchitectures'], t['VCpuInfo']['DefaultVCpus'],\n\
         t['MemoryInfo']['SizeInMiB'], sum(g['Count'] for g in t.get('GpuInfo', {}).get('Gpus', []))]\n\
         for n, t in all.items()}))",
    );
    let path: PathBuf = root().join("crates/cml-prices/data/instance_types.csv");
    let table = std::fs::read_to_string(path).expect("the catalogue");
    let mut differs = BTreeMap::new();
    let mut compared = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let [name, architecture, vcpus, memory, _, gpus, ..] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let Some([architectures, real_vcpus, real_memory, real_gpus]) =
            described[name].as_array().and_then(|it| it.as_slice().first_chunk::<4>())
        else {
            continue;
        };
        compared += 1;
        let word = if architecture == "amd64" { "x86_64" } else { architecture };
        let has = architectures.as_array().is_some_and(|all| all.iter().any(|one| one == word));
        let number = |text: &str| text.parse::<u64>().ok();
        let alike = has
            && number(vcpus) == real_vcpus.as_u64()
            && number(memory) == real_memory.as_u64()
            && number(gpus).unwrap_or(0) == real_gpus.as_u64().unwrap_or(0);
        if !alike {
            differs.insert(name.to_owned(), format!("{line} and {}", described[name]));
        }
    }
    assert!(compared > 500, "{compared} types are in both");
    assert!(differs.is_empty(), "{} of {compared}: {differs:#?}", differs.len());
}

#[test]
fn states_markets_and_fleet_strategies_that_we_name_are_those_of_the_service_model() {
    let shapes = asked(
        "import json\n\
         from botocore.loaders import Loader\n\
         s = Loader().load_service_model('ec2', 'service-2')['shapes']\n\
         print(json.dumps({n: s[n]['enum'] for n in ('InstanceStateName', 'MarketType', 'SpotAllocationStrategy', 'FleetType')}))",
    );
    let has = |shape: &str, word: &str| {
        let known = shapes[shape].as_array().is_some_and(|all| all.iter().any(|one| one == word));
        assert!(known, "{word} is none of {}", shapes[shape]);
    };
    for state in ["pending", "running", "shutting-down", "terminated", "stopping", "stopped"] {
        has("InstanceStateName", state);
    }
    has("MarketType", "spot");
    has("FleetType", "instant");
    has("SpotAllocationStrategy", "price-capacity-optimized");
}
