//! The rendered script: its text, shellcheck's findings, and its behaviour in a real `sh`.

#![allow(clippy::disallowed_methods, reason = "tests are an edge: real time, a real shell")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cml_bootstrap::{
    Bootstrap, BootstrapError, MAX_BYTES, Machine as On, Registration, RunnerPackage, explain, preview,
    render,
};
use cml_cloud::{Arch, Deadline, LaunchId, Market, Offer, Resources, UsdPerHour};
use cml_spec::Setup;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use secrecy::SecretString;
use ulid::Ulid;

fn bootstrap() -> Bootstrap {
    Bootstrap {
        launch: LaunchId::new(Ulid::from_parts(1_767_225_600_000, 7)),
        runner_name: "cml-it's mine".to_owned(),
        registration: Registration::Jit { encoded: SecretString::from("c2VjcmV0LWJsb2I=") },
        package: RunnerPackage {
            url: "https://example.com/runner.tar.gz".to_owned(),
            sha256: Some("ab".repeat(32)),
            token: None,
        },
        deadline: Deadline(Timestamp::from_second(1_767_229_200).expect("in range")),
        boot_timeout: SignedDuration::from_mins(10),
        idle_timeout: Some(SignedDuration::from_mins(5)),
        machine: On::Local,
        offers: Vec::new(),
        setup: Setup { startup_script: Some(b"#!/bin/sh\necho 'hello'\n".to_vec()), ..Setup::default() },
    }
}

#[test]
fn the_preview_shows_everything_but_the_secret() {
    let bootstrap = Bootstrap { machine: On::Cloud { gpu: true }, ..bootstrap() };
    let text = preview(&bootstrap).expect("renders");
    assert!(!text.contains("c2VjcmV0"), "the secret shows");
    let with_token = RunnerPackage { token: Some(SecretString::from("T0ken")), ..bootstrap.package.clone() };
    let with_token = Bootstrap { package: with_token, ..bootstrap.clone() };
    let shown = preview(&with_token).expect("renders");
    assert!(
        !shown.contains("T0ken") && shown.contains("package_token='<redacted>'"),
        "the download's token shows"
    );
    let sent = render(&Bootstrap { machine: On::Local, ..with_token }).expect("renders").expose().to_vec();
    assert!(String::from_utf8_lossy(&sent).contains("package_token='T0ken'"), "the machine does not get it");
    let (values, _) = text.split_once("machine=${").expect("the values come first");
    insta::assert_snapshot!(values);
}

#[test]
fn the_preview_of_a_token_registration_hides_the_token() {
    let mut bootstrap = bootstrap();
    bootstrap.registration = Registration::Token {
        url: "https://github.com/acme/vision".to_owned(),
        token: SecretString::from("AABBCC"),
        labels: vec!["cml".to_owned(), "gpu".to_owned()],
        default_labels: true,
        group: Some("lab's".to_owned()),
    };
    let text = preview(&bootstrap).expect("renders");
    assert!(!text.contains("AABBCC"), "the secret shows");
    let values = text
        .lines()
        .filter(|line| line.starts_with('r') && line.contains("='"))
        .collect::<Vec<_>>()
        .join("\n");
    insta::assert_snapshot!(values, @r"
    registration_kind='token' # jit or token
    registration='<redacted>'           # secret: never an argument
    runner_name='cml-it'\''s mine'
    runner_url='https://github.com/acme/vision'
    runner_labels='cml,gpu'
    runner_group='lab'\''s'
    ");
}

#[test]
fn shellcheck_has_nothing_to_say() {
    let shellcheck = |text: &str| {
        let mut child =
            Command::new("shellcheck").arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        child.stdin.take()?.write_all(text.as_bytes()).ok()?;
        child.wait_with_output().ok()
    };
    match shellcheck(&preview(&bootstrap()).expect("renders")) {
        None => skipped("shellcheck is not installed"),
        Some(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
    }
}

#[test]
fn a_real_jit_configuration_and_a_startup_script_fit() {
    let mut bootstrap = bootstrap();
    // GitHub's blobs have about 4 to 5 kB; their content does not compress beyond its base64.
    bootstrap.registration = Registration::Jit { encoded: SecretString::from(noise(5_000)) };
    bootstrap.machine = On::Cloud { gpu: true };
    // Of text that people write, 7 kB: every line differs, and its words repeat.
    let lines = noise(800).into_bytes();
    let lines = lines.chunks(4).map(String::from_utf8_lossy).enumerate();
    let lines = lines.map(|(n, word)| format!("apt-get install -y lib{word}-dev={n}\n")).collect::<String>();
    assert!(lines.len() > 6_500, "{}", lines.len());
    bootstrap.setup.startup_script = Some(lines.into_bytes());
    bootstrap.offers = (0..200).map(offer).collect();
    let bytes = render(&bootstrap).expect("fits").expose().to_vec();
    assert!(bytes.len() <= MAX_BYTES, "{} bytes", bytes.len());
    assert_eq!(render(&bootstrap).expect("fits").expose(), bytes, "the same launch gives the same bytes");
}

/// Returns one of many offers, each with a different price.
fn offer(number: u32) -> Offer {
    Offer {
        region: "us-east-1".to_owned(),
        zone: Some(format!("us-east-1{}", char::from(b'a' + u8::try_from(number % 6).expect("a letter")))),
        instance_type: format!("g{}.{}xlarge", 4 + number % 3, number / 6 + 1),
        market: Market::Spot,
        price: Some(UsdPerHour(Decimal::new(i64::from(number * 7_919 % 99_991), 4))),
        resources: Resources { vcpus: 4, memory_mib: 16_384, gpu: None, arch: Arch::X64 },
        driver: cml_cloud::Driver::None,
        quota: None,
        disk: None,
    }
}

#[test]
fn offers_make_room_for_what_the_user_gives() {
    let mut bootstrap = bootstrap();
    bootstrap.registration = Registration::Jit { encoded: SecretString::from(noise(5_000)) };
    bootstrap.machine = On::Cloud { gpu: true };
    bootstrap.offers = (0..200).map(offer).collect();
    let fits = |bytes: usize, offers: &[Offer]| {
        let setup = Setup { startup_script: Some(noise(bytes).into_bytes()), ..Setup::default() };
        render(&Bootstrap { setup, offers: offers.to_vec(), ..bootstrap.clone() }).is_ok()
    };
    let most = (1_000..8_000).step_by(50).take_while(|bytes| fits(*bytes, &[])).last().expect("one fits");
    assert!(fits(most, &bootstrap.offers), "{most} bytes");
}

#[test]
fn what_is_sent_is_explained() {
    let bootstrap = Bootstrap { machine: On::Cloud { gpu: false }, ..bootstrap() };
    let explained = explain(&bootstrap).expect("fits");
    assert_eq!(explained.sent, render(&bootstrap).expect("fits").expose().len());
    let largest = explained.parts.iter().map(|part| part.bytes).max().expect("parts");
    assert!(explained.packed && explained.sent < largest, "{explained:?}");
}

#[test]
fn a_package_with_a_name_for_the_shell_is_refused() {
    let mut bootstrap = bootstrap();
    bootstrap.setup.packages = vec!["git".to_owned(), "x;reboot".to_owned()];
    assert!(render(&bootstrap).expect_err("is no name").to_string().contains("\"x;reboot\""));
}

#[test]
fn what_is_too_large_says_how_large_and_why() {
    let mut bootstrap = bootstrap();
    bootstrap.machine = On::Cloud { gpu: false };
    bootstrap.setup.startup_script = Some(noise(30_000).into_bytes());
    let error = render(&bootstrap).expect_err("cannot fit");
    let BootstrapError::TooLarge { packed, limit, own_part, advice, .. } = &error else { panic!("{error}") };
    assert!(packed > limit && *own_part > 15_000, "{error}");
    assert!(advice.contains("shorten the startup script"), "{error}");
}

#[allow(clippy::print_stdout, reason = "the test's reader is to know")]
fn skipped(why: &str) {
    println!("SKIPPED: {why}");
}

/// Returns letters without a pattern, the same each time.
fn noise(length: usize) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(alphabet[(state >> 58) as usize])
    };
    (0..length).map(|_| letter()).collect()
}

/// A machine of a test: its own directory, and a runner package that is one small shell script.
struct Machine {
    dir: tempfile::TempDir,
    bootstrap: Bootstrap,
}

impl Machine {
    fn with_runner(run_sh: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let package = dir.path().join("package");
        std::fs::create_dir(&package).expect("a directory");
        program(&package.join("run.sh"), run_sh);
        program(
            &package.join("config.sh"),
            "#!/bin/sh\necho \"args $*\"; [ -n \"$ACTIONS_RUNNER_INPUT_TOKEN\" ] && echo with a token >configured\n",
        );
        let tarball = dir.path().join("runner.tar.gz");
        let tar = Command::new("tar").arg("-czf").arg(&tarball).arg("-C").arg(&package).arg(".").status();
        assert!(tar.expect("tar runs").success());
        let sum = Command::new("sha256sum").arg(&tarball).output().expect("sha256sum runs");
        let sum = String::from_utf8(sum.stdout).expect("text").split(' ').next().map(str::to_owned);
        let now = Timestamp::now();
        let mut bootstrap = bootstrap();
        bootstrap.launch = LaunchId::new(Ulid::from_parts(now.as_millisecond().unsigned_abs(), 7));
        bootstrap.package =
            RunnerPackage { url: format!("file://{}", tarball.display()), sha256: sum, token: None };
        bootstrap.deadline = Deadline(now + SignedDuration::from_secs(60));
        bootstrap.setup = Setup::default();
        Self { dir, bootstrap }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home it's")
    }

    /// Runs the script to its end, as the local provider does.
    fn run(&self) -> String {
        self.run_with(&[])
    }

    /// Runs it with additional programs.
    fn run_with(&self, tools: &[PathBuf]) -> String {
        let path = std::env::var_os("PATH").expect("a path");
        let path =
            std::env::join_paths(tools.iter().cloned().chain(std::env::split_paths(&path))).expect("a path");
        let file = self.dir.path().join("user-data");
        std::fs::write(&file, render(&self.bootstrap).expect("renders").expose()).expect("written");
        std::fs::create_dir_all(self.home()).expect("a directory");
        let output: Output = Command::new("sh")
            .arg(&file)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home())
            .env("CML_MACHINE", "local")
            .env("CML_INSTANCE", format!("test-{}-{}", self.bootstrap.launch, self.dir.path().display()))
            .current_dir(self.home())
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("sh runs");
        assert!(!file.exists(), "the file with the secret is still there");
        String::from_utf8(output.stdout).expect("text")
    }
}

fn program(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

#[track_caller]
fn ended(console: &str, words: &str) {
    let last = console.lines().filter(|line| line.starts_with("cml-runner: last words:")).collect::<Vec<_>>();
    assert_eq!(last, [format!("cml-runner: last words: {words}")], "console:\n{console}");
}

const ONE_JOB: &str = r#"#!/bin/sh
echo "2026-11-29 10:00:00Z: Listening for Jobs"
echo "got $ACTIONS_RUNNER_INPUT_JITCONFIG"
tr '\0' ' ' </proc/$$/cmdline | grep c2Vj && echo "secret in argv"
cat "$HOME"/.cml-shared/registration 2>/dev/null && echo "secret still in its file"
echo "2026-11-29 10:00:00Z: Running job: build"
"$ACTIONS_RUNNER_HOOK_JOB_STARTED" || echo "hook failed"
[ -e "$HOME/.cml-shared/busy" ] || echo "not busy"
"$ACTIONS_RUNNER_HOOK_JOB_COMPLETED" || echo "hook failed"
echo "2026-11-29 10:00:00Z: Job build completed with result: Succeeded"
"#;

#[test]
fn a_job_finds_what_the_machine_knows_of_itself_and_what_its_gpus_do() {
    let run = "#!/bin/sh\necho \"2026-11-29 10:00:00Z: Listening for Jobs\"\necho \"2026-11-29 10:00:00Z: Running job: report\"\nuntil [ -s \"$CML_MACHINE_FACTS/gpu\" ]; do sleep 0.1; done\ncat \"$CML_MACHINE_FACTS\"/*\n\
               echo \"2026-11-29 10:00:00Z: Job report completed with result: Succeeded\"\n";
    let mut machine = Machine::with_runner(run);
    machine.bootstrap.offers = vec![offer(7), offer(7)];
    let tools = machine.dir.path().join("tools");
    std::fs::create_dir(&tools).expect("a directory");
    program(&tools.join("nvidia-smi"), "#!/bin/sh\necho \"NVIDIA T4, 97, 11000, 15360\" \"$@\"\n");
    let console = machine.run_with(&[tools]);
    ended(&console, "stage=listening cause=job_done status=0");
    for part in [
        "machine=local\n",
        "since=20",
        "\noffer=g5.2xlarge * spot 5.5433\n",
        "NVIDIA T4, 97, 11000, 15360 --query-gpu=name,utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits\n",
    ] {
        assert!(console.contains(part), "no {part:?} in {console}");
    }
}

#[test]
fn what_the_gpus_did_is_kept_within_bounds() {
    let script = preview(&bootstrap()).expect("renders");
    let (_, rest) = script.split_once("\nwatch_gpus() {").expect("the function");
    let (body, _) = rest.split_once("\n}\n").expect("its end");
    let dir = tempfile::tempdir().expect("a directory");
    // One line of GPU use, of a machine that has had many.
    std::fs::write(dir.path().join("gpu"), "x\n".repeat(19_999) + "old\n").expect("written");
    let once = format!(
        "facts=$1\ntimeout() {{ echo new; }}\nsleep() {{ exit 0; }}\nwatch_gpus() {{{body}\n}}\nwatch_gpus\n"
    );
    let ran = Command::new("sh").args(["-c", &once, "sh"]).arg(dir.path()).status().expect("sh runs");
    assert!(ran.success());
    let kept = std::fs::read_to_string(dir.path().join("gpu")).expect("there");
    assert_eq!(kept.lines().count(), 10_000);
    assert!(kept.ends_with("old\nnew\n"), "the latest ones");
}

#[test]
fn one_job_is_done_and_the_machine_ends() {
    let console = Machine::with_runner(ONE_JOB).run();
    ended(&console, "stage=listening cause=job_done status=0");
    assert!(console.contains("got c2VjcmV0LWJsb2I="), "{console}");
    for wrong in ["secret in argv", "secret still", "hook failed", "not busy"] {
        assert!(!console.contains(wrong), "{wrong}:\n{console}");
    }
}

#[test]
fn a_token_goes_to_config_sh_by_its_environment() {
    let mut machine = Machine::with_runner(
        "#!/bin/sh\ncat configured\necho \"2026-11-29 10:00:00Z: Listening for Jobs\"; sleep 3\n",
    );
    machine.bootstrap.registration = Registration::Token {
        url: "https://github.com/acme/vision".to_owned(),
        token: SecretString::from("AABBCC"),
        labels: vec!["cml".to_owned(), "gpu".to_owned()],
        default_labels: true,
        group: None,
    };
    let console = machine.run();
    ended(&console, "stage=listening cause=runner_exited status=0");
    let args = "args --unattended --replace --url https://github.com/acme/vision --name cml-it's mine --labels cml,gpu\n";
    assert!(console.contains(args) && console.contains("with a token\n"), "{console}");
}

#[test]
fn a_runner_without_default_labels_is_configured_so() {
    let mut machine = Machine::with_runner("#!/bin/sh\necho Listening for Jobs\n");
    machine.bootstrap.registration = Registration::Token {
        url: "https://github.com/acme/vision".to_owned(),
        token: SecretString::from("AABBCC"),
        labels: vec!["gpu".to_owned()],
        default_labels: false,
        group: None,
    };
    let console = machine.run();
    assert!(console.contains("--labels gpu --no-default-labels\n"), "{console}");
}

/// As run-helper.sh of the runner does: it returns a known outcome as its own code only on request, and 0 for the rest.
/// <https://github.com/actions/runner/blob/main/src/Misc/layoutroot/run-helper.sh.template>
const DEPRECATED: &str = "#!/bin/sh\necho 'An error occurred: Runner version v2.300.0 is deprecated and cannot receive messages.'\n\
    if [ \"$ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE\" = 1 ]; then exit 7; fi\n\
    echo 'Runner listener exit with terminated error, stop the service, no retry needed.'\n";

#[test]
fn a_version_that_gets_no_jobs_any_more_is_told_as_such() {
    let console = Machine::with_runner(DEPRECATED).run();
    ended(&console, "stage=run cause=runner_deprecated status=7");
}

#[test]
fn a_runner_that_ends_well_without_a_job_is_told_from_one_that_failed() {
    let console = Machine::with_runner(
        "#!/bin/sh\necho '2026-11-29 13:00:01Z: Listening for Jobs'\nsleep 1\necho 'Runner listener exit with 0 return code, stop the service, no retry needed.'\n",
    )
    .run();
    ended(&console, "stage=listening cause=no_job status=0");
    for failure in [
        "An error occurred: Access denied. System:ServiceIdentity needs permission.",
        "Runner listener exit with Session Conflict error, stop the service, no retry needed.",
        "Exiting with unknown error code: 137",
        "The runner registration has been deleted from the server, please re-configure.",
    ] {
        let console = Machine::with_runner(&format!("#!/bin/sh\necho '{failure}'\n")).run();
        ended(&console, "stage=run cause=runner_exited status=0");
    }
}

#[test]
fn a_wrong_checksum_ends_the_machine_before_anything_is_unpacked() {
    let mut machine = Machine::with_runner(ONE_JOB);
    machine.bootstrap.package.sha256 = Some("00".repeat(32));
    let console = machine.run();
    let words =
        console.lines().rfind(|line| line.starts_with("cml-runner: last words:")).expect("last words");
    assert!(words.ends_with("cause=checksum status=1"), "{console}");
    assert!(console.contains(&format!("expected {}", "00".repeat(32))), "{console}");
    assert!(!machine.home().join("actions-runner").exists());
}

#[test]
fn a_startup_script_runs_first_and_its_failure_ends_the_machine() {
    let mut machine = Machine::with_runner(ONE_JOB);
    machine.bootstrap.setup.startup_script = Some(b"echo from the startup script; exit 7".to_vec());
    let console = machine.run();
    ended(&console, "stage=startup_script cause=startup_script status=7");
    assert!(console.contains("from the startup script\n"), "{console}");
}

#[test]
fn a_runner_that_never_listens_ends_the_machine() {
    let mut machine = Machine::with_runner("#!/bin/sh\nsleep 50\n");
    machine.bootstrap.boot_timeout = SignedDuration::from_secs(3);
    ended(&machine.run(), "stage=run cause=boot_timeout status=1");
}

#[test]
fn an_idle_runner_is_stopped_gently() {
    let run = "#!/bin/sh\ntrap 'echo told to stop; exit 0' TERM\necho \"2026-11-29 10:00:00Z: Listening for Jobs\"\nwhile :; do sleep 0.2; done\n";
    let mut machine = Machine::with_runner(run);
    machine.bootstrap.idle_timeout = Some(SignedDuration::from_secs(2));
    let console = machine.run();
    ended(&console, "stage=listening cause=idle_timeout status=0");
    assert!(console.contains("told to stop"), "{console}");
}

#[test]
fn a_busy_runner_is_not_idle() {
    let run = "#!/bin/sh\necho \"2026-11-29 10:00:00Z: Listening for Jobs\"\necho \"2026-11-29 10:00:00Z: Running job: long\"\nsleep 6\n\
               echo \"2026-11-29 10:00:00Z: Job long completed with result: Succeeded\"\n";
    let mut machine = Machine::with_runner(run);
    machine.bootstrap.idle_timeout = Some(SignedDuration::from_secs(2));
    ended(&machine.run(), "stage=listening cause=job_done status=0");
}

#[test]
fn the_deadline_ends_even_a_busy_runner_and_its_children_that_hide() {
    let run = "#!/bin/sh\ntrap '' TERM INT\necho \"2026-11-29 10:00:00Z: Listening for Jobs\"\necho \"2026-11-29 10:00:00Z: Running job: endless\"\n\
               setsid sh -c 'trap \"\" TERM; echo $$ >hidden; while :; do sleep 1; done' &\nwhile :; do sleep 1; done\n";
    let mut machine = Machine::with_runner(run);
    machine.bootstrap.deadline = Deadline(Timestamp::now() + SignedDuration::from_secs(6));
    ended(&machine.run(), "stage=listening cause=deadline status=0");
    let hidden = std::fs::read_to_string(machine.home().join("actions-runner/hidden")).expect("it ran");
    let left = Path::new("/proc").join(hidden.trim()).join("environ");
    assert!(std::fs::read(left).unwrap_or_default().is_empty(), "a child outlived the machine");
}

#[test]
fn a_clock_that_is_set_forward_by_days_ends_no_job_of_a_local_machine() {
    let run = "#!/bin/sh\necho \"2026-11-29 10:00:00Z: Listening for Jobs\"\necho \"2026-11-29 10:00:00Z: Running job: long\"\n\
               touch \"$HOME/clock-is-set\"\nsleep 4\necho \"by the clock it is $(date +%s)\"\n\
               echo \"2026-11-29 10:00:00Z: Job long completed with result: Succeeded\"\n";
    let machine = Machine::with_runner(run);
    let tools = machine.dir.path().join("tools");
    std::fs::create_dir(&tools).expect("a directory");
    // The first directory of the path is this test's own.
    program(
        &tools.join("date"),
        "#!/bin/sh\nPATH=${PATH#*:}\nif [ \"$*\" = +%s ] && [ -e \"$HOME/clock-is-set\" ]; then\n  \
         echo \"$(($(date +%s) + 172800))\"\nelse\n  exec date \"$@\"\nfi\n",
    );
    let console = machine.run_with(&[tools]);
    ended(&console, "stage=listening cause=job_done status=0");
    let clock = console.lines().find_map(|line| line.strip_prefix("by the clock it is ")).expect("the clock");
    let clock: i64 = clock.parse().expect("a number");
    assert!(clock > machine.bootstrap.deadline.epoch_seconds(), "the clock was not set");
}

#[test]
fn values_reach_config_sh_as_they_are() {
    let hostile = "a b'\"`id`$(id)\\ $HOME <<START %s";
    let mut machine = Machine::with_runner("#!/bin/sh\ncat arguments; sleep 3\n");
    // A line for each argument, before any program prints it.
    let package = machine.dir.path().join("package");
    program(
        &package.join("config.sh"),
        "#!/bin/sh\nprintf 'argument %s\\n' \"$@\" >arguments\nenv | sed -n 's/^CML_\\(NAME\\|URL\\|LABELS\\|GROUP\\)=/left /p' >>arguments\n",
    );
    let tarball = machine.dir.path().join("runner.tar.gz");
    let tar = Command::new("tar").arg("-czf").arg(&tarball).arg("-C").arg(&package).arg(".").status();
    assert!(tar.expect("tar runs").success());
    machine.bootstrap.package.sha256 = None;
    machine.bootstrap.runner_name = format!("name {hostile}");
    machine.bootstrap.registration = Registration::Token {
        url: format!("url {hostile}"),
        token: SecretString::from("AABBCC"),
        labels: vec![format!("label {hostile}"), "START".to_owned()],
        default_labels: true,
        group: Some(format!("group {hostile}")),
    };
    let console = machine.run();
    for line in [
        format!("argument name {hostile}\n"),
        format!("argument url {hostile}\n"),
        format!("argument label {hostile},START\n"),
        format!("argument group {hostile}\n"),
    ] {
        assert!(console.contains(&line), "no {line:?} in {console}");
    }
    assert!(!console.contains("left "), "the job's environment has our values: {console}");
}
