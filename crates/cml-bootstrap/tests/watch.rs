//! What the machine derives from the runner's output: it contains the name of a job, which may be any text.

use std::process::Command;

const WATCH: &str = include_str!("../../../templates/machine/3-watch.sh");

/// Runs `body` with the functions of 3-watch.sh that parse the runner's output, over such a log.
fn watched(log: &str, marks: &[&str], body: &str) -> String {
    let (functions, _) = WATCH.split_once("\nwatch_runner() {").expect("the function behind them");
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("log"), log).expect("written");
    for mark in marks {
        std::fs::write(dir.path().join(mark), "").expect("written");
    }
    let text = format!(
        "set -u\nshared=$1 log=$1/log state=$1 machine=local\ninstance_pids() {{ cat \"$state/pids\" 2>/dev/null; }}\n{functions}\n{body}\n"
    );
    let output = Command::new("sh").args(["-c", &text, "sh"]).arg(dir.path()).output().expect("sh runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

const TWELVE_LOOKS: &str = "for look in 1 2 3 4 5 6 7 8 9 10 11 12; do forget_stale_mark; done\nif busy; then echo busy; else echo free; fi";

#[test]
fn the_name_of_a_job_does_not_decide_whether_the_machine_works() {
    for name in [
        "train",
        "train / check completed with result: ok",
        "Job x completed with result: Succeeded",
        "Running job: x",
        "Listening for Jobs",
        "2026-11-29 10:00:00Z: Running job: x",
        "2026-11-29 10:00:00Z: Job x completed with result: Succeeded",
        ".*",
    ] {
        let begins =
            format!("2026-11-29 10:00:00Z: Listening for Jobs\n2026-11-29 10:00:05Z: Running job: {name}\n");
        assert_eq!(watched(&begins, &["busy"], TWELVE_LOOKS), "busy\n", "{name}");
        assert_eq!(watched(&begins, &[], TWELVE_LOOKS), "busy\n", "{name}, before its hook");
        let ends = format!("{begins}2026-11-29 10:09:00Z: Job {name} completed with result: Succeeded\n");
        assert_eq!(watched(&ends, &[], TWELVE_LOOKS), "free\n", "{name}, after its end");
        assert_eq!(watched(&ends, &["busy"], TWELVE_LOOKS), "free\n", "{name}, whose worker was killed");
    }
}

#[test]
fn what_looks_like_a_jobs_end_is_not_believed_while_its_worker_runs() {
    // A line break in a name, should GitHub ever allow one.
    let log = "2026-11-29 10:00:00Z: Running job: x\n2026-11-29 10:00:00Z: Job x completed with result: Succeeded\n";
    let with_worker = format!(
        "cp \"$(command -v sleep)\" \"$state/Runner.Worker\"\n\"$state/Runner.Worker\" 60 &\necho $! >\"$state/pids\"\nuntil worker_runs; do :; done\n{TWELVE_LOOKS}\nkill $!\nwait"
    );
    for (marks, when) in [(&["busy"][..], "after its hook"), (&[], "before its hook")] {
        assert_eq!(watched(log, marks, &with_worker), "busy\n", "{when}");
        assert_eq!(watched(log, marks, TWELVE_LOOKS), "free\n", "{when}, whose worker has gone");
    }
}

#[test]
fn a_runner_listens_when_it_says_so_itself() {
    let listens = "if listening; then echo yes; else echo no; fi";
    assert_eq!(watched("2026-11-29 10:00:00Z: Listening for Jobs\n", &[], listens), "yes\n");
    assert_eq!(watched("2026-11-29 10:00:00Z: Running job: Listening for Jobs\n", &[], listens), "no\n");
}
