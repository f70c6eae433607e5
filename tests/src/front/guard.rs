//! The guard: each request is validated against AWS's own description of its interface (botocore's service models, in
//! the tests' Python environment) and against the limits that AWS documents in addition.
//!
//! A request that AWS would refuse is refused in AWS's words, and fails the test that made it. The emulator does not do
//! that: like our code, it was written from its authors' beliefs.

use serde_json::{Value, json};

use super::wire::{Answer, Ask, Refusal};
use super::{Front, Inner, limits};

/// A request that AWS would have refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// `CreateFleet`.
    pub action: String,
    /// Which parameter, and why.
    pub why: Vec<String>,
}

impl Front {
    /// Returns the requests so far that AWS would have refused; they no longer fail the test, which has to check them.
    #[must_use]
    pub fn take_wrong(&self) -> Vec<Wrong> {
        std::mem::take(&mut *self.inner.wrong())
    }

    /// Fails a test that has sent requests which AWS would have refused.
    pub(super) fn judge(&self) {
        let wrong = self.take_wrong();
        if wrong.is_empty() {
            return;
        }
        let told: Vec<String> =
            wrong.iter().map(|one| format!("{}: {}", one.action, one.why.join("; "))).collect();
        let told = told.join("\n");
        if std::thread::panicking() {
            crate::venv::tell(&format!("requests that AWS would not have taken: {told}"));
        } else {
            panic!("requests that AWS would not have taken:\n{told}");
        }
    }
}

impl Inner {
    /// Returns the refusal of a request that AWS would refuse.
    pub(super) async fn guard(&self, ask: &Ask, method: &str, path: &str) -> Option<Answer> {
        let limit = limits::beyond(ask);
        let mut why = self.against_the_model(ask, method, path).await;
        let refusal = limit.clone().or_else(|| {
            let words = why.join("; ");
            (!why.is_empty()).then(|| Refusal::new(400, "InvalidParameterValue", words))
        })?;
        why.extend(limit.map(|limit| format!("{}: {}", limit.code, limit.message)));
        self.wrong().push(Wrong { action: format!("{}:{}", ask.service, ask.action), why });
        Some(refusal.answer(&ask.service))
    }

    async fn against_the_model(&self, ask: &Ask, method: &str, path: &str) -> Vec<String> {
        let header =
            |name: &str| ask.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let names: Vec<&str> = ask.headers.keys().map(axum::http::HeaderName::as_str).collect();
        let request = json!({
            "service": ask.service, "method": method, "path": path, "target": header("x-amz-target"),
            "type": header("content-type"), "headers": names,
            // The body of an object is not a parameter.
            "body": if ask.service == "s3" { "".into() } else { String::from_utf8_lossy(&ask.body) },
        });
        let sent =
            self.client.post(format!("{}/guard", self.emulator)).body(request.to_string()).send().await;
        let answer = match sent {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => return vec![format!("the guard does not answer: {error}")],
        };
        match serde_json::from_str(&answer) {
            Ok(Value::Array(found)) => {
                found.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect()
            }
            _ => vec![format!("the guard does not answer: {answer}")],
        }
    }
}
