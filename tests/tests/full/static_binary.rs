//! The program as one static file: it runs where there is nothing else, and resolves real host names there.
//!
//! What is released is built with musl; here it is the same code with the GNU C library linked into it, which looks up names in
//! its own, more delicate way (docs/decisions/0010-static-binaries.md).

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::response::IntoResponse;
use cml_e2e::edge::variable;
use cml_e2e::release::{MACHINE, VERSION, has, says};
use cml_e2e::runner::Runner;
use cml_e2e::{dns, paths, tier};
use tempfile::TempDir;

/// Variable with the path of the root, for the test inside of the namespace.
const ROOT: &str = "CML_STATIC_ROOT";
const NO_MACHINES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId><reservationSet/></DescribeInstancesResponse>"#;

/// The static program, built where the next run finds it again.
fn built() -> PathBuf {
    let target = format!("{MACHINE}-unknown-linux-gnu");
    let dir = paths::target_dir().join("static");
    let cargo = variable("CARGO");
    let mut command = Command::new(if cargo.is_empty() { "cargo" } else { &cargo });
    command
        .args(["build", "--quiet", "--locked", "-p", "cml-runner", "--target", &target, "--target-dir"])
        .arg(&dir);
    // With a target of its own, what runs while it is built stays as it is.
    command.env("RUSTFLAGS", "-C target-feature=+crt-static").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let status = command.current_dir(paths::tests_dir()).status().expect("cargo starts");
    assert!(status.success(), "the static program cannot be built: {status}");
    dir.join(target).join("debug/cml-runner")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_no_other_file_and_finds_host_names_in_an_empty_root() {
    if tier::is_left_to_full("the static program") {
        return;
    }
    assert!(rustix::process::geteuid().is_root(), "an empty root and a network of one's own need root");
    for tool in ["readelf", "chroot", "unshare", "ip"] {
        assert!(has(tool), "{tool} is not installed (packages binutils, coreutils, util-linux, iproute2)");
    }
    let _turn = tier::building().await;
    let program = built();
    let headers = Command::new("readelf").args(["--program-headers", "--dynamic"]).arg(&program).output();
    let headers = String::from_utf8_lossy(&headers.expect("readelf").stdout).into_owned();
    assert!(headers.contains("LOAD"), "{headers}");
    assert!(!headers.contains("INTERP") && !headers.contains("(NEEDED)"), "it is not static: {headers}");

    let root = TempDir::with_prefix("cml-e2e-root-").expect("a directory");
    std::fs::copy(&program, root.path().join("cml-runner")).expect("copied");
    // Nothing here speaks TLS, but in a build for development the AWS SDK asserts that there are certificates.
    std::fs::copy(paths::tests_dir().join("data/ca.pem"), root.path().join("ca.pem")).expect("copied");
    // Every container has them. A GNU static program needs them, since it cannot look for getrandom; a musl one does not.
    let dev = root.path().join("dev");
    std::fs::create_dir(&dev).expect("a directory");
    for (name, minor) in [("random", "8"), ("urandom", "9")] {
        let _ = says(Command::new("mknod").args(["--mode=666"]).arg(dev.join(name)).args(["c", "1", minor]));
    }
    let version = inside(root.path(), &["--version"], &[]);
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("cml-runner {VERSION}\n"), "{version:?}");
    let help = inside(root.path(), &["launch", "--help"], &[]);
    assert!(help.status.success() && help.stderr.is_empty(), "{help:?}");

    // With a shell and curl around it, a whole job.
    let demo = Runner::new().start_program(program.as_os_str(), &["demo", "--json"]).finish().await;
    assert_eq!(demo.expect_code(0).json()["job"]["conclusion"], "success");

    // The rest of this test, on a network where port 53 is ours.
    let this = std::env::current_exe().expect("the test program has a path");
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(this)
        .args(["--ignored", "--exact", "static_binary::names_in_a_network_of_its_own", "--nocapture"])
        .env(ROOT, root.path())
        .output()
        .expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

/// Runs the program in the root, with nothing of this process's environment.
fn inside(root: &Path, line: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new("chroot");
    command
        .arg(root)
        .arg("/cml-runner")
        .args(line)
        .env_clear()
        .env("PATH", variable("PATH"))
        .env("HOME", "/");
    command.envs(env.iter().copied()).stdin(Stdio::null()).output().expect("chroot starts")
}

type Hosts = Arc<Mutex<Vec<String>>>;

async fn answer(State(hosts): State<Hosts>, request: Request) -> impl IntoResponse {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    hosts.lock().expect("never poisoned").push(host.split(':').next().unwrap_or_default().to_owned());
    if request.method() == "POST" {
        ([(CONTENT_TYPE, "text/xml")], NO_MACHINES)
    } else {
        ([(CONTENT_TYPE, "application/json")], r#"{"total_count": 0, "runners": []}"#)
    }
}

/// EC2 and GitHub at once, on a port of this network: nothing runs, nothing is registered.
async fn world() -> (u16, Hosts) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let hosts = Hosts::default();
    let router = Router::new().fallback(answer).with_state(Arc::clone(&hosts));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, hosts)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above, in a network namespace"]
async fn names_in_a_network_of_its_own() {
    let root = PathBuf::from(variable(ROOT));
    if !root.is_absolute() {
        return;
    }
    let asked = dns::serve(Ipv4Addr::LOCALHOST, &["ec2.us-east-1.amazonaws.com", "api.github.com"]);
    let (port, hosts) = world().await;
    let list = |ec2: &str| {
        let endpoint = format!("http://{ec2}:{port}");
        let api = format!("http://api.github.com:{port}");
        let web = format!("http://github.com:{port}");
        let env = [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIACANARY0000000000"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("SSL_CERT_FILE", "/ca.pem"),
            ("GITHUB_API_URL", api.as_str()),
            ("GITHUB_SERVER_URL", web.as_str()),
            ("GITHUB_REPOSITORY", "acme/vision"),
            ("REPO_TOKEN", "ghp_x"),
        ];
        inside(&root, &["ls", "--cloud", "aws", "--json"], &env)
    };
    let finds = |what: &str, ec2: &str| {
        hosts.lock().expect("never poisoned").clear();
        asked.lock().expect("never poisoned").clear();
        let listed = list(ec2);
        assert!(listed.status.success(), "{what}: {listed:?}");
        assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), "[]", "{what}: {listed:?}");
        let spoken_to = hosts.lock().expect("never poisoned").clone();
        assert!(spoken_to.iter().any(|host| host == ec2), "{what}: {spoken_to:?}");
        asked.lock().expect("never poisoned").clone()
    };
    let etc = root.join("etc");

    // No /etc at all: the C library asks a name server on this machine.
    let names = finds("without /etc", "ec2.us-east-1.amazonaws.com");
    assert!(names.iter().any(|name| name == "ec2.us-east-1.amazonaws.com"), "{names:?}");

    std::fs::create_dir(&etc).expect("a directory");
    std::fs::write(etc.join("resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        .expect("written");
    let _ = finds("with resolv.conf", "ec2.us-east-1.amazonaws.com");

    std::fs::write(etc.join("hosts"), "127.0.0.1 localhost ec2.internal\n").expect("written");
    let names = finds("with hosts", "ec2.internal");
    assert!(!names.iter().any(|name| name == "ec2.internal"), "the file was enough: {names:?}");

    // As on a desktop: services whose shared objects are not here.
    let services =
        "hosts: files mymachines mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] myhostname dns\n";
    std::fs::write(etc.join("nsswitch.conf"), services).expect("written");
    let _ = finds("with nsswitch.conf", "ec2.us-east-1.amazonaws.com");
    std::fs::remove_file(etc.join("nsswitch.conf")).expect("removed");

    let nowhere = list("ec2.nowhere.example");
    let words = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert_eq!(nowhere.status.code(), Some(1), "{nowhere:?}");
    assert!(words.starts_with("error: "), "{words}");
}
