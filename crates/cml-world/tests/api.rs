//! The simulated GitHub as any client sees it. Each test ends by validating every exchange against GitHub's own
//! description.
#![cfg(feature = "contract")]
#![allow(missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cml_world::{SimApp, SimSettings, TokenGrant, Webhook, contract};
use common::{Api, REPO};
use reqwest::Method;
use serde_json::{Value, json};

const WORKFLOW: &str = "name: train\non: push\njobs:\n  train:\n    runs-on: [self-hosted, gpu]\n    steps:\n      - run: make\n";

#[tokio::test]
async fn runners_are_registered_listed_and_removed() {
    let api = Api::start(SimSettings::default()).await;
    let body = json!({"name": "one", "runner_group_id": 1, "labels": ["gpu"]});
    let made = api.post(&format!("{REPO}/actions/runners/generate-jitconfig"), body.clone()).await;
    let blob = STANDARD.decode(made["encoded_jit_config"].as_str().expect("a blob")).expect("base64");
    let files: Value = serde_json::from_slice(&blob).expect("JSON");
    for file in [".runner", ".credentials", ".credentials_rsaparams"] {
        assert!(files[file].is_string(), "no {file}");
    }
    let (status, _) =
        api.call(Method::POST, &format!("{REPO}/actions/runners/generate-jitconfig"), body).await;
    assert_eq!(status, 409, "the name is taken");
    let (status, _) = api
        .call(Method::POST, &format!("{REPO}/actions/runners/generate-jitconfig"), json!({"name": "two"}))
        .await;
    assert_eq!(status, 422);
    assert_eq!(api.get(&format!("{REPO}/actions/runners?name=ONE")).await["total_count"], 1);
    let id = made["runner"]["id"].as_u64().expect("an id");
    let path = format!("{REPO}/actions/runners/{id}");
    assert_eq!(api.get(&path).await["status"], "offline");
    assert_eq!(api.call(Method::DELETE, &path, Value::Null).await.0, 204);
    assert_eq!(api.call(Method::GET, &path, Value::Null).await.0, 404);
    for scope in [REPO, "/orgs/acme", "/enterprises/acme-inc"] {
        let packages = api.get(&format!("{scope}/actions/runners/downloads")).await;
        assert_eq!(packages[0]["sha256_checksum"].as_str().map(str::len), Some(64));
        for kind in ["registration-token", "remove-token"] {
            assert!(
                api.post(&format!("{scope}/actions/runners/{kind}"), Value::Null).await["token"].is_string()
            );
        }
    }
    assert_eq!(api.get("/orgs/acme/actions/runner-groups").await["runner_groups"][0]["name"], "Default");
    api.keeps_the_contract();
}

#[tokio::test]
async fn runs_and_jobs_are_shown_cancelled_and_run_again() {
    let api = Api::start(SimSettings::default()).await;
    let run = api.sim.queue_workflow(WORKFLOW).expect("a good workflow");
    let path = format!("{REPO}/actions/runs/{run}");
    assert_eq!(api.get(&path).await["status"], "queued");
    assert_eq!(api.get(&format!("{REPO}/actions/runs?status=queued")).await["total_count"], 1);
    let jobs = api.get(&format!("{path}/jobs")).await;
    assert_eq!(jobs["jobs"][0]["labels"], json!(["self-hosted", "gpu"]));
    let job = jobs["jobs"][0]["id"].as_u64().expect("an id");
    assert_eq!(api.get(&format!("{REPO}/actions/jobs/{job}")).await["status"], "queued");
    let (status, _) = api.call(Method::POST, &format!("{path}/rerun-failed-jobs"), Value::Null).await;
    assert_eq!(status, 403, "a run that is not over is not run again");
    assert_eq!(api.call(Method::POST, &format!("{path}/cancel"), Value::Null).await.0, 202);
    assert_eq!(api.get(&path).await["conclusion"], "cancelled");
    assert_eq!(api.call(Method::POST, &format!("{path}/rerun"), Value::Null).await.0, 201);
    assert_eq!(api.get(&format!("{path}/attempts/2")).await["run_attempt"], 2);
    assert_eq!(api.get(&format!("{path}/attempts/1/jobs")).await["jobs"][0]["id"], job);
    assert_eq!(api.get(&format!("{path}/jobs?filter=all")).await["total_count"], 2);
    api.keeps_the_contract();
}

#[tokio::test]
async fn a_run_names_its_fork_until_that_is_deleted() {
    let api = Api::start(SimSettings::default()).await;
    let own = api.sim.queue_workflow(WORKFLOW).expect("a good workflow");
    let run = api.sim.queue_from_fork(WORKFLOW, "mallory/vision", "mallory").expect("a good workflow");
    let other = api.sim.queue_from_fork(WORKFLOW, "eve/vision", "eve").expect("a good workflow");
    let path = |run| format!("{REPO}/actions/runs/{run}");
    let shown = api.get(&path(run)).await;
    assert_eq!((&shown["event"], &shown["actor"]["login"]), (&json!("pull_request"), &json!("mallory")));
    assert_eq!(shown["repository"]["full_name"], "acme/vision");
    let head = &shown["head_repository"];
    assert_eq!((&head["full_name"], &head["fork"]), (&json!("mallory/vision"), &json!(true)));
    assert_eq!((&head["name"], &head["owner"]["login"]), (&json!("vision"), &json!("mallory")));
    assert_eq!(shown["pull_requests"], json!([]), "GitHub names none for a fork");
    for run in [run, own] {
        api.sim.forget_fork(run);
    }
    let listed = api.get(&format!("{REPO}/actions/runs?event=pull_request")).await;
    let heads = |at: usize| &listed["workflow_runs"][at]["head_repository"];
    assert_eq!((heads(0)["full_name"].as_str(), heads(1)), (Some("eve/vision"), &Value::Null), "{other}");
    assert_eq!(api.get(&path(own)).await["head_repository"]["full_name"], "acme/vision");
    api.keeps_the_contract();
}

#[tokio::test]
async fn each_attempt_of_a_run_names_who_started_it() {
    let grant = TokenGrant { token: "hers".to_owned(), login: "mona".to_owned(), permissions: None };
    let settings = SimSettings { tokens: vec![grant], ..SimSettings::default() };
    let mut api = Api::start(settings).await;
    let run = api.sim.queue_workflow(WORKFLOW).expect("a good workflow");
    let path = format!("{REPO}/actions/runs/{run}");
    assert!(!api.sim.rerun_by(run, "mallory"), "the first attempt is not over");
    let cancel = async |api: &Api| api.call(Method::POST, &format!("{path}/cancel"), Value::Null).await.0;
    assert_eq!(cancel(&api).await, 202);
    assert!(api.sim.rerun_by(run, "mallory"));
    assert_eq!(cancel(&api).await, 202);
    api.credential = "hers".to_owned();
    assert_eq!(api.call(Method::POST, &format!("{path}/rerun"), Value::Null).await.0, 201);
    for (attempt, login) in [(1, "acme"), (2, "mallory"), (3, "mona")] {
        let shown = api.get(&format!("{path}/attempts/{attempt}")).await;
        let logins = (&shown["actor"]["login"], &shown["triggering_actor"]["login"]);
        assert_eq!(logins, (&json!("acme"), &json!(login)), "attempt {attempt}");
    }
    assert_eq!(api.get(&path).await["triggering_actor"]["login"], "mona");
    api.keeps_the_contract();
}

#[tokio::test]
async fn comments_checks_and_statuses_are_kept() {
    let api = Api::start(SimSettings::default()).await;
    let head = api.get(&format!("{REPO}/git/ref/heads/main")).await["object"]["sha"]
        .as_str()
        .expect("a SHA")
        .to_owned();
    let number = api.sim.open_pull(Some(&head));
    assert_eq!(api.get(&format!("{REPO}/commits/{head}/pulls")).await[0]["number"], number);

    let made = api.post(&format!("{REPO}/issues/{number}/comments"), json!({"body": "# Report"})).await;
    let comment = format!("{REPO}/issues/comments/{}", made["id"]);
    assert_eq!(api.call(Method::PATCH, &comment, json!({"body": "# New"})).await.0, 200);
    assert_eq!(api.get(&format!("{REPO}/issues/{number}/comments")).await[0]["body"], "# New");
    assert_eq!(api.call(Method::DELETE, &comment, Value::Null).await.0, 204);

    let made = api.post(&format!("{REPO}/commits/{head}/comments"), json!({"body": "seen"})).await;
    let comment = format!("{REPO}/comments/{}", made["id"]);
    assert_eq!(api.call(Method::PATCH, &comment, json!({"body": "seen twice"})).await.0, 200);
    assert_eq!(api.get(&comment).await["body"], "seen twice");

    let check = json!({"name": "cml", "head_sha": head, "status": "in_progress"});
    let made = api.post(&format!("{REPO}/check-runs"), check).await;
    let ended = json!({"status": "completed", "conclusion": "success", "output": {"title": "Report", "summary": "good"}});
    let path = format!("{REPO}/check-runs/{}", made["id"]);
    let (status, body) = api.call(Method::PATCH, &path, ended).await;
    assert_eq!((status, &body["conclusion"]), (200, &json!("success")));

    let check = json!({"name": "cml", "head_sha": head, "status": "queued"});
    let second = api.post(&format!("{REPO}/check-runs"), check).await;
    let listed = api.get(&format!("{REPO}/commits/{head}/check-runs?check_name=cml")).await;
    assert_eq!((&listed["total_count"], &listed["check_runs"][0]["id"]), (&json!(1), &second["id"]));
    let listed = api.get(&format!("{REPO}/commits/main/check-runs?filter=all&status=completed")).await;
    assert_eq!(listed["check_runs"][0]["id"], made["id"]);
    let seen = &api.sim.check_runs()[0];
    assert_eq!((seen.conclusion.as_deref(), seen.summary.as_deref()), (Some("success"), Some("good")));

    let sent = json!({"state": "success", "context": "cml"});
    assert_eq!(api.post(&format!("{REPO}/statuses/{head}"), sent).await["context"], "cml");
    assert_eq!(api.get(&format!("{REPO}/commits/{head}/statuses")).await[0]["state"], "success");
    api.keeps_the_contract();
}

#[tokio::test]
async fn files_are_written_by_contents_and_by_git_objects() {
    let api = Api::start(SimSettings::default()).await;
    let write = json!({"message": "add", "content": STANDARD.encode("hello"), "branch": "main"});
    let path = format!("{REPO}/contents/docs/a.txt");
    let (status, made) = api.call(Method::PUT, &path, write.clone()).await;
    assert_eq!(status, 201);
    let (status, _) = api.call(Method::PUT, &path, write).await;
    assert!(matches!(status, 409 | 422), "replacing takes the SHA of what is there: {status}");
    let again =
        json!({"message": "change", "content": STANDARD.encode("bye"), "sha": made["content"]["sha"]});
    assert_eq!(api.call(Method::PUT, &path, again).await.0, 200);
    let read = api.get(&path).await;
    let content: String = read["content"].as_str().expect("content").split_whitespace().collect();
    assert_eq!(STANDARD.decode(content).expect("base64"), b"bye");
    assert_eq!(api.call(Method::GET, &format!("{REPO}/contents/none"), Value::Null).await.0, 404);

    let blob = api.post(&format!("{REPO}/git/blobs"), json!({"content": "plot", "encoding": "utf-8"})).await;
    let entry = json!({"path": "plot.svg", "mode": "100644", "type": "blob", "sha": blob["sha"]});
    let tree = api.post(&format!("{REPO}/git/trees"), json!({"tree": [entry]})).await;
    let commit = json!({"message": "plots", "tree": tree["sha"], "parents": []});
    let commit = api.post(&format!("{REPO}/git/commits"), commit).await;
    let reference = json!({"ref": "refs/cml/assets", "sha": commit["sha"]});
    api.post(&format!("{REPO}/git/refs"), reference).await;
    assert_eq!(api.get(&format!("{REPO}/git/ref/cml/assets")).await["object"]["sha"], commit["sha"]);
    api.keeps_the_contract();
}

fn jwt(app: u64, now: i64) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"iss": app.to_string(), "iat": now - 60, "exp": now + 500});
    format!("{}.{}.c2lnbmVk", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims))
}

#[tokio::test]
async fn an_app_gets_tokens_with_its_permissions_only() {
    let permissions = BTreeMap::from([
        ("checks".to_owned(), "write".to_owned()),
        ("metadata".to_owned(), "read".to_owned()),
    ]);
    let app = SimApp { id: 7, installation_id: 70, permissions };
    let mut api = Api::start(SimSettings { app: Some(app), ..SimSettings::default() }).await;
    let (status, _) = api.call(Method::GET, "/app", Value::Null).await;
    assert_eq!(status, 401, "a token is no App");
    #[allow(clippy::disallowed_methods, reason = "a JWT carries the time")]
    let now = jiff::Timestamp::now().as_second();
    api.credential = jwt(7, now);
    assert_eq!(api.get("/app").await["id"], 7);
    assert_eq!(api.get(&format!("{REPO}/installation")).await["id"], 70);
    let made = api.post("/app/installations/70/access_tokens", json!({})).await;
    api.credential = made["token"].as_str().expect("a token").to_owned();
    let (status, body) = api.call(Method::GET, &format!("{REPO}/actions/runners"), Value::Null).await;
    assert_eq!(status, 403, "{body}");
    api.credential = "wrong".to_owned();
    let (status, body) = api.call(Method::GET, &format!("{REPO}/actions/runners"), Value::Null).await;
    assert_eq!((status, &body["message"]), (401, &json!("Bad credentials")));
    api.keeps_the_contract();
}

#[tokio::test]
async fn what_the_caller_has_already_is_not_sent_again_and_is_free() {
    let api = Api::start(SimSettings { rate_limit: 2, ..SimSettings::default() }).await;
    let path = format!("{REPO}/actions/runners");
    let first = api.request(Method::GET, &path).send().await.expect("an answer");
    let tag = first.headers()["etag"].clone();
    assert_eq!(first.headers()["x-ratelimit-remaining"], "1");
    let second =
        api.request(Method::GET, &path).header("if-none-match", tag).send().await.expect("an answer");
    assert_eq!(
        (second.status().as_u16(), &second.headers()["x-ratelimit-remaining"]),
        (304, &"1".parse().expect("a value"))
    );
    assert_eq!(api.call(Method::GET, &path, Value::Null).await.0, 200);
    let (status, body) = api.call(Method::GET, &path, Value::Null).await;
    assert_eq!(status, 403, "{body}");
    assert_eq!(api.get("/rate_limit").await["resources"]["core"]["remaining"], 0);
    api.keeps_the_contract();
}

/// Receives one webhook delivery and returns its headers in lower case and its body.
async fn received(listener: &tokio::net::TcpListener) -> (BTreeMap<String, String>, Vec<u8>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut stream, _) = tokio::time::timeout(Duration::from_secs(10), listener.accept())
        .await
        .expect("a delivery comes")
        .expect("accepts");
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 16_384];
        let length = stream.read(&mut buffer).await.expect("reads");
        bytes.extend_from_slice(&buffer[..length]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let headers: BTreeMap<String, String> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length: usize =
            headers.get("content-length").and_then(|text| text.parse().ok()).expect("a length");
        if bytes.len() >= end + 4 + length {
            stream
                .write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await
                .expect("answers");
            return (headers, bytes[end + 4..].to_vec());
        }
    }
}

#[tokio::test]
async fn a_webhook_of_a_strangers_job_names_its_sender_and_no_head_repository() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
    let hook = Webhook { url, secret: "a secret".to_owned() };
    let api = Api::start(SimSettings { webhook: Some(hook), ..SimSettings::default() }).await;
    api.sim.queue_from_fork(WORKFLOW, "mallory/vision", "mallory").expect("a good workflow");
    let payload: Value = serde_json::from_slice(&received(&listener).await.1).expect("JSON");
    assert_eq!(contract::webhook_violations(&payload), []);
    assert_eq!(payload["sender"]["login"], "mallory");
    assert_eq!(payload["repository"]["full_name"], "acme/vision");
    assert!(!payload.to_string().contains("head_repository"), "{payload}");
}

#[tokio::test]
async fn a_queued_job_is_told_with_a_signature_and_told_again_on_demand() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
    let hook = Webhook { url, secret: "It's a Secret to Everybody".to_owned() };
    let app = SimApp { id: 7, installation_id: 70, permissions: BTreeMap::new() };
    let settings = SimSettings { webhook: Some(hook), app: Some(app), ..SimSettings::default() };
    let mut api = Api::start(settings).await;
    api.sim.queue_workflow(WORKFLOW).expect("a good workflow");
    let (headers, body) = received(&listener).await;
    assert_eq!(headers["x-github-event"], "workflow_job");
    assert!(headers["x-hub-signature-256"].starts_with("sha256="));
    let payload: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(payload["action"], "queued");
    assert_eq!(contract::webhook_violations(&payload), []);

    #[allow(clippy::disallowed_methods, reason = "a JWT carries the time")]
    let now = jiff::Timestamp::now().as_second();
    api.credential = jwt(7, now);
    let deliveries = api.get("/app/hook/deliveries").await;
    let id = deliveries[0]["id"].as_u64().expect("an id");
    assert_eq!(api.get(&format!("/app/hook/deliveries/{id}")).await["event"], "workflow_job");
    assert_eq!(
        api.call(Method::POST, &format!("/app/hook/deliveries/{id}/attempts"), Value::Null).await.0,
        202
    );
    let (again, _) = received(&listener).await;
    assert_eq!(again["x-github-delivery"], headers["x-github-delivery"], "so that the receiver can tell");
    api.keeps_the_contract();
}
