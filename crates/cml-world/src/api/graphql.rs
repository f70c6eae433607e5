//! The one operation that GitHub offers by GraphQL only: auto-merge of a pull request.
//!
//! No GraphQL is parsed here except the arguments of that mutation, and the answer has every field that a caller may
//! have requested.

use serde_json::{Value, json};

use super::auth::{self, Caller};
use super::merging::{self, Mergeability};
use crate::http::{Reply, Request};
use crate::world::World;

const MUTATION: &str = "enablePullRequestAutoMerge";

/// `POST /graphql`
pub(crate) fn answer(world: &mut World, caller: &Caller, request: &Request) -> Reply {
    let body = match request.json() {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let query = body["query"].as_str().unwrap_or_default();
    if !query.contains(MUTATION) {
        let message = "The simulated GitHub knows the mutation enablePullRequestAutoMerge only";
        return Reply::json(200, &json!({"errors": [{"message": message}]}));
    }
    let argument = |name: &str| argument(query, &body["variables"], name);
    match enable(world, caller, argument("pullRequestId"), argument("mergeMethod")) {
        Ok(pull) => {
            let done = json!({"clientMutationId": null, "pullRequest": pull});
            Reply::json(200, &json!({"data": {MUTATION: done}}))
        }
        Err((kind, message)) => {
            let error = json!({"type": kind, "path": [MUTATION], "message": message});
            Reply::json(200, &json!({"data": {MUTATION: null}, "errors": [error]}))
        }
    }
}

/// Enables auto-merge and returns the pull request, or the error's type and message.
fn enable(
    world: &mut World,
    caller: &Caller,
    id: Option<String>,
    method: Option<String>,
) -> Result<Value, (&'static str, String)> {
    let refused = |message: &str| ("UNPROCESSABLE", message.to_owned());
    let id = id.unwrap_or_default();
    let method = method.unwrap_or_else(|| "MERGE".to_owned());
    let Some(pull) = world.pulls.values().find(|pull| pull.node_id() == id) else {
        return Err(("NOT_FOUND", format!("Could not resolve to a node with the global id of '{id}'.")));
    };
    if !auth::may_write(caller, "pull_requests") || !auth::may_write(caller, "contents") {
        return Err(("FORBIDDEN", "Resource not accessible by integration".to_owned()));
    }
    if !["MERGE", "SQUASH", "REBASE"].contains(&method.as_str()) {
        return Err(refused(&format!("{method} is no PullRequestMergeMethod")));
    }
    if !world.settings.auto_merge {
        return Err(refused("Pull request Auto merge is not allowed for this repository"));
    }
    if !pull.open {
        return Err(refused("Pull request is closed"));
    }
    match merging::mergeability(world, pull) {
        // The sentence is repeated, as GitHub does:
        // https://github.com/peter-evans/enable-pull-request-automerge/issues/1118
        Mergeability::Clean => return Err(refused("Pull request Pull request is in clean status")),
        Mergeability::Draft => return Err(refused("Pull request Pull request is in draft status")),
        Mergeability::Dirty => return Err(refused("Pull request Pull request is in dirty status")),
        Mergeability::Blocked => {}
    }
    let number = pull.number;
    if let Some(pull) = world.pulls.get_mut(&number) {
        pull.auto_merge = Some(method.to_ascii_lowercase());
    }
    Ok(json!({"id": id, "number": number, "autoMergeRequest": {"mergeMethod": method}}))
}

/// Returns the value of an argument: written in the query, or a variable, or a field of the variable `input`.
fn argument(query: &str, variables: &Value, name: &str) -> Option<String> {
    let written =
        query.split_once(name).map(|(_, rest)| rest.trim_start().trim_start_matches(':').trim_start());
    let value = match written {
        Some(text) if text.starts_with('$') => &variables[word(&text[1..])],
        Some(text) => return Some(word(text.trim_start_matches('"')).to_owned()),
        None => variables.as_object()?.values().find_map(|input| input.get(name))?,
    };
    value.as_str().map(str::to_owned)
}

/// Returns the name or the node id at the beginning of a text.
fn word(text: &str) -> &str {
    let end = text.find(|one: char| !(one.is_ascii_alphanumeric() || "_-=".contains(one)));
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_found_however_they_are_written() {
        let written = r#"mutation { m(input: {pullRequestId: "PR_a-b", mergeMethod: SQUASH}) { id } }"#;
        assert_eq!(argument(written, &Value::Null, "pullRequestId").as_deref(), Some("PR_a-b"));
        assert_eq!(argument(written, &Value::Null, "mergeMethod").as_deref(), Some("SQUASH"));
        let named = "mutation($id: ID!) { m(input: {pullRequestId: $id}) { id } }";
        assert_eq!(argument(named, &json!({"id": "PR_1"}), "pullRequestId").as_deref(), Some("PR_1"));
        let whole = "mutation($in: EnablePullRequestAutoMergeInput!) { m(input: $in) { id } }";
        let variables = json!({"in": {"pullRequestId": "PR_2"}});
        assert_eq!(argument(whole, &variables, "pullRequestId").as_deref(), Some("PR_2"));
        assert_eq!(argument(whole, &variables, "mergeMethod"), None);
    }
}
