//! Boots under failures: each ends with the machine off in bounded time and a last message that names the cause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cml_bootstrap::Registration;
use cml_e2e::boot::{Fate, Lab, Mirror, Place, isolated};
use jiff::SignedDuration;
use secrecy::SecretString;

#[test]
fn a_package_that_is_not_there_ends_the_machine_soon() {
    isolated("boot_weather::a_package_that_is_not_there_ends_the_machine_soon", async || {
        let lab = Lab::new().await;
        let mirror = Mirror::start(&lab, |_| Fate::Missing).await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.package.url.clone_from(&mirror.url);
        let off = lab.boot(&bootstrap).off().await;
        off.expect_cause("fetch", 22).expect("error: 404");
        assert_eq!(mirror.asked().len(), 3);
    });
}

#[test]
fn a_package_that_is_another_one_is_never_unpacked() {
    isolated("boot_weather::a_package_that_is_another_one_is_never_unpacked", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.package.sha256 = Some("00".repeat(32));
        let off = lab.boot(&bootstrap).off().await;
        off.expect_words("stage=fetch cause=checksum status=1")
            .expect(&format!("expected {}", "00".repeat(32)));
    });
}

#[test]
fn a_download_that_is_refused_breaks_off_or_is_cut_short_goes_on() {
    isolated("boot_weather::a_download_that_is_refused_breaks_off_or_is_cut_short_goes_on", async || {
        let lab = Lab::new().await;
        let fates = [Fate::Overloaded, Fate::BrokenOff, Fate::Served, Fate::Truncated];
        let mirror =
            Mirror::start(&lab, move |number| fates.get(number).copied().unwrap_or(Fate::Served)).await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.package.url.clone_from(&mirror.url);
        let job = lab.sim.queue("boot", "true");
        let off = lab.boot(&bootstrap).off().await;
        off.expect_words("stage=listening cause=job_done status=0").expect("(status 503)");
        lab.sim.succeeds(job).await;
        let asked = mirror.asked();
        assert!(asked.len() == 3 && asked[2].starts_with("bytes="), "it goes on where it was: {asked:?}");

        let mirror =
            Mirror::start(&lab, |number| if number == 0 { Fate::Truncated } else { Fate::Served }).await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.package.url.clone_from(&mirror.url);
        let job = lab.sim.queue("boot", "true");
        let off = lab.boot(&bootstrap).off().await;
        off.expect_words("stage=listening cause=job_done status=0").expect("has SHA-256");
        lab.sim.succeeds(job).await;
    });
}

#[test]
fn where_github_cannot_be_reached_the_boot_ends_in_time() {
    isolated("boot_weather::where_github_cannot_be_reached_the_boot_ends_in_time", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.package.url = "http://192.0.2.1:9/runner.tar.gz".to_owned();
        bootstrap.boot_timeout = SignedDuration::from_secs(6);
        let off = lab.boot(&bootstrap).off().await;
        off.expect_words("stage=fetch cause=boot_timeout status=1").expect("curl: (7)");
    });
}

#[test]
fn a_network_that_comes_late_is_waited_for() {
    isolated("boot_weather::a_network_that_comes_late_is_waited_for", async || {
        let lab = Lab::new().await;
        let address = async |change: &str| {
            let ip = ["address", change, "192.0.2.1/32", "dev", "lo"];
            let set = tokio::process::Command::new("ip").args(ip).status().await;
            assert!(set.expect("ip starts").success());
        };
        let bootstrap = lab.bootstrap().await;
        address("del").await;
        let guest = lab.boot(&bootstrap);
        guest.until_it_says("the runner's package: curl: (").await;
        address("add").await;
        let job = lab.sim.queue("boot", "true");
        lab.sim.succeeds(job).await;
        guest.off().await.expect_words("stage=listening cause=job_done status=0");
    });
}

#[test]
fn a_registration_that_github_does_not_know_ends_the_machine() {
    isolated("boot_weather::a_registration_that_github_does_not_know_ends_the_machine", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        lab.remove_runner(&bootstrap.runner_name).await;
        let off = lab.boot(&bootstrap).off().await;
        off.expect("The runner registration has been deleted");
        off.expect_words("stage=run cause=runner_exited status=0");
        bootstrap.registration =
            Registration::Jit { encoded: SecretString::from("bm90IGEgY29uZmlndXJhdGlvbg==") };
        bootstrap.launch = cml_e2e::boot::launch_at(cml_e2e::edge::now());
        let off = lab.boot(&bootstrap).off().await;
        assert!(off.console.contains("cause=runner_exited"), "{}", off.console);
    });
}

#[test]
fn a_disk_without_room_ends_the_machine() {
    isolated("boot_weather::a_disk_without_room_ends_the_machine", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        // The disk fills up while the package is on its way.
        let full = Arc::new(AtomicBool::new(false));
        let is_full = Arc::clone(&full);
        let fate = move |_| if is_full.load(Ordering::SeqCst) { Fate::Served } else { Fate::Overloaded };
        let mirror = Mirror::start(&lab, fate).await;
        bootstrap.package.url.clone_from(&mirror.url);
        let fill = "cat /dev/zero >/fill; echo the disk is full >/dev/console";
        bootstrap.setup.startup_script = Some(fill.as_bytes().to_vec());
        let place = Place { disk: Some("200m".to_owned()), ..Place::default() };
        let guest = lab.boot_in(&bootstrap, &place);
        guest.until_it_says("the disk is full").await;
        full.store(true, Ordering::SeqCst);
        guest.off().await.expect_cause("fetch", 23);
    });
}

#[test]
fn a_startup_script_that_fails_or_hangs_ends_the_machine() {
    isolated("boot_weather::a_startup_script_that_fails_or_hangs_ends_the_machine", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.setup.startup_script = Some(b"echo it goes wrong >/dev/console; exit 7".to_vec());
        let off = lab.boot(&bootstrap).off().await;
        off.expect_words("stage=startup_script cause=startup_script status=7").expect("it goes wrong");
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.boot_timeout = SignedDuration::from_secs(12);
        bootstrap.setup.startup_script = Some(b"sleep 1000".to_vec());
        lab.boot(&bootstrap)
            .off()
            .await
            .expect_words("stage=startup_script cause=startup_script_timeout status=124");
    });
}
