//! AWS permissions, from the policies themselves.

use std::collections::BTreeSet;
use std::path::Path;

use cml_aws::inspect::{DAEMON_ACTIONS, LAUNCH_ACTIONS};
use serde_json::Value;

use super::{cell, page};

/// The policies, and the purpose of each.
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

/// Returns the condition keys of a statement, such as `aws:RequestTag/cml-runner:launch`.
fn conditions(statement: &Value) -> impl Iterator<Item = String> {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    operators
        .flat_map(|(_, pairs)| pairs.as_object().into_iter().flatten().map(|(key, _)| format!("`{key}`")))
}

fn without(action: &str) -> &'static str {
    let all = LAUNCH_ACTIONS.iter().chain(DAEMON_ACTIONS);
    all.into_iter().find(|needed| needed.action == action).map_or("", |needed| needed.without)
}

#[test]
fn the_page_of_permissions_has_each_action_of_the_policies() {
    let mut text = String::from(
        "`cml-runner init --print` prints the first two (`launch-policy`, `daemon-policy`), who may take the role (`oidc-trust`), what bounds it \
         (`boundary`) and a template of all (`cloudformation`); the rest is behind the links. `cml-runner doctor` says which actions the credentials that it \
         runs with are missing. A test holds the files to what is really asked of AWS, in both directions.\n",
    );
    for (file, what) in FILES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/iam").join(file);
        let policy: Value =
            serde_json::from_str(&std::fs::read_to_string(path).expect("a policy")).expect("JSON");
        text.push_str(&format!(
            "\n## {what}\n\n[{file}]({AT}/{file})\n\n| action | looks at | without it |\n|---|---|---|\n"
        ));
        let mut actions: Vec<(String, BTreeSet<String>)> = Vec::new();
        for statement in policy["Statement"].as_array().expect("statements") {
            for action in words(&statement["Action"]) {
                match actions.iter_mut().find(|(known, _)| *known == action) {
                    Some((_, keys)) => keys.extend(conditions(statement)),
                    None => actions.push((action, conditions(statement).collect())),
                }
            }
        }
        for (action, keys) in actions {
            let keys: Vec<String> = keys.into_iter().collect();
            text.push_str(&format!("| `{action}` | {} | {} |\n", keys.join(", "), cell(without(&action))));
        }
    }
    page("permissions.md", "AWS permissions", &text);
}
