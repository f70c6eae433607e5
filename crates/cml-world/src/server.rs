//! The server: reads a whole request, applies faults, passes it to the API or to the runners' protocol, records the
//! exchange.

use std::convert::Infallible;
use std::fmt;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::exchange::{Exchange, FaultKind, take_fault};
use crate::http::{Reply, Request};
use crate::runner::protocol;
use crate::world::Shared;
use crate::{api, clock, shift, web};

/// The largest request body.
const BODY_LIMIT: usize = 256 << 20;

/// An error that makes the server close the connection without an answer.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, shared: Shared) -> Infallible {
    // Dropped with this task, and every open connection with it.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                while connections.try_join_next().is_some() {}
                connections.spawn(connection(stream, shared.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "the simulated GitHub cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, shared: Shared) {
    let service = service_fn(|request| answer(shared.clone(), request));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(
    shared: Shared,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Cut> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return Ok(response(Reply::error(413, "Payload too large")));
    };
    let request = Request {
        at: clock::now(),
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        raw_query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: body.to_bytes(),
    };
    if request.path.starts_with("/_runner/") {
        return Ok(response(protocol::answer(&shared, &request).await));
    }
    if let Some(reply) = web::answer(&shared.lock(), &request) {
        return Ok(response(reply));
    }
    api_answer(&shared, &request).await.map(response)
}

async fn api_answer(shared: &Shared, request: &Request) -> Result<Reply, Cut> {
    let path = api_path(&request.path);
    let fault = take_fault(&mut shared.lock().faults, &request.method, path);
    let faulted = fault.is_some();
    let instead = match &fault {
        Some(FaultKind::Status(status, body)) => Some(refusal(*status, &[], body)),
        Some(FaultKind::Answer { status, headers, body }) => Some(refusal(*status, headers, body)),
        Some(FaultKind::DropBeforeDoing) => Some(Reply::empty(0)),
        Some(FaultKind::Delay(_) | FaultKind::DropAfterDoing | FaultKind::StatusAfterDoing(..)) | None => {
            None
        }
    };
    let mut reply = match instead {
        Some(reply) => reply,
        None => {
            let mut world = shared.lock();
            let reply = api::answer(&mut world, request);
            shift::follow(&mut world, request);
            reply
        }
    };
    match &fault {
        Some(FaultKind::Delay(time)) => tokio::time::sleep(*time).await,
        Some(FaultKind::StatusAfterDoing(status, body)) => reply = refusal(*status, &[], body),
        _ => {}
    }
    let dropped = matches!(fault, Some(FaultKind::DropBeforeDoing | FaultKind::DropAfterDoing));
    if dropped {
        reply.status = 0;
    }
    shared.lock().exchanges.push(exchange(request, &reply, faulted));
    if dropped { Err(Cut) } else { Ok(reply) }
}

/// Returns the path as in GitHub's documentation, without the prefix of an Enterprise Server.
pub(crate) fn api_path(path: &str) -> &str {
    match path {
        "/api/graphql" => "/graphql",
        // An Enterprise Server has it next to the REST API only.
        "/api/v3/graphql" => path,
        _ => path.strip_prefix("/api/v3").unwrap_or(path),
    }
}

fn refusal(status: u16, headers: &[(String, String)], body: &str) -> Reply {
    let kind = if body.starts_with('{') { "application/json; charset=utf-8" } else { "text/plain" };
    let mut all = headers.to_vec();
    all.push(("content-type".to_owned(), kind.to_owned()));
    Reply { status, headers: all, body: body.as_bytes().to_vec() }
}

fn exchange(request: &Request, reply: &Reply, faulted: bool) -> Exchange {
    let headers = request.headers.iter().filter(|(name, _)| *name != "authorization");
    Exchange {
        at: request.at,
        method: request.method.clone(),
        path: api_path(&request.path).to_owned(),
        query: request.raw_query.clone(),
        request_headers: headers
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect(),
        request_body: request.body.to_vec(),
        status: reply.status,
        response_headers: reply.headers.clone(),
        response_body: reply.body.clone(),
        faulted,
    }
}

fn response(reply: Reply) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() =
        hyper::StatusCode::from_u16(reply.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        // A fault may specify invalid headers.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
