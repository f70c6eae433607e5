//! Webhooks of GitHub. <https://docs.github.com/en/webhooks/webhook-events-and-payloads#workflow_job>
//!
//! A delivery is trusted only after its signature was verified over the received bytes.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::Sha256;

use crate::jobs::{JobRecord, RunRecord};

/// Minimum length of a secret: a shorter one could be brute-forced from one delivery.
const SECRET_CHARS_MIN: usize = 16;

/// Error: the secret is too short to protect anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has {0} characters, and less than {SECRET_CHARS_MIN} can be guessed")]
pub struct ShortSecret(usize);

/// The secret shared with GitHub. <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
#[derive(Clone, Debug)]
pub struct WebhookSecret(SecretString);

impl WebhookSecret {
    /// Wraps the secret.
    ///
    /// # Errors
    /// [`ShortSecret`], with its length.
    pub fn new(secret: SecretString) -> Result<Self, ShortSecret> {
        let length = secret.expose_secret().chars().count();
        if length < SECRET_CHARS_MIN { Err(ShortSecret(length)) } else { Ok(Self(secret)) }
    }

    /// Returns true for the form of a signature: only then the body is worth reading.
    #[must_use]
    pub fn has_form(header: &str) -> bool {
        let hex = header.strip_prefix("sha256=").unwrap_or_default();
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Returns true when `header`, the value of `X-Hub-Signature-256`, is the signature of these bytes. The comparison
    /// takes constant time.
    #[must_use]
    pub fn signed(&self, body: &[u8], header: &str) -> bool {
        if !Self::has_form(header) {
            return false;
        }
        let Some(signature) = header.strip_prefix("sha256=").and_then(from_hex) else { return false };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes()) else {
            return false;
        };
        mac.update(body);
        mac.verify_slice(&signature).is_ok()
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// Maximum length of a delivery's error, in characters: serde quotes the value, which may be as long as the body.
const CAUSE_CHARS: usize = 300;

/// Content of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookEvent {
    /// A job was queued, began or ended. A delivery contains neither the run's event nor the origin of its code: GitHub
    /// has to be queried.
    Job(Box<JobRecord>),
    /// A test of the address by GitHub.
    Ping,
    /// An event that is not needed.
    Other,
}

/// Error: a signed delivery could not be parsed.
#[derive(Debug, thiserror::Error)]
#[error("the body of this {event} event is not what GitHub documents: {cause}")]
pub struct BadDelivery {
    event: String,
    cause: String,
}

/// Error: the body of a delivery is in a form that GitHub does not send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Neither JSON nor a form.
    #[error("webhooks are read as JSON: set the content type to application/json (this one came as {0:?})")]
    ContentType(String),
    /// A form without its one field.
    #[error("the form of this webhook has no `payload`: set the content type to application/json")]
    NoPayload,
}

/// Returns the JSON in a delivery's body. GitHub sends it directly, or as the field `payload` of a form, which a hook
/// does with the default content type. The signature is over the body, not over this.
/// <https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks#creating-a-repository-webhook>
///
/// # Errors
/// [`BadBody`] with the setting to change.
pub fn payload<'a>(content_type: &str, body: &'a [u8]) -> Result<Cow<'a, [u8]>, BadBody> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "" | "application/json" => Ok(Cow::Borrowed(body)),
        "application/x-www-form-urlencoded" => url::form_urlencoded::parse(body)
            .find(|(name, _)| name == "payload")
            .map(|(_, value)| Cow::Owned(value.into_owned().into_bytes()))
            .ok_or(BadBody::NoPayload),
        _ => Err(BadBody::ContentType(content_type.chars().take(80).collect())),
    }
}

#[derive(Deserialize)]
struct Payload {
    workflow_job: JobPayload,
    repository: RepositoryPayload,
    #[serde(default)]
    sender: Option<SenderPayload>,
}

#[derive(Deserialize)]
struct JobPayload {
    id: u64,
    run_id: u64,
    #[serde(default)]
    run_attempt: Option<u32>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    labels: Option<Vec<String>>,
    status: String,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    runner_id: Option<u64>,
    #[serde(default)]
    runner_name: Option<String>,
    #[serde(default)]
    workflow_name: Option<String>,
    #[serde(default)]
    head_branch: Option<String>,
    #[serde(default)]
    created_at: Option<Timestamp>,
    #[serde(default)]
    started_at: Option<Timestamp>,
    #[serde(default)]
    completed_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct RepositoryPayload {
    full_name: String,
}

#[derive(Deserialize)]
struct SenderPayload {
    login: String,
}

/// Parses a delivery whose signature was valid; `event` is the value of `X-GitHub-Event`.
///
/// # Errors
/// [`BadDelivery`] for a job event that is not as documented.
pub fn read_delivery(event: &str, body: &[u8]) -> Result<WebhookEvent, BadDelivery> {
    match event {
        "ping" => return Ok(WebhookEvent::Ping),
        "workflow_job" => {}
        _ => return Ok(WebhookEvent::Other),
    }
    let payload: Payload = serde_json::from_slice(body).map_err(|error| BadDelivery {
        event: event.to_owned(),
        cause: error.to_string().chars().take(CAUSE_CHARS).collect(),
    })?;
    let job = payload.workflow_job;
    let attempt = job.run_attempt.unwrap_or(1);
    let run = RunRecord {
        id: job.run_id,
        repository: payload.repository.full_name,
        head_repository: None,
        event: String::new(),
        actor: payload.sender.map(|sender| sender.login).unwrap_or_default(),
        status: String::new(),
        attempt,
    };
    let job = JobRecord {
        id: job.id,
        run_id: job.run_id,
        attempt,
        name: job.name,
        // GitHub sends `[]` for a job that asks for no label; null and a missing key are treated the same.
        labels: job.labels.unwrap_or_default(),
        status: job.status,
        conclusion: job.conclusion,
        runner_id: job.runner_id.filter(|id| *id != 0),
        runner_name: job.runner_name.filter(|name| !name.is_empty()),
        workflow: job.workflow_name.unwrap_or_default(),
        branch: job.head_branch.unwrap_or_default(),
        created_at: job.created_at,
        started_at: job.started_at,
        completed_at: job.completed_at,
        run,
    };
    Ok(WebhookEvent::Job(Box::new(job)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_of_githubs_documentation_is_accepted_and_nothing_else() {
        let secret = WebhookSecret::new(SecretString::from("It's a Secret to Everybody")).expect("is one");
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(secret.signed(b"Hello, World!", right));
        for wrong in [
            "",
            "sha256=",
            "sha1=757107ea0eb2509fc211221cce984b8a37570b6d",
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e18",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1",
            "sha256=zz7107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "sha256=éé",
            "sha256=+757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1",
            " sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ] {
            assert!(!secret.signed(b"Hello, World!", wrong), "{wrong}");
        }
        assert!(!secret.signed(b"Hello, World", right));
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        for (text, length) in [("", 0), ("s", 1), ("fifteen letters", 15)] {
            assert_eq!(WebhookSecret::new(SecretString::from(text)).err(), Some(ShortSecret(length)));
        }
        assert!(WebhookSecret::new(SecretString::from("sixteen letters.")).is_ok());
    }

    #[test]
    fn a_form_holds_the_same_delivery_and_anything_else_is_told_what_to_set() {
        let json = br#"{"zen":"Keep it logically awesome & 100% simple."}"#;
        let read = |kind: &str, body: &[u8]| payload(kind, body).map(|json| json.into_owned());
        assert_eq!(read("application/json", json).as_deref(), Ok(&json[..]));
        assert_eq!(read("application/json; charset=utf-8", json).as_deref(), Ok(&json[..]));
        let form = b"payload=%7B%22zen%22%3A%22Keep+it+logically+awesome+%26+100%25+simple.%22%7D";
        assert_eq!(read("application/x-www-form-urlencoded", form).as_deref(), Ok(&json[..]));
        assert_eq!(read("application/x-www-form-urlencoded", json), Err(BadBody::NoPayload));
        let error = read("text/xml", json).expect_err("no such content type");
        assert!(error.to_string().contains("set the content type to application/json"), "{error}");
    }

    #[test]
    fn no_labels_null_and_no_key_are_the_same() {
        for labels in [r#""labels":[],"#, r#""labels":null,"#, ""] {
            let body = format!(
                r#"{{"workflow_job":{{"id":1,"run_id":2,{labels}"status":"queued"}},"repository":{{"full_name":"acme/vision"}}}}"#
            );
            let heard = read_delivery("workflow_job", body.as_bytes()).expect(labels);
            let WebhookEvent::Job(heard) = heard else { panic!("a job") };
            assert!(heard.labels.is_empty(), "{labels}");
        }
    }

    #[test]
    fn a_job_event_without_a_job_is_told_and_other_events_are_not_ours() {
        let error = read_delivery("workflow_job", br#"{"workflow_job":null}"#).expect_err("no job");
        assert!(error.to_string().contains("not what GitHub documents"), "{error}");
        let long = format!("{{\"workflow_job\":\"{}\"}}", "x".repeat(100_000));
        assert!(read_delivery("workflow_job", long.as_bytes()).expect_err("no job").to_string().len() < 1000);
        assert_eq!(read_delivery("push", b"not even JSON").expect("is ignored"), WebhookEvent::Other);
        assert_eq!(read_delivery("ping", b"{}").expect("a ping"), WebhookEvent::Ping);
    }
}
