//! A daemon with ten thousand machines: memory, and how soon it is ready. EC2 and GitHub answer at once with made-up lists,
//! since no emulator holds so many. Run by `just bench`; the results are in docs/benchmarks.md.

use std::fmt::Write;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use cml_e2e::daemon::{Daemon, free_port};
use cml_e2e::runner::Runner;
use cml_e2e::secrets::{AWS_SECRET, TOKEN};
use serde_json::json;

const MACHINES: usize = 10_000;
const EC2_PAGE: usize = 1000;
const GITHUB_PAGE: usize = 100;

const CONFIG: &str = "
runners:
  gpu:
    labels: [cml, gpu]
    cloud: aws
    regions: [us-east-1]
    instance_types: [g5.xlarge]
    max: 20000
    max_lifetime: 24h
";

/// A launch id: 26 characters of Crockford's base 32, the first ten of them a time of 2026-11.
fn launch(number: usize) -> String {
    format!("01m8730zx6{number:016}")
}

fn value<'a>(pairs: &'a str, name: &str) -> Option<&'a str> {
    pairs.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Answers as EC2, as far as an observation needs it.
async fn ec2(body: String) -> impl IntoResponse {
    let action = value(&body, "Action").unwrap_or_default();
    let answer = |children: &str| {
        format!(
            "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>bench</requestId>{children}</{action}Response>"
        )
    };
    let xml = match action {
        "DescribeInstances" => {
            let from: usize = value(&body, "NextToken").and_then(|token| token.parse().ok()).unwrap_or(0);
            let mut items = String::new();
            for number in from..(from + EC2_PAGE).min(MACHINES) {
                let launch = launch(number);
                write!(
                    items,
                    "<item><instanceId>i-{number:017x}</instanceId><imageId>ami-1</imageId><instanceState><code>16</code>\
                     <name>running</name></instanceState><instanceType>g5.xlarge</instanceType>\
                     <launchTime>2026-11-24T10:00:00.000Z</launchTime><placement><availabilityZone>us-east-1a</availabilityZone>\
                     </placement><tagSet><item><key>cml-runner:launch</key><value>{launch}</value></item>\
                     <item><key>cml-runner:spec</key><value>gpu</value></item>\
                     <item><key>cml-runner:deadline</key><value>2036-11-24T10:00:00Z</value></item>\
                     <item><key>cml-runner:owner</key><value>acme/vision</value></item>\
                     <item><key>cml-runner:runner</key><value>cml-{launch}</value></item></tagSet></item>"
                )
                .expect("writes");
            }
            let next = from + EC2_PAGE;
            let token =
                if next < MACHINES { format!("<nextToken>{next}</nextToken>") } else { String::new() };
            answer(&format!(
                "<reservationSet><item><reservationId>r-1</reservationId><instancesSet>{items}</instancesSet></item></reservationSet>{token}"
            ))
        }
        _ => {
            let refusal = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>not here</Message></Error></Errors><RequestID>bench</RequestID></Response>";
            return (StatusCode::FORBIDDEN, [("content-type", "text/xml")], refusal.to_owned());
        }
    };
    (StatusCode::OK, [("content-type", "text/xml")], xml)
}

/// GitHub's runners, all at work.
async fn runners(uri: Uri) -> impl IntoResponse {
    let page: usize =
        uri.query().and_then(|query| value(query, "page")).and_then(|page| page.parse().ok()).unwrap_or(1);
    let from = (page - 1) * GITHUB_PAGE;
    let runner = |number: usize| {
        json!({"id": number + 1, "name": format!("cml-{}", launch(number)), "os": "linux", "status": "online",
            "busy": true, "labels": [{"name": "cml"}, {"name": "gpu"}]})
    };
    let page: Vec<_> = (from..(from + GITHUB_PAGE).min(MACHINES)).map(runner).collect();
    axum::Json(json!({"total_count": MACHINES, "runners": page}))
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serves until the test ends") });
    url
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: run it with `just bench`"]
async fn ten_thousand_machines() {
    let cloud = serve(Router::new().fallback(any(ec2))).await;
    let hub = Router::new()
        .route("/api/v3/repos/acme/vision/actions/runners", get(runners))
        .route(
            "/api/v3/repos/acme/vision/actions/runs",
            get(|| async { axum::Json(json!({"workflow_runs": []})) }),
        )
        .fallback(|| async { StatusCode::NOT_FOUND });
    let hub = serve(hub).await;
    let user = Runner::new()
        .on_github(&hub, &format!("{hub}/api/v3"), "acme/vision")
        .with("AWS_ENDPOINT_URL", &cloud)
        .with("AWS_ACCESS_KEY_ID", "AKIACANARY0000000000")
        .with("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
        .with("AWS_REGION", "us-east-1")
        .with("REPO_TOKEN", TOKEN);
    let port = free_port();
    // Built before anything is timed.
    let _ = cml_e2e::paths::cml_runner();
    let began = Instant::now();
    let mut daemon = Daemon::start(&user, CONFIG, port, &[]);
    daemon.until_ready().await;
    println!(
        "first start, {MACHINES} machines that nobody knows: ready after {:.2} s",
        began.elapsed().as_secs_f64()
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    println!("resident after a minute: {} KiB", daemon.resident_kib());
    let all = daemon.json("/api/v1/runners").await;
    assert_eq!(all["runners"].as_array().map(Vec::len), Some(MACHINES));
    let _ = daemon.kill().await;
    for _ in 0..3 {
        let began = Instant::now();
        let mut daemon = Daemon::start_again(&user, port, &[]);
        daemon.until_ready().await;
        println!("killed and started again: ready after {:.2} s", began.elapsed().as_secs_f64());
        let _ = daemon.kill().await;
    }
    let journal = user.state_dir().join("daemon.db");
    println!("journal: {} KiB", std::fs::metadata(journal).expect("is there").len() / 1024);
}
