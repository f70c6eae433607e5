//! S3's objects, by their paths: passed through and recorded as the actions that they require. Names of buckets contain
//! no account.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Method, Response, Uri, header};

use super::wire::Ask;
use super::{Call, Inner};
use crate::edge::now;

impl Inner {
    /// Forwards a call to the emulator unchanged.
    pub(super) async fn object(&self, method: Method, uri: &Uri, ask: &Ask) -> Response<Body> {
        let mut headers = ask.headers.clone();
        headers.remove(header::CONTENT_LENGTH);
        let target = format!("{}{uri}", self.emulator);
        let request = self.client.request(method.clone(), target).headers(headers).body(ask.body.clone());
        let answer = request.send().await.expect("the emulator answers");
        self.record(Call {
            // The permission to read an object includes the check for its existence.
            action: if method == Method::PUT { "PutObject" } else { "GetObject" }.to_owned(),
            service: "s3".to_owned(),
            region: ask.region.clone(),
            params: BTreeMap::from([("Path".to_owned(), uri.path().trim_start_matches('/').to_owned())]),
            status: answer.status().as_u16(),
            at: now(),
        });
        let mut response = Response::builder().status(answer.status());
        if let Some(all) = response.headers_mut() {
            all.extend(answer.headers().clone());
        }
        let bytes = answer.bytes().await.unwrap_or_default();
        response.body(Body::from(bytes)).unwrap_or_default()
    }
}
