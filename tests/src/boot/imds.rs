//! An instance metadata service, version 2 only, as EC2 has it:
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use jiff::{Timestamp, Unit};

use crate::edge::now;

const TOKEN: &str = "AQAEAtestTOKENtestTOKENtestTOKENtestTOKENtestTOKEN==";

/// Constant values, by path below `meta-data/`.
const FACTS: [(&str, &str); 15] = [
    ("ami-id", "ami-0123456789abcdef0"),
    ("hostname", "ip-10-0-2-15.ec2.internal"),
    ("instance-id", "i-0123456789abcdef0"),
    ("instance-life-cycle", "spot"),
    ("instance-type", "m5.large"),
    ("local-hostname", "ip-10-0-2-15.ec2.internal"),
    ("local-ipv4", "10.0.2.15"),
    ("mac", "52:54:00:12:34:56"),
    ("network/interfaces/macs/52:54:00:12:34:56/device-number", "0"),
    ("network/interfaces/macs/52:54:00:12:34:56/local-ipv4s", "10.0.2.15"),
    ("network/interfaces/macs/52:54:00:12:34:56/subnet-ipv4-cidr-block", "10.0.2.0/24"),
    ("placement/availability-zone", "us-east-1a"),
    ("placement/region", "us-east-1"),
    ("reservation-id", "r-0123456789abcdef0"),
    ("services/domain", "amazonaws.com"),
];

#[derive(Default)]
struct Known {
    user_data: Vec<u8>,
    interruption: Option<String>,
    rebalance: Option<String>,
    requests: Vec<String>,
    first_asked: Option<Instant>,
    started: Option<Timestamp>,
}

/// The service; it ends when dropped.
pub struct Imds {
    known: Arc<Mutex<Known>>,
    server: tokio::task::JoinHandle<()>,
}

impl Imds {
    pub(super) async fn start() -> Self {
        let known = Arc::new(Mutex::new(Known::default()));
        let listener = tokio::net::TcpListener::bind("169.254.169.254:80").await;
        let listener = listener.expect("inside a namespace of its own");
        let router = Router::new().fallback(answer).with_state(Arc::clone(&known));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serves until the test ends");
        });
        Self { known, server }
    }

    /// Prepares the service for a machine that is about to start.
    pub(super) fn serves(&self, user_data: &[u8]) {
        let mut known = self.known();
        known.user_data = user_data.to_vec();
        known.first_asked = None;
        known.started = now().round(Unit::Second).ok();
    }

    /// Returns when the latest machine reached it first: then it had a network.
    #[must_use]
    pub fn first_asked(&self) -> Option<Instant> {
        self.known().first_asked
    }

    /// Announces an interruption at this time (`2026-11-24T10:00:00Z`).
    pub fn interrupts_at(&self, time: &str) {
        self.known().interruption = Some(format!("{{\"action\": \"terminate\", \"time\": \"{time}\"}}"));
    }

    /// Announces a rebalance recommendation: EC2 may soon interrupt the machine.
    pub fn recommends_rebalance(&self, time: &str) {
        self.known().rebalance = Some(format!("{{\"noticeTime\": \"{time}\"}}"));
    }

    /// Returns all requests so far, `METHOD path STATUS`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.known().requests.clone()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().expect("never poisoned")
    }
}

impl Drop for Imds {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(known): State<Arc<Mutex<Known>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> (StatusCode, Vec<u8>) {
    let mut known = known.lock().expect("never poisoned");
    known.first_asked.get_or_insert_with(Instant::now);
    let (status, body) = reply(&known, &method, uri.path(), &headers);
    known.requests.push(format!("{method} {} {}", uri.path(), status.as_u16()));
    (status, body)
}

fn reply(known: &Known, method: &Method, path: &str, headers: &HeaderMap) -> (StatusCode, Vec<u8>) {
    let nothing = || (StatusCode::NOT_FOUND, Vec::new());
    if method == Method::PUT && path == "/latest/api/token" {
        let asked = headers.contains_key("x-aws-ec2-metadata-token-ttl-seconds");
        return if asked { (StatusCode::OK, TOKEN.into()) } else { (StatusCode::BAD_REQUEST, Vec::new()) };
    }
    if headers.get("x-aws-ec2-metadata-token").is_none_or(|token| token != TOKEN) {
        return (StatusCode::UNAUTHORIZED, Vec::new());
    }
    let Some(("latest" | "2021-03-23", path)) = path.trim_start_matches('/').split_once('/') else {
        return nothing();
    };
    let found = |text: &str| (StatusCode::OK, text.as_bytes().to_vec());
    match path.trim_end_matches('/') {
        "user-data" => return (StatusCode::OK, known.user_data.clone()),
        "dynamic/instance-identity" => return found("document"),
        "dynamic/instance-identity/document" => {
            let started = known.started.map(|it| it.to_string()).unwrap_or_default();
            return found(&format!(
                "{{\n  \"accountId\" : \"123456789012\",\n  \"instanceId\" : \"i-0123456789abcdef0\",\n  \"pendingTime\" : \"{started}\",\n  \
                 \"region\" : \"us-east-1\"\n}}"
            ));
        }
        "meta-data/spot/instance-action" => return known.interruption.as_deref().map_or_else(nothing, found),
        "meta-data/events/recommendations/rebalance" => {
            return known.rebalance.as_deref().map_or_else(nothing, found);
        }
        _ => {}
    }
    let Some(below) = path.trim_end_matches('/').strip_prefix("meta-data") else { return nothing() };
    let below = below.trim_start_matches('/');
    if let Some((_, value)) = FACTS.iter().find(|(name, _)| *name == below) {
        return found(value);
    }
    let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
    let children: BTreeSet<String> = FACTS
        .iter()
        .filter_map(|(name, _)| name.strip_prefix(&prefix))
        .map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(child, _)| format!("{child}/")))
        .collect();
    if children.is_empty() { nothing() } else { found(&children.into_iter().collect::<Vec<_>>().join("\n")) }
}
