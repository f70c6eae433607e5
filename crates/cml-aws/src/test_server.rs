//! A local AWS endpoint for tests: it returns the given answers in order, and records the requests.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::cache::Cache;
use crate::clients::{AwsSettings, Clients};
use crate::cloud::AwsCloud;

/// Starts an AWS that returns these answers, one per connection; returns it with the recorded requests.
pub(crate) async fn answering(answers: Vec<(u16, Value)>) -> (AwsCloud, Arc<Mutex<Vec<Value>>>) {
    let (listener, config) = service().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        for (status, answer) in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let (_, body) = request(&mut stream).await;
            let question: Value = serde_json::from_slice(&body).unwrap_or_default();
            heard.lock().expect("never poisoned").push(question);
            let body = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await.expect("is sent");
        }
    });
    let clients = Clients::with(config);
    let cache = Cache::new(AwsSettings::default().cache_dir, None);
    (AwsCloud::of(clients, cache), asked)
}

/// Starts a service that answers with these statuses and empty bodies, one per connection; returns it with the heads of
/// the requests, in lower case.
pub(crate) async fn silent(statuses: Vec<u16>) -> (SdkConfig, Arc<Mutex<Vec<String>>>) {
    let (listener, config) = service().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let (head, _) = request(&mut stream).await;
            heard.lock().expect("never poisoned").push(head);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("is sent");
        }
    });
    (config, asked)
}

/// Returns a listener on a free port, and a configuration that points to it.
async fn service() -> (TcpListener, SdkConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("is bound"));
    let keys = Credentials::new("AKIATEST", "secret", None, None, "tests");
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .endpoint_url(endpoint)
        .load()
        .await;
    (listener, config)
}

/// Reads the head of one request, in lower case, and its body.
async fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).await.expect("is read");
        bytes.extend_from_slice(&some[..count]);
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        let begin = head.len() + 4;
        if bytes.len() >= begin + length.unwrap_or(0_usize) {
            return (head.to_owned(), bytes[begin..].to_vec());
        }
    }
}
