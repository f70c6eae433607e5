//! Virtual environments of Python under the target directory: made once, kept until their requirements change.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::paths;

/// Returns the directory of an environment with the requirements of this file of `tests/`.
///
/// # Panics
/// When it cannot be created, with the step that failed and what to do.
pub fn made(name: &str, requirements: &str) -> PathBuf {
    let parent = paths::target_dir().join("cml-e2e");
    let venv = parent.join(name);
    fs::create_dir_all(&parent).unwrap_or_else(|error| panic!("cannot make {}: {error}", parent.display()));
    // Test processes run in parallel; the first installs, the others wait. The lock ends with the process.
    let lock = File::create(parent.join(format!("{name}.lock"))).expect("the lock file can be made");
    lock.lock().expect("the lock can be taken");
    let requirements = paths::tests_dir().join(requirements);
    let wanted = fs::read_to_string(&requirements).expect("the requirements are there");
    let mark = venv.join("installed-requirements.txt");
    let python = venv.join("bin/python");
    if fs::read_to_string(&mark).is_ok_and(|have| have == wanted) && python.exists() {
        return venv;
    }
    tell(&format!("installing {} into {} once", requirements.display(), venv.display()));
    if venv.exists() {
        fs::remove_dir_all(&venv).expect("the old environment can be removed");
    }
    step(
        Command::new("python3").args(["-m", "venv"]).arg(&venv),
        "python3 with its venv module is needed; on Debian: apt-get install python3-venv",
    );
    step(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(&requirements),
        "pip could not install what the tests need; is the Python package index reachable?",
    );
    fs::write(&mark, wanted).expect("the environment can be marked");
    venv
}

fn step(command: &mut Command, advice: &str) {
    let output = command.stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            panic!("{advice}\n{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
        }
        Err(error) => panic!("{advice}\n{command:?}: {error}"),
    }
}

/// Prints a message for the reader of the test's output.
#[allow(clippy::print_stderr, reason = "a test run that seems to hang must say what it is doing")]
pub fn tell(text: &str) {
    eprintln!("cml-e2e: {text}");
}
