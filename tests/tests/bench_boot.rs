//! From the start of a machine to its runner, beside what cloud-init takes for nothing at all, and beside the same script where
//! others put it: in cloud-init's last stage. Run by `just bench-boot`; the results are in docs/benchmarks.md.
#![allow(clippy::print_stdout, reason = "a benchmark's output is its result")]

use cml_e2e::boot::{Lab, Place, isolated};
use cml_e2e::edge::variable;
use jiff::SignedDuration;

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

async fn boots(place: &Place, rounds: usize) {
    let lab = Lab::new().await;
    let mut ours = vec![Vec::new(); 4];
    let mut last_stage = vec![Vec::new(); 4];
    let mut bare = Vec::new();
    for _ in 0..rounds {
        let off = lab.boot_user_data(BARE, place).off().await;
        bare.push(off.seconds_to("bare script").expect("it ran"));
        for in_last_stage in [false, true] {
            let mut bootstrap = if place.vm { lab.bootstrap_for_vm().await } else { lab.bootstrap().await };
            bootstrap.idle_timeout = Some(SignedDuration::from_secs(1));
            let rendered = cml_bootstrap::render(&bootstrap).expect("fits");
            let guest = if in_last_stage {
                lab.boot_user_data(&cml_e2e::boot::in_last_stage(rendered.expose()), place)
            } else {
                lab.boot_user_data(rendered.expose(), place)
            };
            guest.until_it_says("Listening for Jobs").await;
            let registered = guest.age_seconds();
            let off = guest.off().await;
            let into = if in_last_stage { &mut last_stage } else { &mut ours };
            for (times, stage) in into.iter_mut().zip(["stage start", "stage fetch", "stage run"]) {
                times.push(off.seconds_to(stage).unwrap_or_else(|| panic!("no {stage}:\n{}", off.console)));
            }
            into[3].push(registered);
        }
    }
    tell("bare cloud-init: a script that does nothing is reached", &bare);
    for (name, all) in [("ours", &ours), ("the same script in the last stage", &last_stage)] {
        for (times, stage) in all.iter().zip([
            "first line, download begins",
            "machine prepared",
            "runner started",
            "registered, listening",
        ]) {
            tell(&format!("{name}: {stage}"), times);
        }
    }
    println!(
        "runner started after {:.2} × bare cloud-init, {:.2} s earlier than in the last stage",
        median(&ours[2]) / median(&bare),
        median(&last_stage[2]) - median(&ours[2])
    );
}

fn rounds(otherwise: usize) -> usize {
    variable("CML_BOOT_ROUNDS").parse().unwrap_or(otherwise)
}

#[test]
#[ignore = "a benchmark: run it with `just bench-boot`"]
fn in_a_container() {
    isolated("in_a_container", async || {
        boots(&Place::default(), rounds(9)).await;
    });
}

#[test]
#[ignore = "a benchmark: run it with `just bench-boot`"]
fn in_a_virtual_machine() {
    isolated("in_a_virtual_machine", async || {
        boots(&Place { vm: true, ..Place::default() }, rounds(5)).await;
    });
}
