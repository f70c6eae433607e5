//! Pull requests, comments and write permissions. Each test ends by validating every exchange against GitHub's
//! description.
#![cfg(feature = "contract")]
#![allow(missing_docs)]

mod common;

use std::collections::BTreeMap;

use cml_world::{CommentOn, Fault, FaultKind, SimGitHub, SimSettings, TokenGrant};
use common::{Api, REPO};
use reqwest::Method;
use serde_json::{Value, json};

async fn refused(api: &Api, method: Method, path: &str, body: Value) -> (u16, Value) {
    let (status, body) = api.call(method, &format!("{REPO}{path}"), body).await;
    let error = &body["errors"][0];
    let said = if error.is_null() { &body["message"] } else { error.get("message").unwrap_or(error) };
    (status, said.clone())
}

fn new_pull(head: &str) -> Value {
    json!({"title": "Report", "head": head, "base": "main", "body": "by cml"})
}

async fn open(api: &Api, head: &str) -> u64 {
    let made = api.post(&format!("{REPO}/pulls"), new_pull(head)).await;
    made["number"].as_u64().expect("a number")
}

#[tokio::test]
async fn a_pull_request_is_opened_found_changed_closed_and_opened_again() {
    let api = Api::start(SimSettings::default()).await;
    assert_eq!(api.sim.open_issue(), 1);
    let head = api.sim.commit_files(&[("metrics.json", b"{}")], "cml/report");
    let number = open(&api, "acme:cml/report").await;
    assert_eq!(number, 2, "issues and pull requests are counted together");
    let path = format!("{REPO}/pulls/{number}");
    let pull = api.get(&path).await;
    assert_eq!((&pull["head"]["sha"], &pull["mergeable_state"]), (&json!(head), &json!("clean")));
    assert_eq!((&pull["commits"], &pull["changed_files"]), (&json!(1), &json!(1)));

    let pulls = format!("{REPO}/pulls");
    for (query, count) in [
        ("", 1),
        ("?head=acme:cml/report", 1),
        ("?head=acme:other", 0),
        ("?head=other", 1),
        ("?base=main&state=all", 1),
        ("?state=closed", 0),
    ] {
        let found = api.get(&format!("{pulls}{query}")).await;
        assert_eq!(found.as_array().map(Vec::len), Some(count), "{query}");
    }
    let later = api.sim.commit_files(&[("metrics.json", b"{\"f1\": 1}")], "cml/report");
    assert_eq!(api.get(&path).await["head"]["sha"], later, "a pull request follows its branch");
    assert_eq!(api.get(&format!("{REPO}/commits/{head}/pulls")).await[0]["number"], number);

    let (status, changed) = api.call(Method::PATCH, &path, json!({"title": "New", "state": "closed"})).await;
    assert_eq!((status, &changed["state"], &changed["title"]), (200, &json!("closed"), &json!("New")));
    assert_eq!(api.get(&pulls).await, json!([]));
    assert_eq!(api.get(&format!("{REPO}/commits/{later}/pulls")).await[0]["state"], "closed");
    assert_eq!(api.call(Method::PATCH, &path, json!({"state": "open"})).await.1["state"], "open");
    api.call(Method::DELETE, &format!("{REPO}/git/refs/heads/cml/report"), Value::Null).await;
    assert_eq!(api.sim.pulls()[0].state, "closed", "a pull request goes with its branch");
    api.keeps_the_contract();
}

#[tokio::test]
async fn a_pull_request_from_a_fork_names_it_until_it_is_deleted() {
    let api = Api::start(SimSettings::default()).await;
    let workflow = "on: pull_request\njobs: {train: {runs-on: gpu, steps: [{run: make}]}}";
    let run = api.sim.queue_from_fork(workflow, "mallory/vision", "mallory").expect("a good workflow");
    let number = api.sim.pulls()[0].number;
    let path = format!("{REPO}/pulls/{number}");
    let pull = api.get(&path).await;
    assert_eq!(pull["head"]["repo"]["full_name"], "mallory/vision");
    assert_eq!(pull["base"]["repo"]["full_name"], "acme/vision");
    assert_eq!((&pull["user"]["login"], &pull["commits"]), (&json!("mallory"), &json!(1)));
    let (of_fork, of_own) = (format!("mallory:change-{number}"), format!("acme:change-{number}"));
    for (head, count) in [(&of_fork, 1), (&of_own, 0)] {
        let found = api.get(&format!("{REPO}/pulls?head={head}")).await;
        assert_eq!(found.as_array().map(Vec::len), Some(count), "{head}");
    }
    // A branch of that name in the repository is another one.
    api.sim.commit_files(&[("a", b"1")], &format!("change-{number}"));
    assert_eq!(api.get(&path).await["head"]["sha"], pull["head"]["sha"]);
    api.sim.forget_fork(run);
    let (alone, listed) = (api.get(&path).await, api.get(&format!("{REPO}/pulls")).await);
    for pull in [&alone, &listed[0]] {
        let (repository, label) = (&pull["head"]["repo"], &pull["head"]["label"]);
        assert_eq!((repository, label.as_str()), (&Value::Null, Some(of_fork.as_str())));
    }
    api.sim.close_pull(number);
    let (status, _) = api.call(Method::PATCH, &path, json!({"state": "open"})).await;
    assert_eq!(status, 422, "what is gone cannot be opened again");
    api.keeps_the_contract();
}

#[tokio::test]
async fn a_pull_request_that_cannot_be_is_refused_in_githubs_words() {
    let api = Api::start(SimSettings::default()).await;
    api.sim.commit_files(&[("a", b"1")], "change");
    let post = |body: Value| refused(&api, Method::POST, "/pulls", body);
    let invalid = |field: &str| json!({"resource": "PullRequest", "field": field, "code": "invalid"});
    assert_eq!(post(new_pull("none")).await, (422, invalid("head")));
    let mut elsewhere = new_pull("change");
    elsewhere["base"] = "none".into();
    assert_eq!(post(elsewhere).await, (422, invalid("base")));
    assert_eq!(post(new_pull("main")).await, (422, json!("No commits between main and main")));
    open(&api, "change").await;
    let twice = post(new_pull("change")).await;
    assert_eq!(twice, (422, json!("A pull request already exists for acme:change.")));
    let untitled = post(json!({"head": "change", "base": "main"})).await;
    assert_eq!((untitled.0, &untitled.1["code"]), (422, &json!("missing_field")));
    api.keeps_the_contract();
}

async fn parents(api: &Api, commit: &Value) -> Vec<Value> {
    let commit = api.get(&format!("{REPO}/git/commits/{}", commit.as_str().expect("a hash"))).await;
    commit["parents"].as_array().expect("a list").iter().map(|parent| parent["sha"].clone()).collect()
}

#[tokio::test]
async fn a_pull_request_is_merged_by_each_method() {
    let api = Api::start(SimSettings::default()).await;
    for method in ["merge", "squash", "rebase"] {
        api.sim.commit_files(&[(method, b"1")], method);
        let head = api.sim.commit_files(&[(method, b"2")], method);
        let before = api.sim.commit_files(&[(&format!("{method}-base"), b"1")], "main");
        let number = open(&api, method).await;
        let path = format!("{REPO}/pulls/{number}/merge");
        let stale = json!({"merge_method": method, "sha": before});
        assert_eq!(api.call(Method::PUT, &path, stale).await.0, 409);
        let (status, done) = api.call(Method::PUT, &path, json!({"merge_method": method, "sha": head})).await;
        assert_eq!((status, &done["merged"]), (200, &json!(true)), "{done}");
        assert_eq!(api.sim.reference("refs/heads/main").as_deref(), done["sha"].as_str());
        assert_eq!(api.sim.file_at("main", method), Some(b"2".to_vec()));
        assert_eq!(api.sim.file_at("main", &format!("{method}-base")), Some(b"1".to_vec()));
        let parents = parents(&api, &done["sha"]).await;
        match method {
            "merge" => assert_eq!(parents, [json!(before), json!(head)]),
            "squash" => assert_eq!(parents, [json!(before)]),
            _ => assert_eq!(self::parents(&api, &parents[0]).await, [json!(before)], "two new commits"),
        }
        assert_eq!(api.call(Method::PUT, &path, json!({})).await.0, 405, "once is enough");
        assert_eq!(api.get(&format!("{REPO}/pulls/{number}")).await["merged"], true);
    }
    api.keeps_the_contract();
}

#[tokio::test]
async fn what_contradicts_its_base_or_is_not_done_is_not_merged() {
    let api = Api::start(SimSettings::default()).await;
    api.sim.commit_files(&[("a", b"1")], "change");
    api.sim.commit_files(&[("a", b"2")], "main");
    let number = open(&api, "change").await;
    assert_eq!(api.get(&format!("{REPO}/pulls/{number}")).await["mergeable"], false);
    let merge = |number: u64| format!("/pulls/{number}/merge");
    let conflict = refused(&api, Method::PUT, &merge(number), json!({})).await;
    assert_eq!(conflict, (405, json!("Pull Request is not mergeable")));
    api.sim.commit_files(&[("b", b"1")], "draft");
    let mut draft = new_pull("draft");
    draft["draft"] = true.into();
    let draft = api.post(&format!("{REPO}/pulls"), draft).await["number"].as_u64().expect("a number");
    let said = refused(&api, Method::PUT, &merge(draft), json!({})).await;
    assert_eq!(said, (405, json!("Pull Request is still a draft")));
    api.sim.close_pull(draft);
    assert_eq!(refused(&api, Method::PUT, &merge(draft), json!({})).await.0, 405);
    api.keeps_the_contract();
}

/// Requests auto-merge of a pull request and returns the answer.
async fn enable_auto_merge(api: &Api, id: &str) -> Value {
    let query = "mutation($id: ID!, $method: PullRequestMergeMethod) { enablePullRequestAutoMerge(input: \
                 {pullRequestId: $id, mergeMethod: $method}) { pullRequest { number } } }";
    let request = api.client.post(format!("{}/api/graphql", api.sim.web_url())).bearer_auth(&api.credential);
    let body = json!({"query": query, "variables": {"id": id, "method": "SQUASH"}});
    let answer = request.json(&body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "errors come with 200");
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn a_pull_request_merges_itself_only_where_it_has_to_wait_and_the_repository_allows_it() {
    for (auto_merge, protected, expected) in [
        (false, true, Some("Auto merge is not allowed for this repository")),
        (true, false, Some("Pull request is in clean status")),
        (true, true, None),
    ] {
        let protected = if protected { vec!["main".to_owned()] } else { Vec::new() };
        let api = Api::start(SimSettings { auto_merge, protected, ..SimSettings::default() }).await;
        api.sim.commit_files(&[("a", b"1")], "change");
        let number = open(&api, "change").await;
        let answer = enable_auto_merge(&api, &api.sim.pulls()[0].node_id).await;
        if let Some(message) = expected {
            let said = answer["errors"][0]["message"].as_str().expect("a message");
            assert!(said.contains(message), "{said}");
            assert_eq!(api.sim.pulls()[0].auto_merge, None);
        } else {
            assert_eq!(answer["data"]["enablePullRequestAutoMerge"]["pullRequest"]["number"], number);
            assert_eq!(api.sim.pulls()[0].auto_merge.as_deref(), Some("squash"));
            let shown = api.get(&format!("{REPO}/pulls/{number}")).await;
            assert_eq!(shown["auto_merge"]["merge_method"], "squash");
            let blocked = refused(&api, Method::PUT, &format!("/pulls/{number}/merge"), json!({})).await;
            assert_eq!(blocked.0, 405, "{}", blocked.1);
        }
        let unknown = enable_auto_merge(&api, "PR_none").await;
        assert_eq!(unknown["errors"][0]["type"], "NOT_FOUND");
        api.keeps_the_contract();
    }
}

fn grant(token: &str, permissions: &[(&str, &str)]) -> TokenGrant {
    let permissions: BTreeMap<String, String> =
        permissions.iter().map(|(name, access)| ((*name).to_owned(), (*access).to_owned())).collect();
    TokenGrant { token: token.to_owned(), login: "mona".to_owned(), permissions: Some(permissions) }
}

#[tokio::test]
async fn a_token_writes_only_what_its_permissions_are_for() {
    let fork = [("issues", "read"), ("pull_requests", "read"), ("contents", "read"), ("checks", "read")];
    let tokens = vec![
        grant("ghs_fork", &fork),
        grant("ghs_pulls", &[("pull_requests", "write")]),
        grant("ghs_contents", &[("contents", "write"), ("checks", "write")]),
        grant("ghp_person", &[("checks", "write")]),
    ];
    let mut api = Api::start(SimSettings { tokens, ..SimSettings::default() }).await;
    let (issue, pull) = (api.sim.open_issue(), api.sim.open_pull(None));
    let head = api.sim.commit_files(&[("a", b"1")], "change");
    let writes = [
        (format!("/issues/{issue}/comments"), json!({"body": "hello"})),
        (format!("/issues/{pull}/comments"), json!({"body": "hello"})),
        ("/pulls".to_owned(), new_pull("change")),
        (format!("/commits/{head}/comments"), json!({"body": "hello"})),
        ("/git/blobs".to_owned(), json!({"content": "a"})),
        ("/check-runs".to_owned(), json!({"name": "cml", "head_sha": head})),
    ];
    for (token, allowed) in [
        ("ghs_fork", [false, false, false, false, false, false]),
        ("ghs_pulls", [false, true, true, false, false, false]),
        ("ghs_contents", [false, false, false, true, true, true]),
    ] {
        token.clone_into(&mut api.credential);
        for ((path, body), allowed) in writes.iter().zip(allowed) {
            let (status, said) = refused(&api, Method::POST, path, body.clone()).await;
            let expected = if allowed { 201 } else { 403 };
            assert_eq!(status, expected, "{token} {path}: {said}");
            assert!(allowed || said == "Resource not accessible by integration", "{said}");
        }
    }
    "ghp_person".clone_into(&mut api.credential);
    let (path, body) = &writes[5];
    let said = refused(&api, Method::POST, path, body.clone()).await;
    assert_eq!(said, (403, json!("You must authenticate via a GitHub App.")));
    let authors: Vec<String> = api.sim.comments().into_iter().map(|comment| comment.author).collect();
    assert_eq!(authors, ["mona", "mona"]);
    "ghs_fork".clone_into(&mut api.credential);
    assert_eq!(api.get(&format!("{REPO}/issues/{pull}/comments")).await.as_array().map(Vec::len), Some(1));
    api.keeps_the_contract();
}

fn fail_comments(sim: &SimGitHub, kind: FaultKind) {
    let (method, path_contains) = ("POST".to_owned(), "/comments".to_owned());
    sim.fail_next(Fault { method, path_contains, kind, times: 1 });
}

#[tokio::test]
async fn a_comment_can_fail_before_and_after_it_was_written() {
    let api = Api::start(SimSettings::default()).await;
    let pull = api.sim.open_pull(None);
    let path = format!("{REPO}/issues/{pull}/comments");
    let bad_gateway = || "<html>502 Bad Gateway</html>".to_owned();
    for (kind, status, written) in [
        (FaultKind::Status(502, bad_gateway()), 502, 0),
        (FaultKind::StatusAfterDoing(502, bad_gateway()), 502, 1),
        (FaultKind::secondary_rate_limit(1), 403, 1),
    ] {
        fail_comments(&api.sim, kind);
        let answer = api.request(Method::POST, &path).json(&json!({"body": "hello"})).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), status);
        if status == 403 {
            assert_eq!(answer.headers()["retry-after"], "1");
            assert!(answer.text().await.expect("a body").contains("secondary rate limit"));
        }
        assert_eq!(api.sim.comments().len(), written);
    }
    for (kind, written) in [(FaultKind::DropBeforeDoing, 1), (FaultKind::DropAfterDoing, 2)] {
        fail_comments(&api.sim, kind);
        let cut = api.request(Method::POST, &path).json(&json!({"body": "hello"})).send().await;
        assert!(cut.is_err(), "the connection is cut");
        assert_eq!(api.sim.comments().len(), written);
    }
    let seen = &api.sim.comments()[0];
    assert_eq!((&seen.on, seen.body.as_str()), (&CommentOn::Issue(pull), "hello"));
    assert_eq!(seen.url, format!("{}/pull/{pull}#issuecomment-{}", api.sim.repo_url(), seen.id));
    let changed = format!("{REPO}/issues/comments/{}", seen.id);
    assert_eq!(api.call(Method::PATCH, &changed, json!({"body": "new"})).await.0, 200);
    let after = &api.sim.comments()[0];
    assert!(after.updated_at > seen.updated_at && after.created_at == seen.created_at);
    api.keeps_the_contract();
}
