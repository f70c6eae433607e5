//! AWS's evaluation of policies, as far as the files of `templates/iam` use it.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

mod asked;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

pub use asked::{Known, asked};

/// A permission check of AWS: one action on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// `ec2:RunInstances`.
    pub action: String,
    /// `arn:aws:ec2:us-east-1:123456789012:instance/*`, or `*` for actions without a resource.
    pub resource: String,
    /// Condition keys that the request has.
    pub context: BTreeMap<String, String>,
}

impl Asked {
    /// A question without tags or other circumstances.
    #[must_use]
    pub fn new(action: &str, resource: &str) -> Self {
        Self { action: action.to_owned(), resource: resource.to_owned(), context: BTreeMap::new() }
    }

    /// The same with one more circumstance.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.context.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The same without this one.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.context.remove(key);
        self
    }
}

/// One statement of a policy.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its name.
    pub sid: String,
    /// Whether it allows; it denies otherwise.
    pub allows: bool,
    /// With wildcards.
    pub actions: Vec<String>,
    /// With wildcards.
    pub resources: Vec<String>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug)]
struct Condition {
    operator: String,
    key: String,
    values: Vec<String>,
}

/// The directory of the files.
#[must_use]
pub fn directory() -> PathBuf {
    crate::paths::tests_dir().parent().expect("lies in the workspace").join("templates/iam")
}

/// A file of the directory with its `${NAME}`s filled in.
///
/// # Panics
/// When it is missing or a name is left.
#[must_use]
pub fn document(file: &str, names: &[(&str, &str)]) -> Value {
    let mut text = std::fs::read_to_string(directory().join(file)).expect(file);
    for (name, value) in names {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    assert!(!text.contains("${"), "{file} has a name that nothing stands for: {text}");
    serde_json::from_str(&text).expect(file)
}

/// The statements of a document.
///
/// # Panics
/// When it is no policy in the form that is used here.
#[must_use]
pub fn statements(document: &Value) -> Vec<Statement> {
    document["Statement"].as_array().expect("statements").iter().map(statement).collect()
}

fn statement(value: &Value) -> Statement {
    let conditions = value["Condition"].as_object().into_iter().flatten().flat_map(|(operator, keys)| {
        let keys = keys.as_object().expect("keys of a condition");
        keys.iter().map(|(key, values)| Condition {
            operator: operator.clone(),
            key: key.clone(),
            values: texts(values),
        })
    });
    Statement {
        sid: value["Sid"].as_str().expect("a Sid").to_owned(),
        allows: value["Effect"] == "Allow",
        actions: texts(&value["Action"]),
        resources: texts(&value["Resource"]),
        conditions: conditions.collect(),
    }
}

/// One text or a list of them.
///
/// # Panics
/// When it is neither.
#[must_use]
pub fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned();
    value.as_array().map_or_else(|| vec![text(value)], |all| all.iter().map(text).collect())
}

impl Statement {
    /// The same, in as many statements as it has pairs of action and resource.
    #[must_use]
    pub fn each(&self) -> Vec<Self> {
        let of = |action: &String| {
            let action = vec![action.clone()];
            self.resources.iter().map(move |resource| Self {
                actions: action.clone(),
                resources: vec![resource.clone()],
                ..self.clone()
            })
        };
        self.actions.iter().flat_map(of).collect()
    }

    /// Returns whether it matches this check.
    #[must_use]
    pub fn meets(&self, asked: &Asked) -> bool {
        self.actions.iter().any(|it| is_like(&it.to_ascii_lowercase(), &asked.action.to_ascii_lowercase()))
            && self.resources.iter().any(|it| is_like(it, &asked.resource))
            && self.conditions.iter().all(|it| it.holds(asked))
    }
}

impl Condition {
    fn holds(&self, asked: &Asked) -> bool {
        let value = asked.context.get(&self.key);
        let is_one = |is: &dyn Fn(&str, &str) -> bool| {
            value.is_some_and(|value| self.values.iter().any(|wanted| is(wanted, value)))
        };
        match self.operator.as_str() {
            "StringEquals" => is_one(&|wanted, value| wanted == value),
            "StringLike" => is_one(&is_like),
            // True when the key is missing.
            "StringNotEquals" => !is_one(&|wanted, value| wanted == value),
            "Null" => self.values.iter().all(|wanted| (wanted == "true") == value.is_none()),
            other => panic!("the tests do not know what {other} means"),
        }
    }
}

/// Returns whether policies allow a request: one allows it, and none denies it.
#[must_use]
pub fn is_allowed(statements: &[Statement], asked: &Asked) -> bool {
    let meets = |allows: bool| statements.iter().any(|it| it.allows == allows && it.meets(asked));
    meets(true) && !meets(false)
}

/// `*` is any text, `?` any character.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern.len() == text.len()
            && pattern.chars().zip(text.chars()).all(|(one, other)| one == '?' || one == other);
    };
    let Some((begin, rest)) = text.split_at_checked(head.len()) else { return false };
    let ends = || rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    is_like(head, begin) && ends().any(|at| is_like(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(condition: &Value) -> Vec<Statement> {
        let document = json!({"Statement": [{"Sid": "A", "Effect": "Allow", "Action": "ec2:Run*",
            "Resource": ["arn:aws:ec2:*:*:instance/*"], "Condition": condition}]});
        statements(&document)
    }

    fn run() -> Asked {
        Asked::new("ec2:RunInstances", "arn:aws:ec2:us-east-1:1:instance/*")
    }

    #[test]
    fn names_with_wildcards_are_met_by_what_they_stand_for() {
        assert!(is_like("a*c?e*", "abbcdexyz") && is_like("*", "") && is_like("a", "a"));
        assert!(!is_like("a*c", "abd") && !is_like("a?", "a") && !is_like("instance/*", "image/i"));
    }

    #[test]
    fn conditions_are_those_of_aws() {
        let of = |condition: Value, asked: &Asked| is_allowed(&policy(&condition), asked);
        let tagged = run().with("aws:RequestTag/a", "1");
        assert!(of(json!({"Null": {"aws:RequestTag/a": "false"}}), &tagged));
        assert!(!of(json!({"Null": {"aws:RequestTag/a": "false"}}), &run()));
        assert!(of(json!({"StringLike": {"aws:RequestTag/a": ["2", "?"]}}), &tagged));
        assert!(!of(json!({"StringEquals": {"aws:RequestTag/a": ["2", "?"]}}), &tagged));
        assert!(of(json!({"StringNotEquals": {"aws:RequestTag/a": "1"}}), &run()), "a key that is missing");
        assert!(!of(json!({"StringNotEquals": {"aws:RequestTag/a": "1"}}), &tagged));
    }

    #[test]
    fn what_is_denied_is_not_allowed_and_what_nobody_allows_is_denied() {
        let mut all = policy(&json!({}));
        assert!(is_allowed(&all, &run()));
        assert!(!is_allowed(&all, &Asked::new("ec2:StopInstances", "arn:aws:ec2:us-east-1:1:instance/*")));
        assert!(!is_allowed(&all, &Asked::new("ec2:RunInstances", "arn:aws:ec2:us-east-1:1:volume/*")));
        all.push(Statement { allows: false, ..all[0].clone() });
        assert!(!is_allowed(&all, &run()));
    }
}
