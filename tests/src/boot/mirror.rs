//! Server of the runner's package, with failures of the download.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, header};
use futures_util::stream;

use super::{GITHUB_ADDRESS, Lab};

/// Outcome of a request for the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is served; parts of it when parts are asked for.
    Served,
    /// Not found.
    Missing,
    /// The server is overloaded.
    Overloaded,
    /// The connection is closed in the middle.
    BrokenOff,
    /// Half of it, as if it were the whole.
    Truncated,
}

/// A server of the package; it ends when dropped.
pub struct Mirror {
    /// Address of the package.
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
    server: tokio::task::JoinHandle<()>,
}

struct Shelf {
    package: Bytes,
    asked: Arc<Mutex<Vec<String>>>,
    fate: Box<dyn Fn(usize) -> Fate + Send + Sync>,
}

impl Mirror {
    /// Starts a server; `fate` decides by the number of the request, from 0.
    ///
    /// # Panics
    /// When the package is not available.
    pub async fn start(lab: &Lab, fate: impl Fn(usize) -> Fate + Send + Sync + 'static) -> Self {
        let original = lab.package().await.url;
        let package =
            lab.client.get(original).send().await.expect("it answers").bytes().await.expect("the package");
        let listener = tokio::net::TcpListener::bind((GITHUB_ADDRESS, 0)).await.expect("a free port");
        let url = format!("http://{}/runner.tar.gz", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shelf = Arc::new(Shelf { package, asked: Arc::clone(&asked), fate: Box::new(fate) });
        let router = Router::new().fallback(serve).with_state(shelf);
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serves until the test ends");
        });
        Self { url, asked, server }
    }

    /// Returns the range of each request so far; empty for the whole.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("never poisoned").clone()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(State(shelf): State<Arc<Shelf>>, headers: HeaderMap) -> Response<Body> {
    let range =
        headers.get(header::RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default().to_owned();
    let number = {
        let mut asked = shelf.asked.lock().expect("never poisoned");
        asked.push(range.clone());
        asked.len() - 1
    };
    let all = &shelf.package;
    let half = all.len() / 2;
    let status = |code: StatusCode| Response::builder().status(code);
    let response = match (shelf.fate)(number) {
        Fate::Missing => status(StatusCode::NOT_FOUND).body(Body::empty()),
        Fate::Overloaded => status(StatusCode::SERVICE_UNAVAILABLE).body(Body::empty()),
        Fate::Truncated => status(StatusCode::OK).body(Body::from(all.slice(..half))),
        Fate::BrokenOff => {
            let first = all.slice(..half);
            let parts = stream::unfold(Some(first), |part| async move {
                let Some(part) = part else {
                    // The sent part is delivered before the connection closes.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    return Some((Err(std::io::Error::other("it breaks off")), None));
                };
                Some((Ok(part), None))
            });
            status(StatusCode::OK).header(header::CONTENT_LENGTH, all.len()).body(Body::from_stream(parts))
        }
        Fate::Served => {
            let from: Option<usize> =
                range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse().ok());
            match from {
                Some(from) if from > 0 && from < all.len() => status(StatusCode::PARTIAL_CONTENT)
                    .header(header::CONTENT_RANGE, format!("bytes {from}-{}/{}", all.len() - 1, all.len()))
                    .body(Body::from(all.slice(from..))),
                _ => status(StatusCode::OK).body(Body::from(all.clone())),
            }
        }
    };
    response.expect("a response")
}
