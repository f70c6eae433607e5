//! `cml-publish` against the simulated GitHub, an S3, a server with CML's protocol, and a directory.

use std::sync::{Arc, Mutex};

use cml_e2e::desk::{Desk, PNG, images};
use cml_e2e::moto::Moto;
use cml_e2e::runner::Ran;
use cml_e2e::secrets::AWS_SECRET;
use cml_e2e::sim::Sim;
use cml_e2e::wait;
use cml_world::{SimSettings, TokenGrant};

async fn pushed(sim: &Sim) -> Desk {
    let sha = sim.commit_files(&[("train.py", b"pass\n")], "main");
    Desk::on_push(sim, &sha)
}

fn refused(ran: Ran, words: &[&str]) {
    let ran = ran.expect_code(1);
    assert_eq!(ran.stdout, "", "{ran:#?}");
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in {ran:#?}");
    }
}

fn blobs(sim: &Sim) -> usize {
    sim.calls().iter().filter(|call| call.ends_with("/git/blobs")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_shown_by_markdown_whose_address_answers_with_its_bytes() {
    let sim = Sim::start().await;
    let desk = pushed(&sim).await;
    desk.write("plots/roc curve.png", PNG);
    let said = desk.says(&["cml-publish", "plots/roc curve.png", "--md", "--title", "ROC"]).await;
    let url = images(&said).remove(0);
    assert_eq!(said, format!("![]({url} \"ROC\")"));
    assert!(url.starts_with(&sim.repo_url()) && url.ends_with("/roc%20curve.png?raw=true"), "{url}");
    assert_eq!(desk.fetch(&url, false).await, (200, PNG.to_vec()));
    assert_eq!(
        desk.says(&["cml", "publish", "plots/roc curve.png"]).await,
        url,
        "the same bytes have one address"
    );
    assert_eq!(desk.says(&["cml", "asset", "publish", "plots/roc curve.png"]).await, url);
    assert_eq!(blobs(&sim), 1, "and are sent once");
    // No branch has it, and a clone does not get it.
    let references: Vec<String> = sim.references().into_keys().collect();
    assert_eq!(references, ["refs/cml/runs/4242", "refs/heads/main"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_steps_publish_at_once_and_every_address_stays_good() {
    let sim = Sim::start().await;
    let desk = pushed(&sim).await;
    let mut running = Vec::new();
    for number in 0_u8..8 {
        let mut bytes = PNG.to_vec();
        bytes.push(number);
        let name = format!("plot-{number}.png");
        desk.write(&name, &bytes);
        running.push((bytes, desk.start(&["cml-publish", &name])));
    }
    let mut all = Vec::new();
    for (bytes, one) in running {
        all.push((bytes, one.finish().await.expect_code(0).stdout.trim().to_owned()));
    }
    for (bytes, url) in all {
        assert_eq!(desk.fetch(&url, false).await, (200, bytes), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_private_repository_shows_is_seen_by_its_readers_only() {
    let sim = Sim::start_with(SimSettings { private: true, ..SimSettings::default() }).await;
    let desk = pushed(&sim).await;
    desk.write("roc.png", PNG);
    let url = desk.says(&["cml-publish", "roc.png"]).await;
    assert_eq!(desk.fetch(&url, false).await.0, 404);
    assert_eq!(desk.fetch(&url, true).await, (200, PNG.to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_branch_is_no_obstacle_and_old_files_are_pruned() {
    let sim =
        Sim::start_with(SimSettings { protected: vec!["main".to_owned()], ..SimSettings::default() }).await;
    let desk = pushed(&sim).await;
    desk.write("roc.png", PNG);
    let url = desk.says(&["cml-publish", "roc.png"]).await;
    assert_eq!(desk.says(&["cml-report", "prune", "--older-than", "1d"]).await, "0 removed, 1 kept");
    let dry = ["cml-publish", "prune", "--older-than", "1s", "--dry-run"];
    wait::until_true("the files are a second old", std::time::Duration::from_secs(20), async || {
        desk.says(&dry).await == "refs/cml/runs/4242\n1 would be removed, 0 kept"
    })
    .await;
    assert_eq!(desk.fetch(&url, false).await.0, 200);
    let ran = desk.run(&["cml-report", "prune", "--older-than", "1s"]).await.expect_code(0);
    assert_eq!(ran.stdout, "refs/cml/runs/4242\n1 removed, 0 kept\n");
    assert_eq!(desk.fetch(&url, false).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn anything_but_an_image_is_a_link_and_a_file_gets_what_would_be_printed() {
    let sim = Sim::start().await;
    let desk = pushed(&sim).await;
    desk.write("table.csv", b"a,b\n1,2\n");
    let said = desk.says(&["cml-publish", "table.csv", "--md"]).await;
    assert!(said.starts_with("[table.csv](http") && said.ends_with("/table.csv?raw=true)"), "{said}");
    desk.write("report.md", b"# Report\n");
    assert_eq!(
        desk.says(&["cml-publish", "table.csv", "--md", "-t", "Table", "--file", "report.md"]).await,
        ""
    );
    let report = std::fs::read_to_string(desk.path("report.md")).expect("there");
    assert!(report.starts_with("# Report\n[Table](http"), "appended: {report}");
    // A name can lie.
    desk.write("fake.png", b"not an image\n");
    let ran = desk.run(&["cml-publish", "fake.png", "--md"]).await.expect_code(0);
    assert!(ran.stdout.starts_with("[fake.png](http"), "{ran:#?}");
    assert!(
        ran.stderr.contains("::warning::fake.png is no image by its content, but text/plain"),
        "{ran:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_files_and_tokens_are_named_with_what_to_do() {
    let reader = TokenGrant {
        token: "reads-only".to_owned(),
        login: "reader".to_owned(),
        permissions: Some([("contents".to_owned(), "read".to_owned())].into()),
    };
    let sim = Sim::start_with(SimSettings { tokens: vec![reader], ..SimSettings::default() }).await;
    let desk = pushed(&sim).await;
    refused(desk.run(&["cml-publish", "none.png"]).await, &["cannot read none.png", "earlier step"]);
    refused(desk.run(&["cml-publish", "bin"]).await, &["it is a directory"]);
    desk.write("empty.png", b"");
    refused(desk.run(&["cml-publish", "empty.png"]).await, &["empty.png is empty (0 bytes)"]);
    let mut large = PNG.to_vec();
    large.resize(60 << 20, 7);
    desk.write("large.png", &large);
    refused(desk.run(&["cml-publish", "large.png"]).await, &["60 MiB", "at most 50 MiB"]);
    assert_eq!(blobs(&sim), 0, "nothing of them was sent");
    desk.write("roc.png", PNG);
    let desk = desk.with("REPO_TOKEN", "reads-only");
    refused(desk.run(&["cml-publish", "roc.png"]).await, &["403", "contents"]);
    let desk = desk.with("REPO_TOKEN", "wrong");
    refused(desk.run(&["cml-publish", "roc.png"]).await, &["401", "expired or revoked"]);
    let desk = desk.without("REPO_TOKEN");
    refused(desk.run(&["cml-publish", "roc.png"]).await, &["no GitHub token", "repo_token"]);
    refused(desk.run(&["cml-publish", "roc.png", "--to", "gs://b"]).await, &["gs:// is not served"]);
    refused(desk.run(&["cml-publish", "--unknown"]).await, &["--unknown"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lower_case_token_of_older_workflows_works() {
    let sim = Sim::start().await;
    let desk = pushed(&sim).await.without("REPO_TOKEN").with("repo_token", cml_e2e::secrets::TOKEN);
    desk.write("roc.png", PNG);
    let url = desk.says(&["cml-publish", "roc.png"]).await;
    assert_eq!(desk.fetch(&url, false).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_takes_files_and_gives_addresses_that_are_signed_or_public() {
    let sim = Sim::start().await;
    let s3 = tokio::task::spawn_blocking(|| Moto::shared().url()).await.expect("the emulator starts");
    let desk = pushed(&sim)
        .await
        .without("REPO_TOKEN")
        .with("AWS_ENDPOINT_URL", &s3)
        .with("AWS_ACCESS_KEY_ID", "AKIACANARY0000000000")
        .with("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
        .with("AWS_REGION", "us-east-1");
    desk.write("roc.png", PNG);
    let missing = desk.run(&["cml-publish", "roc.png", "--to", "s3://no-such-bucket/a"]).await;
    refused(missing, &["s3://no-such-bucket/a/", "NoSuchBucket", "make the bucket"]);
    let scope =
        "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let request = reqwest::Client::new().put(format!("{s3}/plots")).header("authorization", scope);
    assert!(request.send().await.expect("an answer").status().is_success());
    let signed = desk.says(&["cml-publish", "roc.png", "--to", "s3://plots/reports"]).await;
    assert!(signed.contains("/plots/reports/") && signed.contains("X-Amz-Expires=604800"), "{signed}");
    assert_eq!(desk.fetch(&signed, false).await, (200, PNG.to_vec()));
    let base = "https://plots.example.com";
    let public = desk.says(&["cml-publish", "roc.png", "--to", "s3://plots", "--public-url", base]).await;
    assert!(public.starts_with("https://plots.example.com/") && public.ends_with("/roc.png"), "{public}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_takes_files_for_a_preview_without_any_token() {
    let sim = Sim::start().await;
    let desk = pushed(&sim).await.without("REPO_TOKEN");
    desk.write("roc.png", PNG);
    let path = desk.says(&["cml-publish", "roc.png", "--to", "preview"]).await;
    assert_eq!(std::fs::read(desk.path(&path)).expect("there"), PNG);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_cmls_protocol_gets_the_bytes_with_their_type_and_name() {
    let got: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = got.clone();
    let server = axum::Router::new()
        .route(
            "/upload",
            axum::routing::post(async move |headers: axum::http::HeaderMap, body: axum::body::Bytes| {
                let header = |name: &str| {
                    headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned()
                };
                seen.lock().expect("never poisoned").push(format!(
                    "{} {} {}",
                    header("content-type"),
                    header("content-disposition"),
                    body.len()
                ));
                "https://asset.example.com/1234\n"
            }),
        )
        .route(
            "/full",
            axum::routing::post(async || (axum::http::StatusCode::INSUFFICIENT_STORAGE, "no room")),
        )
        .route("/odd", axum::routing::post(async || "<html>login</html>"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let serving = tokio::spawn(async move { axum::serve(listener, server).await });
    let sim = Sim::start().await;
    let desk = pushed(&sim).await.without("REPO_TOKEN");
    desk.write("roc.png", PNG);
    let url = desk.says(&["cml-publish", "roc.png", "--url", &format!("{base}/upload")]).await;
    assert_eq!(url, "https://asset.example.com/1234?cml=png");
    let line = format!("image/png inline; filename=\"roc%2Epng\" {}", PNG.len());
    assert_eq!(got.lock().expect("never poisoned").as_slice(), [line]);
    let full = desk.run(&["cml-publish", "roc.png", "--to", &format!("{base}/full")]).await;
    refused(full, &["507", "no room"]);
    let odd = desk.run(&["cml-publish", "roc.png", "--to", &format!("{base}/odd")]).await;
    refused(odd, &["no address"]);
    let gone = desk.run(&["cml-publish", "roc.png", "--to", "http://127.0.0.1:9/x"]).await;
    refused(gone, &["cannot be reached"]);
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checkouts_cml_yaml_says_where_files_go_unless_a_flag_or_a_variable_does() {
    let sim = Sim::start().await;
    let desk = pushed(&sim).await;
    desk.write("roc.png", PNG);
    desk.write("report.md", b"# Report\n\n![](roc.png)\n");
    desk.write("cml.yaml", b"reports:\n  to: shown\n");
    let placed = desk.says(&["cml-publish", "roc.png"]).await;
    assert!(placed.starts_with("shown/"), "{placed}");
    assert_eq!(std::fs::read(desk.path(&placed)).expect("there"), PNG);
    assert_eq!(desk.says(&["cml-send-comment", "report.md"]).await, "shown/report.md");
    // The variable wins over the file, and the flag over both.
    let desk = desk.with("CML_REPORT_TO", "of-the-variable");
    assert!(desk.says(&["cml-publish", "roc.png"]).await.starts_with("of-the-variable/"));
    assert!(desk.says(&["cml-publish", "roc.png", "--to", "repo"]).await.starts_with(&sim.repo_url()));

    // A file with a mistake stops the report, with its place; a flag needs no file.
    let desk = desk.without("CML_REPORT_TO");
    desk.write("cml.yaml", b"reports:\n  too: shown\n");
    for line in [["cml-publish", "roc.png"], ["cml-send-comment", "report.md"]] {
        let words = ["cml.yaml:2:3: reports.too: unknown key", "did you mean `to`?", "--to PLACE"];
        refused(desk.run(&line).await, &words);
    }
    assert!(desk.says(&["cml-publish", "roc.png", "--to", "repo"]).await.starts_with(&sim.repo_url()));
    // A pool's mistake is no reason to lose a report, and a flag of CML's wins over the file too.
    desk.write("cml.yaml", b"reports:\n  to: shown\nrunners:\n  gpu:\n    labls: [gpu]\n");
    assert!(desk.says(&["cml-publish", "roc.png"]).await.starts_with("shown/"));
    assert!(desk.says(&["cml-publish", "roc.png", "--native"]).await.starts_with(&sim.repo_url()));
    refused(
        desk.run(&["cml-send-github-check", "report.md"]).await,
        &["cannot show files of a directory", "--to repo"],
    );
    // Only the user's own flags may name a place outside the checkout, or one without TLS.
    for place in ["http://127.0.0.1:9/steal", "../outside", "/tmp/outside"] {
        desk.write("cml.yaml", format!("reports:\n  to: {place}\n").as_bytes());
        refused(
            desk.run(&["cml-publish", "roc.png"]).await,
            &["cml.yaml:2:7: reports.to", place, "--to may name this"],
        );
    }
    // Nor is a file asked that a stranger may have written.
    desk.write("cml.yaml", b"reports:\n  to: shown\n");
    let desk = desk.with("GITHUB_EVENT_NAME", "workflow_run");
    assert!(desk.says(&["cml-publish", "roc.png"]).await.starts_with(&sim.repo_url()));
    let desk = desk.without("GITHUB_EVENT_NAME");
    // Such a file is right, and no daemon's.
    desk.write("cml.yaml", b"reports: { to: repo }\n");
    let ran = desk.user.run(&["validate"]).await.expect_code(0);
    assert_eq!(ran.stdout, "cml.yaml is valid (reports only)\n");
    let ran = desk.user.run(&["plan", "cml.yaml"]).await.expect_code(2);
    assert!(ran.stderr.contains("cml.yaml: it says nothing of runners"), "{ran:#?}");
}
