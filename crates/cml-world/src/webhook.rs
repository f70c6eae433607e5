//! `workflow_job` events: sent to the configured address, kept for the list of deliveries and for redelivery.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::mpsc;

use crate::api::shapes;
use crate::clock;
use crate::settings::Webhook;
use crate::world::{Shared, World};

/// One event that was sent, or could not be.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) id: u64,
    /// `X-GitHub-Delivery`: the same on redelivery.
    pub(crate) guid: String,
    pub(crate) action: String,
    pub(crate) at: Timestamp,
    pub(crate) redelivery: bool,
    pub(crate) payload: Value,
    /// The receiver's status; 0 until it answered.
    pub(crate) status: u16,
    pub(crate) seconds: f64,
}

/// An event to be sent.
pub(crate) struct Parcel {
    delivery: u64,
    guid: String,
    body: String,
    content_type: &'static str,
}

/// Sends the event that a job was queued, is in progress or completed.
pub(crate) fn job_event(world: &mut World, job: u64, action: &str, now: Timestamp) {
    if world.settings.webhook.is_none() {
        return;
    }
    let (Some(job), Some(run)) =
        (world.jobs.get(&job), world.jobs.get(&job).and_then(|job| world.runs.get(&job.run)))
    else {
        return;
    };
    let payload = json!({
        "action": action,
        "workflow_job": shapes::job(world, job, run),
        "repository": shapes::full_repository(world),
        "organization": shapes::organization(world),
        "sender": shapes::user(world, run.starter_of(job.attempt)),
    });
    let guid = delivery_guid();
    deliver(world, guid, action.to_owned(), payload, false, now);
}

/// Sends an earlier delivery again; false when there is no such delivery.
pub(crate) fn redeliver(world: &mut World, delivery: u64, now: Timestamp) -> bool {
    let Some(old) = world.deliveries.get(&delivery).cloned() else { return false };
    deliver(world, old.guid, old.action, old.payload, true, now);
    true
}

fn deliver(
    world: &mut World,
    guid: String,
    action: String,
    payload: Value,
    redelivery: bool,
    now: Timestamp,
) {
    let id = world.next_id();
    let (content_type, body) = written(&world.settings.posture.hook_content_type, &payload);
    world.send(Parcel { delivery: id, guid: guid.clone(), body, content_type });
    world
        .deliveries
        .insert(id, Delivery { id, guid, action, at: now, redelivery, payload, status: 0, seconds: 0.0 });
}

/// Returns the body in the hook's content type; the signature covers it as it is sent.
/// <https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks>
fn written(content_type: &str, payload: &Value) -> (&'static str, String) {
    let json = payload.to_string();
    if content_type == "json" {
        return ("application/json", json);
    }
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &json).finish();
    ("application/x-www-form-urlencoded", form)
}

fn delivery_guid() -> String {
    let word = clock::fresh_word(32);
    format!("{}-{}-{}-{}-{}", &word[..8], &word[8..12], &word[12..16], &word[16..20], &word[20..])
}

/// Returns `X-Hub-Signature-256` of a body.
fn signature(secret: &str, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(body.as_bytes());
    Some(format!("sha256={}", clock::hex(&mac.finalize().into_bytes())))
}

/// Sends events in their order until the simulation ends. A delivery that fails is not retried, as on GitHub.
pub(crate) async fn send_all(
    shared: Shared,
    hook: Option<Webhook>,
    mut parcels: mpsc::UnboundedReceiver<Parcel>,
) {
    let client = reqwest::Client::builder().no_proxy().timeout(std::time::Duration::from_secs(10)).build();
    while let Some(parcel) = parcels.recv().await {
        let (Some(hook), Ok(client)) = (&hook, &client) else { continue };
        let started = clock::now();
        let status = send(client, hook, &parcel).await;
        let seconds = clock::now().duration_since(started).as_secs_f64();
        let mut world = shared.lock();
        if let Some(delivery) = world.deliveries.get_mut(&parcel.delivery) {
            delivery.status = status;
            delivery.seconds = seconds;
        }
        world.changed();
    }
}

async fn send(client: &reqwest::Client, hook: &Webhook, parcel: &Parcel) -> u16 {
    let mut request = client
        .post(&hook.url)
        .header("content-type", parcel.content_type)
        .header("user-agent", "GitHub-Hookshot/sim")
        .header("x-github-event", "workflow_job")
        .header("x-github-delivery", &parcel.guid);
    if let Some(signature) = signature(&hook.secret, &parcel.body) {
        request = request.header("x-hub-signature-256", signature);
    }
    match request.body(parcel.body.clone()).send().await {
        Ok(answer) => answer.status().as_u16(),
        Err(error) => {
            tracing::debug!(%error, "a webhook was not received");
            502
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_body_is_signed_as_in_githubs_documentation() {
        let signature = super::signature("It's a Secret to Everybody", "Hello, World!");
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature.as_deref(), Some(expected));
    }
}
