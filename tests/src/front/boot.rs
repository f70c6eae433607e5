//! Boots instances that the emulator only lists: runs their user data on this machine, as the machine would.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use base64::Engine;
use tempfile::TempDir;

use super::Inner;
use crate::edge::variable;
use crate::processes;

/// Variable that identifies an instance in all of its processes; the machine's own script ends its processes by it.
const MARK: &str = "CML_INSTANCE";

/// The machines that run here.
pub(super) struct Boots {
    dir: TempDir,
    consoles: HashMap<String, PathBuf>,
}

impl Boots {
    pub(super) fn new() -> Self {
        Self {
            dir: TempDir::with_prefix("cml-e2e-boot-").expect("a temporary directory"),
            consoles: HashMap::new(),
        }
    }

    /// Returns the console output so far; `None` for a machine that was never booted.
    pub(super) fn console(&self, id: &str) -> Option<Vec<u8>> {
        std::fs::read(self.consoles.get(id)?).ok()
    }
}

impl Drop for Boots {
    fn drop(&mut self) {
        for id in self.consoles.keys() {
            power_off(id);
        }
    }
}

/// Ends all processes of the instance, however they are detached.
pub(super) fn power_off(id: &str) {
    let mark = format!("{MARK}={id}");
    processes::end_all(|process| process.environ.contains(&mark));
}

impl Inner {
    /// Starts the instance's script, if this front boots. The instance ends with its script.
    pub(super) fn boot(&self, region: &str, id: &str, user_data: &str) {
        let mut boots = self.boots();
        let Some(boots) = boots.as_mut() else { return };
        let machine = boots.dir.path().join(id);
        let home = machine.join("home");
        std::fs::create_dir_all(home.join("tmp")).expect("the machine's directory");
        let script = machine.join("user-data");
        std::fs::write(&script, self::script(user_data)).expect("the user data");
        let console = machine.join("console.log");
        let out = std::fs::File::create(&console).expect("the console");
        let err = out.try_clone().expect("the console");
        let child = tokio::process::Command::new("sh")
            .arg(&script)
            .current_dir(&home)
            .env_clear()
            .env("PATH", variable("PATH"))
            .env("HOME", &home)
            .env("TMPDIR", home.join("tmp"))
            .env("CML_MACHINE", "local")
            .env(MARK, id)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn();
        boots.consoles.insert(id.to_owned(), console);
        let mut child = child.expect("sh starts");
        let (this, region, id) = (self.itself.clone(), region.to_owned(), id.to_owned());
        tokio::spawn(async move {
            // However it ended: a machine whose script is over is off.
            let _ = child.wait().await;
            power_off(&id);
            if let Some(this) = this.upgrade() {
                Arc::clone(&this).end(&region, &id).await;
            }
        });
    }

    /// Ends an instance that powered itself off: AWS terminates it (`InstanceInitiatedShutdownBehavior`).
    async fn end(self: Arc<Self>, region: &str, id: &str) {
        let params = [("Action", "TerminateInstances"), ("Version", "2016-11-15"), ("InstanceId.1", id)];
        self.own_call(region, &params).await;
    }
}

/// Returns the script that cloud-init would run.
fn script(encoded: &str) -> String {
    let raw = base64::engine::general_purpose::STANDARD.decode(encoded).expect("checked at the launch");
    let message = String::from_utf8(unpacked(raw)).expect("text");
    if !message.starts_with("Content-Type: multipart/") {
        return message;
    }
    let (_, boothook) = message.split_once("Content-Type: text/cloud-boothook").expect("a boothook");
    let (_, body) = boothook.split_once("\n\n").expect("its headers end");
    // Lines of the script begin with two dashes, too.
    let boundary = message.split('"').nth(1).expect("a boundary");
    let (script, _) = body.split_once(&format!("\n--{boundary}")).expect("the part ends");
    script.to_owned()
}

/// Returns user data as the machine sees it: cloud-init unpacks gzip.
pub(crate) fn unpacked(raw: Vec<u8>) -> Vec<u8> {
    if !raw.starts_with(&[0x1f, 0x8b]) {
        return raw;
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(raw.as_slice()).read_to_end(&mut plain).expect("gzip");
    plain
}
