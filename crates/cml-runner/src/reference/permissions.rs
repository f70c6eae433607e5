//! What AWS has to allow, from the policies themselves.

use std::path::Path;

use cml_aws::inspect::{DAEMON_ACTIONS, LAUNCH_ACTIONS};
use serde_json::Value;

use super::{cell, page};

/// The policies, and what for.
const FILES: [(&str, &str); 5] = [
    ("launch-policy.json", "`launch`, `ls`, `logs`, `stop`, `reap`, `plan`"),
    ("daemon-policy.json", "beside that: `daemon`, `prices refresh`, `cost --verify-with cost-explorer`"),
    ("doctor-policy.json", "beside that: `doctor`, which can do without"),
    ("job-role-policy.json", "with `instance_profile` (`--instance-profile`)"),
    ("reports-policy.json", "reports with `--to s3://…`"),
];
const AT: &str = "https://github.com/cml-runner/cml-runner/blob/main/templates/iam";

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        other => {
            other.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        }
    }
}

/// `only with aws:RequestTag/…`: the keys that a statement looks at.
fn conditions(statement: &Value) -> String {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    let mut keys: Vec<String> = operators
        .flat_map(|(_, pairs)| pairs.as_object().into_iter().flatten().map(|(key, _)| format!("`{key}`")))
        .collect();
    keys.sort();
    keys.dedup();
    keys.join(", ")
}

/// `LookAround` as words.
fn said(sid: &str) -> String {
    let mut text = String::new();
    for c in sid.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(if text.is_empty() { c } else { c.to_ascii_lowercase() });
    }
    text
}

fn without(action: &str) -> &'static str {
    let all = LAUNCH_ACTIONS.iter().chain(DAEMON_ACTIONS);
    all.into_iter().find(|needed| needed.action == action).map_or("", |needed| needed.without)
}

#[test]
fn the_page_of_permissions_has_each_action_of_the_policies() {
    let mut text = String::from(
        "`cml-runner init --print launch-policy` (or `daemon-policy`, `cloudformation`, …) prints these files; `cml-runner doctor` says which of them \
         are missing. A test holds them to what is really asked of AWS, in both directions.\n",
    );
    for (file, what) in FILES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/iam").join(file);
        let policy: Value =
            serde_json::from_str(&std::fs::read_to_string(path).expect("a policy")).expect("JSON");
        text.push_str(&format!(
            "\n## {what}\n\n[{file}]({AT}/{file})\n\n| action | statement | looks at | without it |\n|---|---|---|---|\n"
        ));
        for statement in policy["Statement"].as_array().expect("statements") {
            let sid = said(statement["Sid"].as_str().expect("a name"));
            for action in words(&statement["Action"]) {
                let row = format!(
                    "| `{action}` | {sid} | {} | {} |\n",
                    conditions(statement),
                    cell(without(&action))
                );
                text.push_str(&row);
            }
        }
    }
    page("permissions.md", "AWS permissions", &text);
}
