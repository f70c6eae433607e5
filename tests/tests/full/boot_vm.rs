//! The same in a virtual machine with its own kernel, in which cloud-init finds EC2 and asks its metadata service with tokens.
//! Emulated, so a boot takes more than a minute: `just boot-test`, and `.ci/run`, run them.

use cml_cloud::Deadline;
use cml_e2e::boot::{Lab, Place, isolated};
use cml_e2e::edge::now;
use cml_spec::Cache;
use jiff::SignedDuration;

fn vm() -> Place {
    Place { vm: true, ..Place::default() }
}

#[test]
#[ignore = "boots an emulated machine: run it with `just boot-test`"]
fn a_virtual_machine_on_what_looks_like_ec2_takes_its_job_and_is_gone() {
    isolated("boot_vm::a_virtual_machine_on_what_looks_like_ec2_takes_its_job_and_is_gone", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap_for_vm().await;
        bootstrap.setup.scratch = true;
        bootstrap.setup.cache = Cache::new("snap-0123456789abcdef0", "/var/cache/models");
        let script = "cloud-id; uname -r; cat /var/cache/models/model; pwd -P; df --output=target . | tail -n 1
            curl -sS --max-time 5 -o /dev/null -X PUT http://169.254.169.254/latest/api/token && echo metadata is open
            systemctl show --property=TasksMax,User,ControlGroup cml-job.service";
        let job = lab.sim.queue("boot", script);
        let mut place = vm();
        // A disk of the machine's own.
        let disk = lab.state().join("instance-store.img");
        std::fs::File::create(&disk).and_then(|file| file.set_len(256 << 20)).expect("a disk");
        let cached = lab.volume_with("model", "weights of last week\n");
        let drive = |file: &std::path::Path| format!("file={},if=virtio,format=raw", file.display());
        place.more = vec!["-drive".to_owned(), drive(&disk), "-drive".to_owned(), drive(&cached)];
        let guest = lab.boot_in(&bootstrap, &place);
        lab.ended_in_vm(job, &guest).await;
        let off = guest.off().await;
        off.expect_words("stage=listening cause=job_done status=0")
            .expect("scratch: 1 disk(s) on /mnt/scratch");
        let log = lab.sim.log(job).unwrap_or_default();
        for part in
            ["aws\n", "weights of last week\n", "/mnt/scratch/work/", "\n/mnt/scratch\n", "User=runner\n"]
        {
            assert!(log.contains(part), "{part:?} is not in:\n{log}");
        }
        assert!(!log.contains("metadata is open"), "{log}");
    });
}

#[test]
#[ignore = "boots an emulated machine: run it with `just boot-test`"]
fn the_deadline_switches_a_virtual_machine_off_though_its_job_fights_and_its_clock_is_wrong() {
    isolated(
        "boot_vm::the_deadline_switches_a_virtual_machine_off_though_its_job_fights_and_its_clock_is_wrong",
        async || {
            let lab = Lab::new().await;
            let mut bootstrap = lab.bootstrap_for_vm().await;
            // The machine's clock is a day behind: by it there would be a day left.
            let lifetime = SignedDuration::from_secs(60);
            bootstrap.launch = cml_e2e::boot::launch_at(now());
            bootstrap.deadline = Deadline(now() + lifetime);
            let mut place = vm();
            let yesterday =
                (now() - SignedDuration::from_hours(24)).strftime("%Y-%m-%dT%H:%M:%S").to_string();
            place.more = vec!["-rtc".to_owned(), format!("base={yesterday}")];
            let _ = lab.sim.queue("boot", "trap '' TERM INT HUP; while :; do :; done");
            let guest = lab.boot_in(&bootstrap, &place);
            guest.until_it_says("Running job: work").await;
            let off = guest.off().await;
            off.expect_words("stage=listening cause=deadline status=0");
        },
    );
}

#[test]
#[ignore = "boots an emulated machine: run it with `just boot-test`"]
fn a_virtual_machine_that_ec2_takes_back_stops_its_job_in_time() {
    isolated("boot_vm::a_virtual_machine_that_ec2_takes_back_stops_its_job_in_time", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap_for_vm().await;
        bootstrap.setup.on_interruption = Some(b"echo saved >~/saved".to_vec());
        let job = lab.sim.queue("boot", "sleep 1000");
        let guest = lab.boot_in(&bootstrap, &vm());
        guest.until_it_says("Running job: work").await;
        let over = now() + SignedDuration::from_secs(90);
        lab.imds.interrupts_at(&over.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        assert_eq!(lab.ended_in_vm(job, &guest).await.conclusion.as_deref(), Some("cancelled"));
        guest.until_it_says("cause=interrupted").await;
        assert!(now() < over, "GitHub and the console heard of it before the machine was taken");
        drop(guest.cut().await);
    });
}
