//! action.yml and its script: a release over HTTP becomes a program on the PATH of a job, which launches and reports.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cml_e2e::action::{Job, WORKFLOW_TOKEN, act, action, input_of, named_values, step};
use cml_e2e::desk::{Desk, sim_with_workflow_token};
use cml_e2e::release::{MACHINE, Shop, VERSION, of_the_program, script, target};
use cml_e2e::runner::{Ran, Runner};
use cml_e2e::secrets::TOKEN;
use cml_e2e::sim::Sim;
use cml_world::CommentOn;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The inputs under `with:`.
type Inputs = &'static [(&'static str, &'static str)];

/// Returns a release 9.9.9 whose program prints how it was called.
fn telling_release() -> BTreeMap<String, Vec<u8>> {
    const PROGRAM: &str = r#"#!/bin/sh
[ "$1" != --version ] || { echo "cml-runner 9.9.9"; exit; }
for word do echo "word: $word"; done
env | sed -n -e 's/^REPO_TOKEN=/token: /p' -e 's/^CML_APP_ID=/app: /p'
env | grep -E '^(INPUT_TOKEN|INPUT_APP_KEY|WORKFLOW_TOKEN)=' || :
[ -z "${CML_APP_KEY_FILE:-}" ] || sed 's/^/key: /' "$CML_APP_KEY_FILE"
"#;
    let dir = TempDir::new().expect("a directory");
    let name = format!("cml-runner-9.9.9-{}", target());
    let program = dir.path().join(&name).join("cml-runner");
    std::fs::create_dir(dir.path().join(&name)).expect("a directory");
    std::fs::write(&program, PROGRAM).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let packed = Command::new("tar").arg("-C").arg(dir.path()).args(["-czf", "-", &name]).output();
    let packed = packed.expect("tar").stdout;
    let sum: String = Sha256::digest(&packed).iter().map(|byte| format!("{byte:02x}")).collect();
    let sums = format!("{sum}  {name}.tar.gz\n");
    BTreeMap::from([(format!("{name}.tar.gz"), packed), ("SHA256SUMS".to_owned(), sums.into_bytes())])
}

fn nobody() -> Runner {
    Runner::new().with("GITHUB_ACTIONS", "true")
}

/// Asserts that the step fails with this message on the run's page.
#[track_caller]
fn refuses(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let error = ran.stdout.lines().find_map(|line| line.strip_prefix("::error title=cml-runner::"));
    let error = error.unwrap_or_else(|| panic!("nothing for the run's page: {ran:#?}"));
    for word in words {
        assert!(error.contains(word), "no {word:?} in {error}");
    }
}

#[test]
fn every_input_goes_to_the_script_by_the_environment_and_the_script_knows_no_other() {
    let action = action();
    let step = step(&action);
    let run = step["run"].as_str().expect("a script");
    assert!(!run.contains("${{"), "what a caller wrote is code in {run}");
    let inputs: BTreeSet<String> = action["inputs"].as_object().expect("inputs").keys().cloned().collect();
    let environment = step["env"].as_object().expect("an environment");
    let mut passed = BTreeSet::new();
    for (name, value) in environment {
        let Some(input) = value.as_str().and_then(input_of) else { continue };
        assert_eq!(*name, format!("INPUT_{}", input.to_uppercase().replace('-', "_")));
        passed.insert(input.to_owned());
    }
    assert_eq!(passed, inputs);
    let text = std::fs::read_to_string(script("action/run.sh")).expect("the script");
    let mut read = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        for after in line.split("$(input ").skip(1) {
            let name = after.split(')').next().unwrap_or_default();
            // `"$2"` is that of `add`, below.
            if !name.starts_with('"') {
                read.insert(name.to_owned());
            }
        }
        if let Some(words) = line.trim().strip_prefix("add --") {
            read.insert(words.split(' ').nth(1).unwrap_or_default().to_owned());
        }
    }
    let read: BTreeSet<String> = read.iter().map(|name| name.to_lowercase().replace('_', "-")).collect();
    assert_eq!(read, inputs);
    for input in action["inputs"].as_object().expect("inputs").values() {
        assert!(input["description"].as_str().is_some_and(|text| !text.is_empty()), "{input}");
    }
    for (name, output) in action["outputs"].as_object().expect("outputs") {
        assert_eq!(
            output["value"],
            format!("${{{{ steps.{}.outputs.{name} }}}}", step["id"].as_str().expect("an id"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_puts_the_program_on_the_path_under_all_its_names_and_downloads_it_once() {
    let shop = Shop::with(of_the_program(), VERSION).await;
    let (job, ran) = Job::new(nobody(), &shop.url).uses(&[]).await;
    let ran = ran.expect_code(0);
    assert_eq!(ran.stdout, format!("cml-runner {VERSION}\n"), "{ran:#?}");
    let bin = job.told("path").trim().to_owned();
    assert!(Path::new(&bin).starts_with(job.user.home().join("tools")), "{bin}");
    let user = job.user.with("PATH", &format!("{bin}:/usr/bin:/bin"));
    for name in [
        "cml",
        "cml-publish",
        "cml-send-comment",
        "cml-send-github-check",
        "cml-pr",
        "cml-tensorboard-dev",
        "cml-report",
    ] {
        let help = user.run_program("sh", &["-c", &format!("{name} --help")]).await.expect_code(0);
        assert!(help.stdout.contains("Usage: cml"), "{name}: {help:#?}");
    }
    assert_eq!(shop.asked().len(), 2, "{:?}", shop.asked());
    let (job, ran) = Job::new(user, &shop.url).uses(&[("version", &format!("v{VERSION}"))]).await;
    let _ = ran.expect_code(0);
    assert_eq!(job.told("path").lines().collect::<Vec<_>>(), [&bin, &bin]);
    assert_eq!(shop.asked().len(), 2, "it is in the tool cache: {:?}", shop.asked());
    let left = std::fs::read_dir(job.user.home().join("temp")).expect("a directory").count();
    assert_eq!(left, 0, "nothing of the download is left");
}

/// An earlier job on the runner could have left anything in its tool cache, and a program found there gets the token.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_runner_that_stays_no_program_of_an_earlier_job_is_run() {
    let shop = Shop::with(&telling_release(), "9.9.9").await;
    for environment in ["self-hosted", ""] {
        let job = Job::new(nobody(), &shop.url);
        let planted = job.user.home().join("tools/cml-runner/9.9.9").join(MACHINE);
        std::fs::create_dir_all(&planted).expect("a directory");
        std::fs::write(planted.with_extension("complete"), "").expect("written");
        std::fs::write(planted.join("cml-runner"), "#!/bin/sh\necho planted\n").expect("written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(planted.join("cml-runner"), mode).expect("a mode");
        let job = Job { user: job.user.with("RUNNER_ENVIRONMENT", environment) };
        let with = [("command", "launch"), ("version", "9.9.9"), ("token", "ghp_given")];
        let (job, ran) = job.uses(&with).await;
        let ran = ran.expect_code(0);
        assert!(ran.stdout.contains("token: ghp_given\n") && !ran.said().contains("planted"), "{ran:#?}");
        let bin = job.told("path").trim().to_owned();
        assert!(Path::new(&bin).starts_with(job.user.home().join("temp")), "{bin}");
        // The same job's next step has it already.
        let asked = shop.asked().len();
        let (_, ran) = job.uses(&with).await;
        let _ = ran.expect_code(0);
        assert_eq!(shop.asked().len(), asked);
    }
}

/// Two steps at once, of two jobs on one machine: each finds a whole program, and no partial file is left next to it.
#[tokio::test(flavor = "multi_thread")]
async fn steps_at_the_same_time_put_one_whole_program_into_its_place() {
    let shop = Shop::with(&telling_release(), "9.9.9").await;
    let job = Job::new(nobody(), &shop.url);
    let home = job.user.home().to_owned();
    let run = "for _ in 1 2 3 4 5 6; do \"$0\" & all=\"${all-} $!\"; done; for one in $all; do wait \"$one\" || exit; done";
    let run_step = script("action/run.sh").display().to_string();
    let user = job.user.with("INPUT_VERSION", "9.9.9").with("INPUT_COMMAND", "setup");
    let ran = user.run_program("bash", &["-c", run, &run_step]).await.expect_code(0);
    assert_eq!(ran.stdout, "cml-runner 9.9.9\n".repeat(6), "{ran:#?}");
    let names: Vec<_> =
        std::fs::read_dir(home.join("tools/cml-runner/9.9.9")).expect("a directory").collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let path = std::fs::read_to_string(home.join("path")).expect("written");
    assert_eq!(path.lines().count(), 6, "{path}");
}

/// The action as a program that runs workflows understands it, independently of our own reading.
#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_uses_the_action_and_its_later_steps_have_the_program() {
    const WORKFLOW: &str = "
on: push
jobs:
  report:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: ./
      - run: echo \"found $(cml-runner --version)\"; cml-publish --help | cat
";
    let shop = Shop::with(of_the_program(), VERSION).await;
    let user = nobody();
    let checkout = user.home().join("checkout");
    let top = script("..");
    let line = "mkdir -p \"$0/.github/workflows\" \"$0/packaging\" && cd \"$1\" && cp action.yml Cargo.toml \"$0\" \\
        && cp -r packaging/action packaging/version.sh \"$0/packaging\" && cd \"$0\" && printf %s \"$2\" >.github/workflows/w.yml \\
        && git init --quiet && git add --all && git -c user.name=A -c user.email=a@example.com commit --quiet --message A";
    let (checkout, top) = (checkout.display().to_string(), top.display().to_string());
    let _ = user.run_program("sh", &["-c", line, &checkout, &top, WORKFLOW]).await.expect_code(0);
    let cache = user.home().join("act").display().to_string();
    let releases = format!("CML_RUNNER_RELEASES={}", shop.url);
    let mut words = vec!["push", "--directory", &checkout, "--platform", "ubuntu-latest=-self-hosted"];
    words.extend(["--action-cache-path", &cache, "--no-cache-server", "--artifact-server-addr", "127.0.0.1"]);
    words.extend(["--env", &releases]);
    let act = act();
    let ran = user.start_program(act.as_os_str(), &words).finish().await.expect_code(0);
    let said = ran.said();
    assert!(
        said.contains(&format!("found cml-runner {VERSION}")) && said.contains("Usage: cml publish"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_posted_and_written_over_with_the_workflows_own_token() {
    let sim = sim_with_workflow_token().await;
    let sha = sim.commit_files(&[("train.py", b"pass\n")], "change");
    let number = sim.open_pull(Some(&sha));
    let desk = Desk::on_pull(&sim, number, &sha, Some("acme/vision")).without("REPO_TOKEN");
    desk.write("report.md", b"# First\n");
    let shop = Shop::with(of_the_program(), VERSION).await;
    let with = [("command", "report"), ("report", "report.md"), ("update", "true")];
    let (job, ran) = Job::new(desk.user, &shop.url).uses(&with).await;
    let _ = ran.expect_code(0);
    std::fs::write(job.user.home().join("report.md"), "# Second\n").expect("written");
    let (_, ran) = job.uses(&with).await;
    let _ = ran.expect_code(0);
    let comments = sim.comments();
    assert_eq!(comments.len(), 1, "{comments:#?}");
    assert_eq!(comments[0].on, CommentOn::Issue(number));
    assert!(comments[0].body.starts_with("# Second"), "{}", comments[0].body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_gets_a_machine_for_the_next_job_and_says_which() {
    let sim = Sim::start().await;
    let shop = Shop::with(of_the_program(), VERSION).await;
    let queued = sim.queue("gpu-7", "echo trained");
    let (job, ran) = Job::new(sim.user().without("REPO_TOKEN"), &shop.url)
        .uses(&[
            ("command", "launch"),
            ("token", TOKEN),
            ("cloud", "local"),
            ("labels", "gpu-7,cml"),
            ("idle-timeout", "60s"),
            ("max-lifetime", "5m"),
            ("args", "--boot-timeout 30s\n--launch-id 01k9z3v6p4q8r2s5t7w0x1y2ac"),
        ])
        .await;
    let _ = ran.expect_code(0);
    let view = sim.succeeds(queued).await;
    let told = named_values(&job.told("output"));
    assert_eq!(view.runner_name.as_deref(), Some(told["runner"].as_str()));
    assert_eq!(told["label"], "gpu-7,cml");
    assert_eq!(told["launch-id"], "01k9z3v6p4q8r2s5t7w0x1y2ac");
    let outputs: Vec<Value> =
        action()["outputs"].as_object().expect("outputs").keys().cloned().map(Value::from).collect();
    assert_eq!(outputs.len(), told.len());
    assert!(outputs.iter().all(|name| told.contains_key(name.as_str().unwrap_or_default())), "{told:?}");
    job.user.until_quiet(Duration::from_secs(25)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_passed_as_they_are_and_nothing_of_them_is_run() {
    let shop = Shop::with(&telling_release(), "9.9.9").await;
    let (job, ran) = Job::new(nobody(), &shop.url)
        .uses(&[
            ("command", "launch"),
            ("version", "9.9.9"),
            ("labels", "$(touch pwned); `touch pwned`"),
            ("type", "--spot"),
            ("disk", "100"),
            ("args", "--tag 'team=vision research' --gpu a10g\n--name \"$(touch pwned)\" a\\ b *"),
            ("token", "ghp_given"),
        ])
        .await;
    let ran = ran.expect_code(0);
    let words: Vec<&str> = ran.stdout.lines().filter_map(|line| line.strip_prefix("word: ")).collect();
    assert_eq!(
        words,
        [
            "launch",
            "--cloud=aws",
            "--type=--spot",
            "--labels=$(touch pwned); `touch pwned`",
            "--disk=100",
            "--tag",
            "team=vision research",
            "--gpu",
            "a10g",
            "--name",
            "$(touch pwned)",
            "a b",
            "*",
        ]
    );
    assert!(!job.user.home().join("pwned").exists());
    assert!(ran.stdout.contains("token: ghp_given\n") && !ran.said().contains("INPUT_TOKEN"), "{ran:#?}");
    assert!(!ran.said().contains(WORKFLOW_TOKEN), "a launch never gets the workflow's own token: {ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apps_key_goes_through_a_pipe() {
    let shop = Shop::with(&telling_release(), "9.9.9").await;
    let key = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----";
    let with = [("command", "launch"), ("version", "9.9.9"), ("app-id", "77"), ("app-key", key)];
    let (job, ran) = Job::new(nobody(), &shop.url).uses(&with).await;
    let ran = ran.expect_code(0);
    let told: Vec<&str> = ran.stdout.lines().filter_map(|line| line.strip_prefix("key: ")).collect();
    assert_eq!(told.join("\n"), key, "{ran:#?}");
    assert!(ran.stdout.contains("app: 77\n") && !ran.stdout.contains("INPUT_APP_KEY"), "{ran:#?}");
    let found = Command::new("grep").args(["-rl", "BEGIN RSA"]).arg(job.user.home()).output().expect("grep");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the key is in a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_the_sums_say_is_not_unpacked() {
    let mut release = telling_release();
    let name = format!("cml-runner-9.9.9-{}.tar.gz", target());
    release.get_mut(&name).expect("the archive").push(0);
    let shop = Shop::with(&release, "9.9.9").await;
    let (job, ran) = Job::new(nobody(), &shop.url).uses(&[("version", "9.9.9")]).await;
    refuses(&ran, &[&name, "SHA256SUMS", "nothing was unpacked"]);
    assert_eq!(job.told("path"), "");
    assert!(!job.user.home().join("tools/cml-runner").exists());

    release.insert("SHA256SUMS".to_owned(), b"0000  something-else.tar.gz\n".to_vec());
    let shop = Shop::with(&release, "9.9.9").await;
    let (_, ran) = Job::new(nobody(), &shop.url).uses(&[("version", "9.9.9")]).await;
    refuses(&ran, &[&name, "does not tell the checksum", "nothing was unpacked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_is_told_on_the_runs_page_with_what_to_do() {
    let shop = Shop::with(&telling_release(), "9.9.9").await;
    let cases: [(Inputs, &[&str]); 12] = [
        (&[("command", "deploy")], &["command", "\"deploy\"", "setup launch report"]),
        (&[("version", "latest")], &["\"latest\"", "1.2.3", "leave it out"]),
        (&[("version", "9.9.8")], &["no cml-runner 9.9.8", "v9.9.8/SHA256SUMS", "/releases"]),
        (&[("command", "report"), ("version", "9.9.9")], &["needs the input report"]),
        (&[("command", "report"), ("version", "9.9.9"), ("report", "gone.md")], &["gone.md is not there"]),
        (
            &[("command", "launch"), ("version", "9.9.9"), ("cloud", "gcp")],
            &["cloud", "\"gcp\"", "aws local"],
        ),
        (&[("command", "launch"), ("version", "9.9.9"), ("spot", "yes")], &["spot", "only prefer never"]),
        (&[("command", "launch"), ("version", "9.9.9"), ("disk", "100GB")], &["disk", "whole GB"]),
        (&[("command", "launch"), ("version", "9.9.9"), ("args", "--tag 'a=b")], &["args", "quote"]),
        (&[("command", "launch"), ("version", "9.9.9"), ("app-id", "7")], &["app-key", "belong together"]),
        (
            &[("command", "launch"), ("version", "9.9.9"), ("app-id", "7"), ("app-key", "k"), ("token", "t")],
            &["both given"],
        ),
        (&[("command", "a%0A::add-mask::b\nc")], &["a%250A::add-mask::b%0Ac"]),
    ];
    for (with, words) in cases {
        let (_, ran) = Job::new(nobody(), &shop.url).uses(with).await;
        refuses(&ran, words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_systems_and_machines_are_told_what_there_is() {
    for (system, machine, words) in [
        ("Linux", "riscv64", ["architecture riscv64", "x86-64 or arm64"]),
        ("Darwin", "arm64", ["for Darwin", "ubuntu-latest"]),
        ("MINGW64_NT-10.0", MACHINE, ["for MINGW64_NT-10.0", "ubuntu-latest"]),
    ] {
        let user = nobody();
        let uname = user.home().join("bin/uname");
        std::fs::create_dir(user.home().join("bin")).expect("a directory");
        let text = format!("#!/bin/sh\ncase $1 in -s) echo {system} ;; -m) echo {machine} ;; esac\n");
        std::fs::write(&uname, text).expect("written");
        std::fs::set_permissions(&uname, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        let path = format!("{}:/usr/bin:/bin", user.home().join("bin").display());
        let (_, ran) = Job::new(user.with("PATH", &path), "http://127.0.0.1:9").uses(&[]).await;
        refuses(&ran, &words);
    }
}
