//! A client of the simulated GitHub, and the check that every exchange with it keeps GitHub's contract.

use cml_world::{SimGitHub, SimSettings, contract};
use reqwest::Method;
use serde_json::Value;

const TOKEN: &str = "the-token-of-these-tests";
pub(crate) const REPO: &str = "/repos/acme/vision";

pub(crate) struct Api {
    pub(crate) sim: SimGitHub,
    pub(crate) client: reqwest::Client,
    pub(crate) credential: String,
}

impl Api {
    pub(crate) async fn start(settings: SimSettings) -> Self {
        let settings = SimSettings { token: TOKEN.to_owned(), ..settings };
        let sim = SimGitHub::start(settings).await.expect("listens");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { sim, client, credential: TOKEN.to_owned() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.sim.api_url().trim_end_matches('/')))
            .bearer_auth(&self.credential)
            .header("accept", "application/vnd.github+json")
    }

    /// Status and body.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.request(method, path);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.call(Method::POST, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {body}");
        body
    }

    pub(crate) fn keeps_the_contract(&self) {
        let violations = contract::violations(&self.sim.exchanges());
        assert!(violations.is_empty(), "{violations:#?}");
    }
}
