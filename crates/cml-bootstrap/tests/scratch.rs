//! `scratch: auto` on a machine whose image mounts its disks itself: the machine's own functions in a real `sh`, with stubs of the
//! commands that they call.
#![allow(clippy::disallowed_methods, reason = "tests are an edge: a real shell")]

use std::process::Command;

const MACHINE: &str = include_str!("../../../templates/machine/4-machine.sh");

/// Returns the text of one function of the machine's script.
fn function(name: &str) -> String {
    let (_, rest) = MACHINE.split_once(&format!("\n{name}() {{\n")).expect("the function");
    let (body, _) = rest.split_once("\n}\n").expect("its end");
    format!("{name}() {{\n{body}\n}}\n")
}

/// Runs `prepare_scratch` after these stubs; returns what it logs and which commands it runs on disks.
fn prepare_scratch(stubs: &str) -> String {
    let script = format!(
        "set -u\nscratch=auto machine=cloud\ntell() {{ echo \"tell $*\"; }}\nhas_systemd() {{ true; }}\n\
         systemctl() {{ true; }}\nmkdir() {{ true; }}\nmount() {{ echo \"mount $*\"; }}\nchown() {{ true; }}\n\
         mkfs.ext4() {{ echo \"mkfs $*\"; }}\nmdadm() {{ echo \"mdadm $*\"; }}\nlsblk() {{ true; }}\n{stubs}\n{}{}{}prepare_scratch\n",
        function("dlami_scratch"),
        function("is_unused"),
        function("prepare_scratch"),
    );
    // dash takes no dot in a function's name.
    let script = script.replace("mkfs.ext4", "mkfs_ext4");
    let output = Command::new("sh").args(["-c", &script]).output().expect("sh starts");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn disks_that_the_image_is_still_preparing_are_left_alone() {
    let told = prepare_scratch("timeout() { return 124; }\nmountpoint() { false; }");
    assert_eq!(
        told,
        "tell scratch: the image's dlami-nvme.service is still at work on the disks; the root disk serves\n"
    );
}

#[test]
fn disks_that_the_image_has_mounted_are_used_and_a_failed_service_is_no_obstacle() {
    for result in ["true", "return 1"] {
        let told = prepare_scratch(&format!("timeout() {{ {result}; }}\nmountpoint() {{ true; }}"));
        assert!(told.contains("on the disks that the image has mounted"), "{result}: {told}");
        assert!(!told.contains("mkfs"), "{told}");
    }
    let told = prepare_scratch("timeout() { return 1; }\nmountpoint() { false; }");
    assert!(told.contains("no disk of its own that is free"), "{told}");
}
