//! Files, references and their web pages. Each test ends by validating every exchange against GitHub's description.
#![cfg(feature = "contract")]
#![allow(missing_docs)]

mod common;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cml_world::SimSettings;
use common::{Api, REPO};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\xff\x00 not much of a picture";

/// Creates an orphan commit with these entries.
async fn orphan(api: &Api, entries: Value) -> String {
    let tree = api.post(&format!("{REPO}/git/trees"), json!({"tree": entries})).await;
    let commit = json!({"message": "assets", "tree": tree["sha"], "parents": []});
    text(&api.post(&format!("{REPO}/git/commits"), commit).await["sha"])
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

async fn refused(api: &Api, method: Method, path: &str, body: Value) -> (u16, String) {
    let (status, body) = api.call(method, &format!("{REPO}{path}"), body).await;
    (status, text(&body["message"]))
}

/// Returns what a browser receives from the web side: status, content type and bytes.
async fn seen(api: &Api, path: &str, cookie: &str) -> (StatusCode, String, Vec<u8>) {
    let request = api.client.get(format!("{}{path}", api.sim.repo_url())).header("cookie", cookie);
    let answer = request.send().await.expect("an answer");
    let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
    (answer.status(), kind, answer.bytes().await.expect("a body").to_vec())
}

#[tokio::test]
async fn references_are_made_found_moved_and_removed_outside_of_branches_too() {
    let api = Api::start(SimSettings::default()).await;
    let commit = orphan(&api, json!([{"path": "a", "mode": "100644", "content": "1"}])).await;
    let other = orphan(&api, json!([{"path": "a", "mode": "100644", "content": "2"}])).await;
    let refs = format!("{REPO}/git/refs");
    for name in ["refs/cml/2026-11-25/123", "refs/cml/2026-11-25/124", "refs/cml/2026-11-24/9"] {
        api.post(&refs, json!({"ref": name, "sha": commit})).await;
    }
    let found = api.get(&format!("{REPO}/git/matching-refs/cml/2026-11-25/12")).await;
    let names: Vec<&str> =
        found.as_array().expect("a list").iter().filter_map(|one| one["ref"].as_str()).collect();
    assert_eq!(names, ["refs/cml/2026-11-25/123", "refs/cml/2026-11-25/124"]);
    assert_eq!(api.get(&format!("{REPO}/git/matching-refs/cml/2026-11-2")).await[2]["ref"], names[1]);
    assert_eq!(api.get(&format!("{REPO}/git/matching-refs/none")).await, json!([]));

    let one = "/git/refs/cml/2026-11-25/123";
    let not_forward = refused(&api, Method::PATCH, one, json!({"sha": other})).await;
    assert_eq!(not_forward, (422, "Update is not a fast forward".to_owned()));
    let forced = json!({"sha": other, "force": true});
    assert_eq!(api.call(Method::PATCH, &format!("{REPO}{one}"), forced).await.0, 200);
    assert_eq!(api.sim.reference("refs/cml/2026-11-25/123"), Some(other.clone()));
    let inside = json!({"ref": "refs/cml/2026-11-25/123/4", "sha": other});
    let blocked = refused(&api, Method::POST, "/git/refs", inside).await;
    assert_eq!(blocked, (422, "Reference update failed".to_owned()), "a name is a file or a folder");
    assert_eq!(api.call(Method::DELETE, &format!("{REPO}{one}"), Value::Null).await.0, 204);
    let gone = refused(&api, Method::DELETE, one, Value::Null).await;
    assert_eq!(gone, (422, "Reference does not exist".to_owned()));
    assert_eq!(api.sim.references().len(), 3);
    api.keeps_the_contract();
}

#[tokio::test]
async fn a_tree_takes_changes_on_top_of_another_and_refuses_what_git_cannot_hold() {
    let api = Api::start(SimSettings::default()).await;
    let blob = api.post(&format!("{REPO}/git/blobs"), json!({"content": "plot"})).await;
    let entries = json!([
        {"path": "run.sh", "mode": "100755", "type": "blob", "content": "#!/bin/sh"},
        {"path": "latest", "mode": "120000", "type": "blob", "content": "plots/a.svg"},
        {"path": "plots/a.svg", "mode": "100644", "type": "blob", "sha": blob["sha"]},
        {"path": "plots/b.svg", "mode": "100644", "type": "blob", "sha": blob["sha"]},
    ]);
    let base = orphan(&api, entries).await;
    let change = |entry: Value| json!({"base_tree": base, "tree": [entry]});
    let trees = format!("{REPO}/git/trees");
    let paths = |tree: &Value| -> Vec<String> {
        tree["tree"].as_array().expect("a list").iter().map(|entry| text(&entry["path"])).collect()
    };
    let removed = change(json!({"path": "plots/a.svg", "mode": "100644", "type": "blob", "sha": null}));
    assert_eq!(paths(&api.post(&trees, removed).await), ["latest", "plots/b.svg", "run.sh"]);
    let file_for_folder = change(json!({"path": "plots", "mode": "100644", "content": "none"}));
    assert_eq!(paths(&api.post(&trees, file_for_folder).await), ["latest", "plots", "run.sh"]);
    let folder_for_file = change(json!({"path": "latest/c.svg", "mode": "100644", "sha": blob["sha"]}));
    assert_eq!(paths(&api.post(&trees, folder_for_file).await)[0], "latest/c.svg");

    for (entry, message) in [
        (json!({"path": "none", "mode": "100644", "sha": null}), "GitRPC::BadObjectState"),
        (json!({"path": "a", "mode": "100600", "content": ""}), "Must supply a valid tree.mode"),
        (json!({"path": "../a", "mode": "100644", "content": ""}), "malformed path"),
        (json!({"path": "a", "mode": "100644"}), "Must supply either tree.sha or tree.content"),
        (json!({"path": "a", "mode": "100644", "sha": "0123", "content": ""}), "Must supply either"),
        (json!({"path": "a", "mode": "100644", "sha": "0123"}), "is not a valid blob"),
    ] {
        let (status, said) = refused(&api, Method::POST, "/git/trees", change(entry)).await;
        assert!(status == 422 && said.contains(message), "{said}");
    }
    api.keeps_the_contract();
}

#[tokio::test]
async fn a_large_blob_is_taken_and_a_larger_one_refused_in_githubs_words() {
    let api = Api::start(SimSettings::default()).await;
    let path = format!("{REPO}/git/blobs");
    api.post(&path, json!({"content": "x".repeat(60_000_000)})).await;
    let (status, body) = api.call(Method::POST, &path, json!({"content": "x".repeat(70_000_000)})).await;
    assert_eq!((status, &body["errors"][0]["code"]), (422, &json!("too_large")), "{}", body["message"]);
    api.keeps_the_contract();
}

#[tokio::test]
async fn a_browser_gets_a_file_while_a_reference_leads_to_its_commit() {
    let api = Api::start(SimSettings::default()).await;
    let blob = json!({"content": STANDARD.encode(PIXEL), "encoding": "base64"});
    let blob = api.post(&format!("{REPO}/git/blobs"), blob).await;
    let entries = json!([{"path": "plots/confusion matrix.png", "mode": "100644", "sha": blob["sha"]}]);
    let commit = orphan(&api, entries).await;
    let path = format!("/blob/{commit}/plots/confusion%20matrix.png?raw=true");
    assert_eq!(seen(&api, &path, "").await.0, 404, "nothing leads there yet");
    let reference = json!({"ref": "refs/cml/2026-11-25/1", "sha": commit});
    api.post(&format!("{REPO}/git/refs"), reference).await;
    assert_eq!(seen(&api, &path, "").await, (StatusCode::OK, "image/png".to_owned(), PIXEL.to_vec()));
    let raw = format!("/raw/{commit}/plots/confusion%20matrix.png");
    assert_eq!(seen(&api, &raw, "").await.2, PIXEL);
    assert_eq!(seen(&api, path.trim_end_matches("?raw=true"), "").await.1, "text/html; charset=utf-8");
    assert_eq!(seen(&api, &format!("/raw/{commit}/none.png"), "").await.0, 404);
    api.call(Method::DELETE, &format!("{REPO}/git/refs/cml/2026-11-25/1"), Value::Null).await;
    assert_eq!(seen(&api, &path, "").await.0, 404, "collected");

    api.sim.commit_files(&[("docs/a.html", b"<b>")], "topic/one");
    assert_eq!(seen(&api, "/raw/topic/one/docs/a.html", "").await.1, "text/plain; charset=utf-8");
    assert_eq!(seen(&api, "/raw/refs/heads/topic/one/docs/a.html", "").await.2, b"<b>");
    assert_eq!(api.sim.file_at("topic/one", "docs/a.html").as_deref(), Some(b"<b>".as_slice()));
    api.keeps_the_contract();
}

#[tokio::test]
async fn a_private_repository_shows_its_files_to_people_who_are_signed_in() {
    let api = Api::start(SimSettings { private: true, ..SimSettings::default() }).await;
    let path = "/blob/main/README.md?raw=true";
    assert_eq!(seen(&api, path, "").await.0, 404);
    assert_eq!(seen(&api, path, "logged_in=yes; user_session=abc").await.0, 200);
    let about = api.get(REPO).await;
    assert_eq!((&about["private"], &about["visibility"]), (&json!(true), &json!("private")));
    assert_eq!(about["permissions"]["push"], true);
    assert_eq!(about["default_branch"], "main");
    api.keeps_the_contract();
}

#[tokio::test]
async fn a_protected_branch_takes_no_commit_but_from_a_pull_request() {
    let settings = SimSettings { protected: vec!["main".to_owned()], ..SimSettings::default() };
    let api = Api::start(settings).await;
    let ahead = api.sim.commit_files(&[("a.txt", b"a")], "change");
    let moved = refused(&api, Method::PATCH, "/git/refs/heads/main", json!({"sha": ahead})).await;
    assert_eq!(moved, (422, "Changes must be made through a pull request.".to_owned()));
    assert_eq!(refused(&api, Method::DELETE, "/git/refs/heads/main", Value::Null).await.0, 422);
    let write = json!({"message": "add", "content": STANDARD.encode("hello")});
    let written = refused(&api, Method::PUT, "/contents/b.txt", write.clone()).await;
    let message = "Could not create file: Changes must be made through a pull request.";
    assert_eq!(written, (409, message.to_owned()));
    let mut elsewhere = write;
    elsewhere["branch"] = "change".into();
    assert_eq!(api.call(Method::PUT, &format!("{REPO}/contents/b.txt"), elsewhere).await.0, 201);
    api.keeps_the_contract();
}
