//! Validation of exchanges against GitHub's own OpenAPI description, so that neither our client nor this simulator
//! drifts from it.
//!
//! `openapi/github-slice.json` is an extract of that description; openapi/README.md documents how it is made and its
//! source.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::exchange::Exchange;

const SLICE: &str = include_str!("../openapi/github-slice.json");

/// Fields that GitHub answers with `null` although its description does not allow it: the head repository, once that
/// fork is deleted.
/// <https://github.com/github/rest-api-description/issues/1586> (runs),
/// <https://github.com/github/rest-api-description/issues/1811> (pull requests)
const NULL_ALL_THE_SAME: [&str; 3] = [
    "/components/schemas/workflow-run/properties/head_repository",
    "/components/schemas/pull-request/properties/head/properties/repo",
    "/components/schemas/pull-request-simple/properties/head/properties/repo",
];

/// A deviation from GitHub's description.
#[derive(Clone, PartialEq, Eq)]
pub struct Violation {
    /// Method, path and status of the exchange, or the webhook's name.
    pub exchange: String,
    /// Position in it, as a JSON pointer; empty for the whole.
    pub pointer: String,
    /// What is wrong. Values are left out: they may be secret.
    pub wrong: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} {}", self.exchange, self.pointer, self.wrong)
    }
}

impl fmt::Debug for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Returns all violations in these exchanges: requests of the client and answers of the simulator. The answer of an
/// injected fault is not GitHub's and is not checked.
#[must_use]
pub fn violations(exchanges: &[Exchange]) -> Vec<Violation> {
    exchanges.iter().flat_map(of_exchange).collect()
}

/// Returns all violations in a `workflow_job` payload.
#[must_use]
pub fn webhook_violations(payload: &Value) -> Vec<Violation> {
    let action = payload["action"].as_str().unwrap_or_default();
    let report = Report { exchange: format!("webhook workflow_job {action}"), found: Vec::new() };
    match slice()["x-webhooks"].get(action.replace('_', "-")) {
        Some(schema) => report.valid("the payload", schema, payload).found,
        None => report.wrong("", "no such action is described").found,
    }
}

struct Report {
    exchange: String,
    found: Vec<Violation>,
}

impl Report {
    fn wrong(mut self, pointer: &str, wrong: impl Into<String>) -> Self {
        let exchange = self.exchange.clone();
        self.found.push(Violation { exchange, pointer: pointer.to_owned(), wrong: wrong.into() });
        self
    }

    fn valid(mut self, part: &str, schema: &Value, instance: &Value) -> Self {
        let validator = validator(schema);
        let found: Vec<(String, String)> = validator
            .iter_errors(instance)
            .map(|error| {
                (error.instance_path().to_string(), format!("({part}) breaks {}", error.schema_path()))
            })
            .collect();
        for (pointer, wrong) in found {
            self = self.wrong(&pointer, wrong);
        }
        self
    }
}

fn of_exchange(exchange: &Exchange) -> Vec<Violation> {
    // GraphQL has a schema of its own.
    if exchange.path == "/graphql" {
        return Vec::new();
    }
    let name = format!("{} {} -> {}", exchange.method, exchange.path, exchange.status);
    let report = Report { exchange: name, found: Vec::new() };
    let method = exchange.method.to_ascii_lowercase();
    let Some(operation) = operation(&method, &exchange.path) else {
        // GitHub answers an unknown operation with 404, and so must the simulator.
        return if exchange.status == 404 {
            report.found
        } else {
            report.wrong("", "no such operation is described").found
        };
    };
    let report = request(report, operation, exchange);
    if exchange.faulted || exchange.status == 0 {
        return report.found;
    }
    answer(report, operation, exchange).found
}

fn request(mut report: Report, operation: &'static Value, exchange: &Exchange) -> Report {
    let known: Vec<&str> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(resolved)
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    for pair in exchange.query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or(pair);
        if !known.contains(&name) {
            report = report.wrong("", format!("the query parameter {name} is not described"));
        }
    }
    // The answer to a bad request reports that itself; the check is that a good answer had a good request.
    if exchange.status >= 400 {
        return report;
    }
    let body = resolved(&operation["requestBody"]);
    let schema = &body["content"]["application/json"]["schema"];
    if exchange.request_body.is_empty() {
        return if body["required"] == true { report.wrong("", "a body is required") } else { report };
    }
    match (serde_json::from_slice(&exchange.request_body), schema) {
        (Ok(sent), schema) if !schema.is_null() => report.valid("the request", schema, &sent),
        // A body where none is described: GitHub ignores it.
        (Ok(_), _) => report,
        (Err(_), _) => report.wrong("", "the request is no JSON"),
    }
}

fn answer(report: Report, operation: &'static Value, exchange: &Exchange) -> Report {
    let status = exchange.status.to_string();
    let body: Option<Value> = serde_json::from_slice(&exchange.response_body).ok();
    let described = operation["responses"].get(&status).map(resolved);
    let schema = described.map(|response| &response["content"]["application/json"]["schema"]);
    match (exchange.status, schema, body) {
        (204 | 304, _, _) if exchange.response_body.is_empty() => report,
        (204 | 304, ..) => report.wrong("", "this status has no body"),
        (_, Some(schema), Some(body)) if !schema.is_null() => report.valid("the answer", schema, &body),
        (_, Some(Value::Null), _) => report,
        (_, Some(_), _) => report.wrong("", "the answer is no JSON"),
        // Any operation may be refused; all refusals have a message in common.
        (400.., None, Some(body)) if body["message"].is_string() => report,
        (_, None, _) => report.wrong("", "this status is not described"),
    }
}

fn slice() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut document: Value = serde_json::from_str(SLICE).unwrap_or_default();
        for pointer in NULL_ALL_THE_SAME {
            if let Some(schema) = document.pointer_mut(pointer) {
                schema["nullable"] = true.into();
            }
        }
        as_json_schema(&mut document);
        document
    })
}

/// Converts OpenAPI 3.0 to JSON Schema: `nullable` becomes a type `null`. And `oneOf` becomes `anyOf`: an error's
/// alternatives have no required fields, so that every error fits several of them.
fn as_json_schema(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(as_json_schema),
        Value::Object(map) => {
            map.values_mut().for_each(as_json_schema);
            if let Some(alternatives) = map.remove("oneOf") {
                map.insert("anyOf".to_owned(), alternatives);
            }
            if map.get("nullable") == Some(&Value::Bool(true)) {
                let mut bare = Map::new();
                std::mem::swap(map, &mut bare);
                bare.remove("nullable");
                map.insert("anyOf".to_owned(), json!([{"type": "null"}, bare]));
            }
        }
        _ => {}
    }
}

/// Returns the value itself, or the target of its `$ref`.
fn resolved(value: &'static Value) -> &'static Value {
    match value.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => slice().pointer(pointer).map_or(value, resolved),
        None => value,
    }
}

/// Returns the operation of a path: of several templates that match, the one with most literal segments.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = slice()["paths"].as_object()?;
    let fitting = paths.iter().filter_map(|(template, operations)| {
        let words = fits(template, path)?;
        Some((words, operations.get(method)?))
    });
    fitting.max_by_key(|(words, _)| *words).map(|(_, operation)| operation)
}

/// Returns the number of literal segments of the template, when the path matches it. Paths in a repository and names of
/// references may contain slashes.
fn fits(template: &str, path: &str) -> Option<usize> {
    let template: Vec<&str> = template.trim_matches('/').split('/').collect();
    let path: Vec<&str> = path.trim_matches('/').split('/').collect();
    let last_takes_all = matches!(template.last(), Some(&("{path}" | "{ref}")));
    let length_fits = path.len() == template.len() || (last_takes_all && path.len() > template.len());
    let words_fit = template.iter().zip(&path).all(|(of, it)| of.starts_with('{') || of == it);
    (length_fits && words_fit).then(|| template.iter().filter(|word| !word.starts_with('{')).count())
}

/// Returns the compiled schema; compiled once, since most exchanges are alike.
fn validator(schema: &Value) -> Arc<Validator> {
    static COMPILED: OnceLock<Mutex<HashMap<String, Arc<Validator>>>> = OnceLock::new();
    let compiled = COMPILED.get_or_init(Mutex::default);
    let key = schema.to_string();
    if let Some(known) = compiled.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Arc::clone(known);
    }
    let whole = json!({"allOf": [schema], "components": slice()["components"]});
    let made = jsonschema::options().with_draft(jsonschema::Draft::Draft7).build(&whole);
    // The extract is part of this crate: one that does not compile is a defect of the build.
    let made =
        Arc::new(made.unwrap_or_else(|error| panic!("openapi/github-slice.json does not compile: {error}")));
    compiled.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&made));
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    const JIT: &str = "/repos/acme/vision/actions/runners/generate-jitconfig";

    fn exchange(method: &str, path: &str, sent: &str, status: u16, answered: &str) -> Exchange {
        Exchange {
            at: Timestamp::UNIX_EPOCH,
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            request_headers: Vec::new(),
            request_body: sent.as_bytes().to_vec(),
            status,
            response_headers: Vec::new(),
            response_body: answered.as_bytes().to_vec(),
            faulted: false,
        }
    }

    const RUNNER: &str = r#"{"id":1,"name":"a","os":"linux","status":"online","busy":false,"labels":[]}"#;

    fn wrong(exchange: Exchange) -> Vec<String> {
        violations(&[exchange]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_exchange_is_good() {
        let answered = format!(r#"{{"runner":{RUNNER},"encoded_jit_config":"abc"}}"#);
        let sent = r#"{"name":"a","runner_group_id":1,"labels":["gpu"]}"#;
        assert_eq!(wrong(exchange("POST", JIT, sent, 201, &answered)), Vec::<String>::new());
    }

    #[test]
    fn a_drift_of_the_client_or_of_the_simulator_is_caught() {
        let answered = format!(r#"{{"runner":{RUNNER},"encoded_jit_config":"abc"}}"#);
        let no_labels = wrong(exchange("POST", JIT, r#"{"name":"a","runner_group_id":1}"#, 201, &answered));
        assert!(no_labels.len() == 1 && no_labels[0].contains("(the request) breaks"), "{no_labels:?}");
        let sent = r#"{"name":"a","runner_group_id":1,"labels":["gpu"]}"#;
        let no_name = answered.replace(r#""name":"a","#, "");
        assert!(wrong(exchange("POST", JIT, sent, 201, &no_name))[0].contains("(the answer) breaks"));
        assert!(wrong(exchange("POST", JIT, sent, 200, &answered))[0].contains("status is not described"));
        assert!(wrong(exchange("PUT", JIT, sent, 200, "{}"))[0].contains("no such operation"));
        assert!(wrong(exchange("POST", JIT, "name=a", 201, &answered))[0].contains("no JSON"));
        let mut asked = exchange("GET", "/repos/acme/vision/actions/runners/1", "", 200, RUNNER);
        assert_eq!(wrong(asked.clone()), Vec::<String>::new());
        asked.query = "colour=blue".to_owned();
        assert!(wrong(asked)[0].contains("the query parameter colour"));
        let removed = exchange("DELETE", "/repos/acme/vision/actions/runners/1", "", 204, "{}");
        assert!(wrong(removed)[0].contains("no body"));
    }

    #[test]
    fn a_webhook_payload_is_checked_too() {
        assert!(!webhook_violations(&json!({"action": "queued"})).is_empty());
        assert!(!webhook_violations(&json!({"action": "slept"})).is_empty());
    }

    #[test]
    fn what_is_exempted_is_in_the_description_and_may_not_be_null_by_it() {
        let document: Value = serde_json::from_str(SLICE).expect("is JSON");
        for pointer in NULL_ALL_THE_SAME {
            let schema = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not there"));
            assert_eq!(schema.get("nullable"), None, "{pointer} needs no exemption any more");
        }
    }

    #[test]
    fn what_may_be_null_may_be_null() {
        let mut schema = json!({"type": "string", "nullable": true});
        as_json_schema(&mut schema);
        assert!(validator(&schema).is_valid(&Value::Null) && !validator(&schema).is_valid(&json!(1)));
    }
}
