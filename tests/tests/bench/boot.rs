//! Time from the start of a machine to its runner, compared with an empty cloud-init run, and with the same script
//! where others put it: in cloud-init's last stage. Run by `just bench-boot`; the results are in docs/benchmarks.md.

use std::time::Duration;

use cml_e2e::boot::{Lab, Place, isolated_within};
use cml_e2e::edge::variable;
use jiff::SignedDuration;

/// First line of a kernel.
const KERNEL: &str = "Linux version";
/// For all machines of one benchmark.
const LIMIT: Duration = Duration::from_secs(3600);

const BARE: &[u8] = b"#!/bin/sh
read -r up _ </proc/uptime
printf '\\nbare script uptime=%s\\n' \"$up\" >/dev/console
systemctl poweroff
";

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn tell(what: &str, times: &[f64]) {
    let (least, most) =
        times.iter().fold((f64::MAX, 0.0_f64), |(least, most), &time| (least.min(time), most.max(time)));
    println!("{what}: {:.2} s ({least:.2} to {most:.2}, {} boots)", median(times), times.len());
}

/// Seconds from the start of the kernel (in a container: of systemd) to each stage, boot by boot.
#[derive(Default)]
struct Stages {
    network: Vec<f64>,
    first_line: Vec<f64>,
    prepared: Vec<f64>,
    runner_started: Vec<f64>,
    listening: Vec<f64>,
}

impl Stages {
    async fn boot(&mut self, lab: &Lab, place: &Place, in_last_stage: bool) {
        let mut bootstrap = if place.vm { lab.bootstrap_for_vm().await } else { lab.bootstrap().await };
        // Long enough for the runner's own messages to appear.
        bootstrap.idle_timeout = Some(SignedDuration::from_secs(5));
        let rendered = cml_bootstrap::render(&bootstrap).expect("fits");
        let guest = if in_last_stage {
            lab.boot_user_data(&cml_e2e::boot::in_last_stage(rendered.expose()), place)
        } else {
            lab.boot_user_data(rendered.expose(), place)
        };
        let mut before_kernel = 0.0;
        if place.vm {
            guest.until_it_says(KERNEL).await;
            before_kernel = guest.age_seconds();
        }
        guest.until_it_says("Listening for Jobs").await;
        self.listening.push(guest.age_seconds() - before_kernel);
        if place.vm {
            let reached = lab.imds.first_asked().expect("it asked for its user data");
            self.network.push(guest.age_at(reached) - before_kernel);
        }
        let off = guest.off().await;
        let seconds_to =
            |stage: &str| off.seconds_to(stage).unwrap_or_else(|| panic!("no {stage}:\n{}", off.console));
        self.first_line.push(seconds_to("stage start"));
        self.prepared.push(seconds_to("stage fetch"));
        self.runner_started.push(seconds_to("stage run"));
    }

    fn tell(&self, name: &str) {
        for (stage, times) in [
            ("network: the metadata service is reached", &self.network),
            ("first line, download begins", &self.first_line),
            ("machine prepared", &self.prepared),
            ("runner started", &self.runner_started),
            ("registered, listening", &self.listening),
        ] {
            if !times.is_empty() {
                tell(&format!("{name}: {stage}"), times);
            }
        }
    }
}

async fn boots(place: &Place, rounds: usize) {
    let lab = Lab::new().await;
    let (mut ours, mut last_stage, mut bare) = (Stages::default(), Stages::default(), Vec::new());
    for _ in 0..rounds {
        let off = lab.boot_user_data(BARE, place).off().await;
        bare.push(off.seconds_to("bare script").expect("it ran"));
        ours.boot(&lab, place, false).await;
        last_stage.boot(&lab, place, true).await;
    }
    tell("bare cloud-init: a script that does nothing is reached", &bare);
    ours.tell("ours");
    last_stage.tell("the same script in the last stage");
    println!(
        "runner started after {:.2} × bare cloud-init, {:.2} s earlier than in the last stage",
        median(&ours.runner_started) / median(&bare),
        median(&last_stage.runner_started) - median(&ours.runner_started)
    );
}

fn rounds(otherwise: usize) -> usize {
    variable("CML_BOOT_ROUNDS").parse().unwrap_or(otherwise)
}

#[test]
#[ignore = "a benchmark: run it with `just bench-boot`"]
fn in_a_container() {
    isolated_within(LIMIT, "boot::in_a_container", async || {
        boots(&Place::default(), rounds(9)).await;
    });
}

#[test]
#[ignore = "a benchmark: run it with `just bench-boot`"]
fn in_a_virtual_machine() {
    isolated_within(LIMIT, "boot::in_a_virtual_machine", async || {
        boots(&Place { vm: true, ..Place::default() }, rounds(5)).await;
    });
}
