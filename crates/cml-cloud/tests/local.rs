//! The local provider with real processes: whichever of them is killed, nothing stays.

#![allow(clippy::disallowed_methods, reason = "tests are an edge: real time, real processes")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cml_cloud::local::{LocalCloud, LocalSettings, supervise};
use cml_cloud::{
    Cloud, Deadline, ErrorKind, Image, Instance, InstanceFilter, InstanceState, LaunchId, LaunchRequest,
    Network, OfferQuery, SpotPolicy, UserData,
};
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use ulid::Ulid;

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Not a test: the supervisor's process. This test binary is its own supervisor (see [`Lab::new`]).
#[test]
#[ignore = "the body of the supervisor processes that the other tests start"]
fn supervisor() {
    if let Some(dir) = std::env::var_os("CML_TEST_SUPERVISE") {
        supervise(Path::new(&dir)).expect("supervises");
    }
}

/// A machine as a local cloud, in a directory of its own.
struct Lab {
    dir: TempDir,
    cloud: LocalCloud,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("state");
        let cloud = Self::cloud(&dir, root);
        Self { dir, cloud }
    }

    fn cloud(dir: &TempDir, root: PathBuf) -> LocalCloud {
        let supervisor = dir.path().join("supervisor");
        let this = std::env::current_exe().expect("this program");
        let text = format!(
            "#!/bin/sh\nCML_TEST_SUPERVISE=\"$2\" exec '{}' --exact supervisor --ignored --nocapture\n",
            this.display()
        );
        std::fs::write(&supervisor, text).expect("written");
        std::fs::set_permissions(&supervisor, std::fs::Permissions::from_mode(0o700)).expect("executable");
        LocalCloud::new(LocalSettings::new(root, supervisor))
    }

    fn path(&self, launch: LaunchId) -> PathBuf {
        self.dir.path().join("state").join(launch.to_string())
    }

    async fn request(&self, script: &str) -> LaunchRequest {
        static LAUNCHES: AtomicU32 = AtomicU32::new(0);
        let number = LAUNCHES.fetch_add(1, Ordering::Relaxed);
        let now = Timestamp::now();
        let milliseconds = now.as_millisecond().unsigned_abs();
        let launch = LaunchId::new(Ulid::from_parts(
            milliseconds,
            u128::from(std::process::id()) << 32 | u128::from(number),
        ));
        LaunchRequest {
            launch,
            attempt: 1,
            spec: "launch".to_owned(),
            owner: "acme/vision".to_owned(),
            controller: "launch".to_owned(),
            runner_name: launch.runner_name(),
            deadline: Deadline(now + SignedDuration::from_mins(2)),
            offers: self.cloud.offers(&query()).await.expect("an offer").found,
            spot_price_max: None,
            user_data: UserData::new(script.as_bytes().to_vec()),
            image: Image::default(),
            disk_gib: None,
            network: Network::default(),
            instance_profile: None,
            cache_snapshot: None,
            tags: BTreeMap::new(),
            users: Vec::new(),
        }
    }

    async fn only(&self, launch: LaunchId) -> Option<Instance> {
        let filter = InstanceFilter { launch: Some(launch), ..InstanceFilter::default() };
        let mut found = self.cloud.instances(&filter).await.expect("a list").found;
        assert!(found.len() <= 1, "{found:#?}");
        found.pop()
    }

    async fn until(&self, launch: LaunchId, state: InstanceState) -> Instance {
        let wanted = async {
            loop {
                if let Some(instance) = self.only(launch).await
                    && instance.state == state
                {
                    return instance;
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, wanted).await {
            Ok(instance) => instance,
            Err(_) => panic!("never {state}: {:#?}", self.only(launch).await),
        }
    }

    /// Waits for a file of the instance's home and returns its text.
    async fn file(&self, launch: LaunchId, name: &str) -> String {
        let path = self.path(launch).join("home").join(name);
        let wanted = async {
            loop {
                match std::fs::read_to_string(&path) {
                    Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                    _ => tokio::time::sleep(Duration::from_millis(30)).await,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, wanted).await {
            Ok(text) => text,
            Err(_) => panic!("no {}", path.display()),
        }
    }

    async fn console(&self, launch: LaunchId) -> String {
        let id = self.only(launch).await.expect("is there").id;
        self.cloud.console("local", &id).await.expect("a console")
    }

    /// Returns the text after these words on the console.
    async fn says(&self, launch: LaunchId, words: &str) -> String {
        let told = async {
            loop {
                let console = self.console(launch).await;
                if let Some(rest) = console.lines().find_map(|line| line.strip_prefix(words)) {
                    return rest.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(rest) => rest,
            Err(_) => panic!("no {words:?} in {}", self.console(launch).await),
        }
    }

    fn supervisor_pid(&self, launch: LaunchId) -> Pid {
        let record = std::fs::read_to_string(self.path(launch).join("record.json")).expect("a record");
        let line = record
            .lines()
            .find_map(|line| line.trim().strip_prefix("\"supervisor\": "))
            .expect("a supervisor");
        Pid::from_raw(line.trim_end_matches(',').parse().expect("a number")).expect("a process")
    }

    fn nothing_runs(&self, launch: LaunchId) {
        let mark = format!("CML_INSTANCE=local-{launch}");
        let left: Vec<_> = std::fs::read_dir("/proc")
            .expect("/proc")
            .flatten()
            .filter(|entry| {
                std::fs::read(entry.path().join("environ"))
                    .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|one| one == mark.as_bytes()))
            })
            .map(|entry| entry.file_name())
            .collect();
        assert!(left.is_empty(), "still running: {left:?}");
    }
}

fn query() -> OfferQuery {
    OfferQuery {
        regions: Vec::new(),
        types: Vec::new(),
        needs: None,
        gpu: None,
        spot: SpotPolicy::Never,
        spot_price_max: None,
        image: Image::default(),
        network: Network::default(),
        disk_gib: None,
        cache_snapshot: None,
    }
}

fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Returns a script that ignores termination signals, and hides: another session, no parent, and (if requested) an
/// empty environment.
fn stubborn(environment: &str) -> String {
    let child = r#"trap "" TERM INT HUP; echo $$ >"$0/hidden"; while :; do sleep 1; done"#;
    format!("trap '' TERM\n(setsid {environment} sh -c '{child}' \"$PWD\" &)\nwhile :; do sleep 1; done\n")
}

#[tokio::test]
async fn an_instance_runs_its_script_and_vanishes() {
    let lab = Lab::new();
    let request =
        lab.request("echo hello; echo 'cml-runner: last words: stage=run cause=job_done status=0'\n").await;
    let launched = lab.cloud.launch(&request, &|| true).await.expect("launched");
    let instance = lab.until(request.launch, InstanceState::Terminated).await;
    assert_eq!(instance.id, launched.id);
    assert_eq!(instance.ended_because.as_deref(), Some("stage=run cause=job_done status=0"));
    assert_eq!(instance.owner.as_deref(), Some("acme/vision"));
    assert!(lab.cloud.console("local", &launched.id).await.expect("a console").contains("hello\n"));
    let dir = lab.path(request.launch);
    for gone in ["home", "tmp", "user-data"] {
        assert!(!dir.join(gone).exists(), "{gone} is still there");
    }
}

#[tokio::test]
async fn a_machine_has_as_many_tags_of_ours_as_are_kept_free_for_them() {
    let lab = Lab::new();
    assert_eq!(lab.request("true").await.all_tags().len(), cml_cloud::types::tag::OURS);
}

#[tokio::test]
async fn an_instance_has_its_own_home_and_nobody_else_can_read_it() {
    let lab = Lab::new();
    let script = "env | sort >environment; echo done >done; while :; do sleep 1; done\n";
    let request = lab.request(script).await;
    let id = lab.cloud.launch(&request, &|| true).await.expect("launched").id;
    lab.file(request.launch, "done").await;
    let environment = lab.file(request.launch, "environment").await;
    let dir = lab.path(request.launch);
    for line in [
        format!("HOME={}", dir.join("home").display()),
        format!("TMPDIR={}", dir.join("tmp").display()),
        format!("PWD={}", dir.join("home").display()),
        "CML_MACHINE=local".to_owned(),
        format!("CML_INSTANCE={id}"),
    ] {
        assert!(environment.lines().any(|has| has == line), "no {line} in {environment}");
    }
    assert!(!environment.contains("CARGO"), "the launcher's environment shows: {environment}");
    for name in [".", "home", "tmp", "record.json", "user-data", "console.log", "stop"] {
        if let Ok(metadata) = std::fs::metadata(dir.join(name)) {
            assert_eq!(metadata.permissions().mode() & 0o077, 0, "{name} is open to others");
        }
    }
    lab.cloud.terminate("local", &id).await.expect("ended");
}

#[tokio::test]
async fn the_deadline_ends_what_ignores_signals_and_hides() {
    for environment in ["", "env -i PATH=\"$PATH\""] {
        let lab = Lab::new();
        let mut request = lab.request(&stubborn(environment)).await;
        request.deadline = Deadline(Timestamp::now() + SignedDuration::from_secs(2));
        lab.cloud.launch(&request, &|| true).await.expect("launched");
        let hidden = lab.file(request.launch, "hidden").await;
        let instance = lab.until(request.launch, InstanceState::Terminated).await;
        assert_eq!(instance.ended_because.as_deref(), Some("its deadline passed"));
        lab.nothing_runs(request.launch);
        assert!(!runs(&hidden), "process {hidden} outlived its instance");
    }
}

#[tokio::test]
async fn what_a_script_leaves_behind_ends_with_it() {
    let lab = Lab::new();
    let request = lab.request("(setsid sh -c 'while :; do sleep 1; done' &)\nexit 3\n").await;
    lab.cloud.launch(&request, &|| true).await.expect("launched");
    let instance = lab.until(request.launch, InstanceState::Terminated).await;
    assert_eq!(instance.ended_because.as_deref(), Some("its script exited with status 3"));
    lab.nothing_runs(request.launch);
}

#[tokio::test]
async fn another_process_can_end_it_and_ending_twice_is_fine() {
    let lab = Lab::new();
    let request = lab.request("echo up >up; while :; do sleep 1; done\n").await;
    let id = lab.cloud.launch(&request, &|| true).await.expect("launched").id;
    lab.file(request.launch, "up").await;
    let other = Lab::cloud(&lab.dir, lab.dir.path().join("state"));
    other.terminate("local", &id).await.expect("ended");
    lab.nothing_runs(request.launch);
    let instance = lab.until(request.launch, InstanceState::Terminated).await;
    assert_eq!(instance.ended_because.as_deref(), Some("it was stopped"));
    other.terminate("local", &id).await.expect("ended already");
    other.terminate("local", &cml_cloud::InstanceId("local-nobody".to_owned())).await.expect("never was");
}

#[tokio::test]
async fn a_killed_supervisor_leaves_an_instance_that_shows_and_can_be_ended() {
    let lab = Lab::new();
    let request = lab.request(&stubborn("")).await;
    let id = lab.cloud.launch(&request, &|| true).await.expect("launched").id;
    lab.file(request.launch, "hidden").await;
    kill_process(lab.supervisor_pid(request.launch), Signal::KILL).expect("killed");
    assert!(lab.only(request.launch).await.expect("it shows").is_alive());
    lab.cloud.terminate("local", &id).await.expect("ended");
    lab.nothing_runs(request.launch);
    assert_eq!(lab.until(request.launch, InstanceState::Terminated).await.id, id);
}

#[tokio::test]
async fn an_instance_that_died_with_its_supervisor_is_reported_as_gone() {
    let lab = Lab::new();
    let request = lab.request("echo $$ >up; exec sleep 100\n").await;
    lab.cloud.launch(&request, &|| true).await.expect("launched");
    let script = lab.file(request.launch, "up").await;
    kill_process(lab.supervisor_pid(request.launch), Signal::KILL).expect("killed");
    let script = Pid::from_raw(script.parse().expect("a number")).expect("a process");
    kill_process(script, Signal::KILL).expect("killed");
    let instance = lab.until(request.launch, InstanceState::Terminated).await;
    assert_eq!(instance.ended_because.as_deref(), Some("its supervisor was killed"));
}

#[tokio::test]
async fn the_same_launch_again_gives_the_same_instance() {
    let lab = Lab::new();
    let request = lab.request("echo started >>../starts; echo up >up; while :; do sleep 1; done\n").await;
    let first = lab.cloud.launch(&request, &|| true).await.expect("launched").id;
    let second = lab.cloud.launch(&request, &|| true).await.expect("launched").id;
    assert_eq!(first, second);
    lab.file(request.launch, "up").await;
    lab.cloud.terminate("local", &first).await.expect("ended");
    let third = lab.cloud.launch(&request, &|| true).await.expect("the same, ended").id;
    assert_eq!(first, third);
    let starts = std::fs::read_to_string(lab.path(request.launch).join("starts")).expect("it started");
    assert_eq!(starts, "started\n");
    lab.nothing_runs(request.launch);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_launch_by_many_at_once_gives_one_instance() {
    let lab = Lab::new();
    let request = lab.request("echo started >>../starts; echo up >up; while :; do sleep 1; done\n").await;
    let calls = (0..4).map(|_| {
        let (cloud, request) = (lab.cloud.clone(), request.clone());
        tokio::spawn(async move { cloud.launch(&request, &|| true).await })
    });
    let mut ids = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        ids.push(call.await.expect("no panic").expect("launched").id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    lab.file(request.launch, "up").await;
    lab.cloud.terminate("local", &ids[0]).await.expect("ended");
    let starts = std::fs::read_to_string(lab.path(request.launch).join("starts")).expect("it started");
    assert_eq!(starts, "started\n");
}

#[tokio::test]
async fn a_launcher_that_died_before_starting_the_supervisor_can_be_followed() {
    let lab = Lab::new();
    let request = lab.request("echo up >up; while :; do sleep 1; done\n").await;
    let id = lab.cloud.launch(&request, &|| true).await.expect("launched").id;
    lab.cloud.terminate("local", &id).await.expect("ended");
    // The directory as left by a launcher that dies right after creating it.
    let dir = lab.path(request.launch);
    let record = std::fs::read_to_string(dir.join("record.json")).expect("a record");
    std::fs::write(dir.join("record.json"), record.replace("\"terminated\"", "\"pending\""))
        .expect("written");
    std::fs::remove_file(dir.join("stop")).expect("removed");
    std::fs::write(dir.join("user-data"), "echo up >up; while :; do sleep 1; done\n").expect("written");
    std::fs::create_dir(dir.join("home")).expect("made");
    assert_eq!(lab.cloud.launch(&request, &|| true).await.expect("launched").id, id);
    lab.file(request.launch, "up").await;
    lab.cloud.terminate("local", &id).await.expect("ended");
}

#[tokio::test]
async fn a_supervisor_that_cannot_start_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("state");
    for supervisor in ["/nonexistent/cml-runner", "/bin/false"] {
        let cloud = LocalCloud::new(LocalSettings::new(root.clone(), supervisor.into()));
        let request = Lab::new().request("true\n").await;
        let error = cloud.launch(&request, &|| true).await.expect_err("cannot start");
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.to_string().contains(supervisor), "{error}");
        assert_eq!(std::fs::read_dir(&root).expect("it is there").count(), 0, "something is left");
    }
}

#[tokio::test]
async fn a_state_directory_that_is_a_file_is_a_clear_error() {
    let lab = Lab::new();
    std::fs::write(lab.dir.path().join("state"), "").expect("written");
    let error = lab.cloud.launch(&lab.request("true\n").await, &|| true).await.expect_err("no directory");
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.hint.expect("a hint").contains("state"));
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "the test's reader is to know what was skipped")]
async fn a_full_disk_is_a_clear_error_and_leaves_nothing() {
    let lab = Lab::new();
    let root = lab.dir.path().join("state");
    std::fs::create_dir(&root).expect("made");
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k,mode=700", "none"])
        .arg(&root)
        .output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        println!(
            "SKIPPED: a_full_disk_is_a_clear_error_and_leaves_nothing: this user cannot mount a small disk"
        );
        return;
    }
    let result = lab.cloud.launch(&lab.request(&"#".repeat(100_000)).await, &|| true).await;
    let left = std::fs::read_dir(&root).expect("it is there").count();
    let umount = std::process::Command::new("umount").arg(&root).status();
    let error = result.expect_err("there is no space");
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("free some space")), "{error:?}");
    assert_eq!(left, 0, "something is left");
    assert!(umount.is_ok_and(|status| status.success()));
}

#[tokio::test]
async fn there_is_one_offer_and_it_is_this_machine() {
    let lab = Lab::new();
    let offers = lab.cloud.offers(&query()).await.expect("an offer").found;
    assert_eq!(offers.len(), 1);
    assert!(offers[0].resources.vcpus > 0 && offers[0].resources.memory_mib > 0);
    if !Path::new("/dev/nvidia0").exists() {
        let error = lab
            .cloud
            .offers(&OfferQuery { gpu: Some("t4".to_owned()), ..query() })
            .await
            .expect_err("no GPU");
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
}

/// Users that exist on Debian and that run nothing.
const USERS: [&str; 2] = ["games", "news"];

#[tokio::test]
#[allow(clippy::print_stdout, reason = "who reads the tests is to know what did not run")]
async fn machines_under_users_of_their_own_see_neither_each_other_nor_what_launched_them() {
    if !rustix::process::geteuid().is_root() {
        println!("not run: it takes root");
        return;
    }
    // Below a directory that all users may pass through.
    let places = tempfile::Builder::new().prefix("cml-places-").tempdir_in("/var/tmp").expect("a directory");
    let mut lab = Lab::new();
    let mut settings = LocalSettings::new(lab.dir.path().join("state"), lab.dir.path().join("supervisor"));
    settings.places = places.path().to_owned();
    lab.cloud = LocalCloud::new(settings);
    let asking = async |script: &str| {
        let users = USERS.map(str::to_owned).to_vec();
        LaunchRequest { users, ..lab.request(script).await }
    };
    let first = asking("echo secret >\"$HOME/token\"; echo \"ready $(id -un) $HOME\"; sleep 60").await;
    lab.cloud.launch(&first, &|| true).await.expect("is launched");
    let home = lab.says(first.launch, "ready games ").await;
    let spies = format!(
        "cat {home}/token {} && echo read\n\
         for it in /proc/[0-9]*; do case $(cat \"$it/environ\" 2>/dev/null | tr '\\0' ' ') in *local-{}*) echo read;; esac; done\n\
         echo \"ready $(id -un) $HOME\"; sleep 60",
        lab.path(first.launch).join("record.json").display(),
        first.launch
    );
    let second = asking(&spies).await;
    lab.cloud.launch(&second, &|| true).await.expect("is launched");
    lab.says(second.launch, "ready news ").await;
    let console = lab.console(second.launch).await;
    assert!(!console.lines().any(|line| line == "read" || line == "secret"), "{console}");
    let third = asking("true").await;
    lab.cloud.launch(&third, &|| true).await.expect("its end says why");
    let ended = lab.until(third.launch, InstanceState::Terminated).await;
    let why = ended.ended_because.expect("a reason");
    assert!(why.contains("no user is free: games has a machine, news has a machine"), "{why}");
    for request in [&first, &second] {
        let id = lab.only(request.launch).await.expect("is there").id;
        lab.cloud.terminate("local", &id).await.expect("ends");
    }
    let left = std::fs::read_dir(places.path()).expect("a directory").flatten();
    let left: Vec<_> =
        left.map(|it| it.file_name()).filter(|it| !it.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}
