//! The path of webhooks from GitHub to a daemon, on which they get lost, arrive twice or late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

/// Outcome of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is lost.
    Lost,
    /// It arrives twice.
    Twice,
    /// It arrives after this delay.
    Late(Duration),
    /// It arrives.
    Well,
}

/// A relay under way; it ends when dropped.
pub struct Relay {
    /// Address for GitHub.
    pub url: String,
    server: tokio::task::JoinHandle<()>,
}

struct Way {
    target: String,
    client: reqwest::Client,
    count: AtomicU64,
    fate: Box<dyn Fn(u64) -> Fate + Send + Sync>,
}

impl Relay {
    /// Starts a relay before the daemon on a port; `fate` decides by the number of the delivery, from 0.
    ///
    /// # Panics
    /// When loopback has no port left.
    pub async fn start(port: u16, fate: impl Fn(u64) -> Fate + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/webhook", listener.local_addr().expect("bound"));
        let way = Arc::new(Way {
            target: format!("http://127.0.0.1:{port}/webhook"),
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
            count: AtomicU64::new(0),
            fate: Box::new(fate),
        });
        let router = Router::new().fallback(carry).with_state(way);
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serves until the test ends");
        });
        Self { url, server }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn carry(State(way): State<Arc<Way>>, mut headers: HeaderMap, body: Bytes) -> StatusCode {
    headers.remove("host");
    headers.remove("content-length");
    let number = way.count.fetch_add(1, Ordering::Relaxed);
    let (delay, times) = match (way.fate)(number) {
        Fate::Lost => (Duration::ZERO, 0),
        Fate::Twice => (Duration::ZERO, 2),
        Fate::Late(delay) => (delay, 1),
        Fate::Well => (Duration::ZERO, 1),
    };
    // GitHub receives a success, whatever happens on the way.
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        for _ in 0..times {
            let sent = way.client.post(&way.target).headers(headers.clone()).body(body.clone()).send().await;
            // A daemon that is down misses it: one more that is lost.
            drop(sent);
        }
    });
    StatusCode::OK
}
