//! Real boots: the rendered user data under the real cloud-init and systemd, in system containers. Every test ends with
//! the machine off, within time, by itself.

use cml_bootstrap::{Machine, Registration};
use cml_cloud::{Arch, Deadline, Market, Offer, Resources, UsdPerHour};
use cml_e2e::boot::{Lab, Place, isolated};
use cml_e2e::edge::now;
use cml_spec::Proxy;
use jiff::SignedDuration;
use secrecy::SecretString;

#[test]
fn what_the_runner_says_reaches_the_console_after_a_login_prompt_has_taken_it() {
    isolated(
        "boot::what_the_runner_says_reaches_the_console_after_a_login_prompt_has_taken_it",
        async || {
            let lab = Lab::new().await;
            let guest = lab.boot(&lab.bootstrap().await);
            guest.until_it_says(" login: ").await;
            let job = lab.sim.queue("boot", "true");
            guest.until_it_says("Running job: work").await;
            lab.sim.succeeds(job).await;
            guest.off().await.expect_words("stage=listening cause=job_done status=0");
        },
    );
}

#[test]
fn a_job_runs_as_nobody_special_in_a_control_group_of_its_own_and_the_machine_is_gone() {
    isolated(
        "boot::a_job_runs_as_nobody_special_in_a_control_group_of_its_own_and_the_machine_is_gone",
        async || {
            let lab = Lab::new().await;
            let script = "id -un; cat /proc/self/cgroup
            if curl -sS --max-time 5 http://169.254.169.254/latest/meta-data/; then echo metadata is open; fi
            curl -sS --max-time 5 -o /dev/null $GITHUB_API_URL/rate_limit && echo github is there
            if sudo test -e /run/cml-runner/environment || sudo test -e /run/cml-runner/bootstrap; then echo a secret lies about; fi
            sudo sh -c 'cat /proc/[0-9]*/cmdline' | tr '\\0' '\\n' >arguments
            grep -q Runner.Listener arguments && echo arguments were read
            if grep -q SECRET arguments; then echo a secret is in arguments; fi
            ls -l ~/actions-runner/bin/Runner.Listener";
            let bootstrap = lab.bootstrap().await;
            let Registration::Jit { encoded } = bootstrap.registration.clone() else { panic!("JIT") };
            let secret = secrecy::ExposeSecret::expose_secret(&encoded)[..40].to_owned();
            let job = lab.sim.queue("boot", &script.replace("SECRET", &secret));
            let off = lab.boot(&bootstrap).off().await;
            off.expect_words("stage=listening cause=job_done status=0");
            let log = lab.sim.log(job).unwrap_or_default();
            for part in
                ["runner\n", "cml-job.service", "github is there", "arguments were read", "-rwxr-xr-x"]
            {
                assert!(log.contains(part), "{part:?} is not in:\n{log}");
            }
            for wrong in ["metadata is open", "a secret "] {
                assert!(!log.contains(wrong), "{wrong:?} is in:\n{log}");
            }
            assert!(!off.console.contains(&secret), "the secret is on the console");
            assert_eq!(
                lab.imds.requests().iter().filter(|one| one.starts_with("GET /latest/meta-data/ ")).count(),
                0
            );
        },
    );
}

#[test]
fn a_job_may_wait_for_cloud_init_which_has_nothing_to_complain_about() {
    isolated("boot::a_job_may_wait_for_cloud_init_which_has_nothing_to_complain_about", async || {
        let lab = Lab::new().await;
        let script = "cloud-init status --wait; grep -A1 errors /run/cloud-init/result.json
            sudo cloud-init schema --config-file /var/lib/cloud/instance/cloud-config.txt";
        let job = lab.sim.queue("boot", script);
        let guest = lab.boot(&lab.bootstrap().await);
        lab.sim.succeeds(job).await;
        guest.off().await.expect_words("stage=listening cause=job_done status=0");
        let log = lab.sim.log(job).unwrap_or_default();
        assert!(log.contains("status: done") && log.contains("\"errors\": []"), "{log}");
        assert!(log.contains("Valid cloud-config"), "{log}");
    });
}

#[test]
fn before_it_registers_a_machine_asks_for_one_thing_only_the_runners_package() {
    isolated("boot::before_it_registers_a_machine_asks_for_one_thing_only_the_runners_package", async || {
        let lab = Lab::new().await;
        let mirror = cml_e2e::boot::Mirror::start(&lab, |_| cml_e2e::boot::Fate::Served).await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.package.url.clone_from(&mirror.url);
        bootstrap.idle_timeout = Some(SignedDuration::from_secs(2));
        let asked_before = lab.sim.exchanges().len();
        let guest = lab.boot(&bootstrap);
        guest.until_it_says("Listening for Jobs").await;
        let to_imds = lab.imds.requests();
        assert!(to_imds.is_empty(), "{to_imds:?}");
        assert_eq!(mirror.asked(), [""]);
        assert_eq!(lab.sim.exchanges().len(), asked_before);
        guest.off().await.expect_words("stage=listening cause=idle_timeout status=0");
    });
}

#[test]
fn a_runner_of_many_jobs_is_configured_by_token_and_goes_when_it_is_idle() {
    isolated("boot::a_runner_of_many_jobs_is_configured_by_token_and_goes_when_it_is_idle", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.runner_name = "it's \"mine\" $HOME".to_owned();
        bootstrap.registration = Registration::Token {
            url: lab.sim.repo_url(),
            token: SecretString::from(lab.registration_token().await),
            labels: vec!["many".to_owned()],
            default_labels: true,
            group: None,
        };
        bootstrap.idle_timeout = Some(SignedDuration::from_secs(3));
        let jobs = [lab.sim.queue("many", "echo one"), lab.sim.queue("many", "echo two")];
        let guest = lab.boot(&bootstrap);
        for job in jobs {
            lab.sim.succeeds(job).await;
        }
        guest.off().await.expect_words("stage=listening cause=idle_timeout status=0");
    });
}

#[test]
fn disks_that_the_image_has_mounted_itself_are_the_jobs_scratch() {
    isolated("boot::disks_that_the_image_has_mounted_itself_are_the_jobs_scratch", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.setup.scratch = true;
        let job = lab.sim.queue("boot", "pwd -P; mountpoint /opt/dlami/nvme; ls /opt/dlami/nvme/cml-runner");
        // As Deep Learning AMIs have it when our script starts.
        let more = vec!["--tmpfs=/opt/dlami/nvme:mode=0755".to_owned()];
        let guest = lab.boot_in(&bootstrap, &Place { more, ..Place::default() });
        lab.sim.succeeds(job).await;
        let off = guest.off().await;
        off.expect("scratch: /mnt/scratch, on the disks that the image has mounted on /opt/dlami/nvme");
        let log = lab.sim.log(job).unwrap_or_default();
        for part in ["/mnt/scratch/work/", "/opt/dlami/nvme is a mountpoint", "\nwork\n"] {
            assert!(log.contains(part), "{part:?} is not in:\n{log}");
        }
    });
}

#[test]
fn what_the_user_wants_on_the_machine_is_there_before_the_job() {
    isolated("boot::what_the_user_wants_on_the_machine_is_there_before_the_job", async || {
        let lab = Lab::new().await;
        let mirror = cml_e2e::boot::Mirror::start(&lab, |_| cml_e2e::boot::Fate::Served).await;
        let mut bootstrap = lab.bootstrap().await;
        // Reachable through the proxy only: its name does not resolve.
        bootstrap.package.url = "http://packages.invalid/runner.tar.gz".to_owned();
        let proxy = mirror.url.trim_end_matches("/runner.tar.gz").to_owned();
        let awkward = r#".example.com,a"b$HOME`id`\c'd e"#;
        bootstrap.setup.proxy =
            Proxy { http: Some(proxy.clone()), https: None, not_for: Some(awkward.to_owned()) };
        bootstrap.setup.packages = vec!["cml-boot-test".to_owned()];
        bootstrap.setup.ca_certificates = Some(include_str!("../../data/ca.pem").to_owned());
        bootstrap.setup.startup_script =
            Some(b"#!/usr/bin/env -S sh -eu\nid -un >/etc/startup-ran\n".to_vec());
        bootstrap.setup.pre_job = Some(b"echo before >~/before".to_vec());
        bootstrap.setup.post_job =
            Some(b"#!/bin/bash\n[[ -e ~/before ]] && sudo sh -c 'echo after-the-job >/dev/console'".to_vec());
        bootstrap.setup.scratch = true;
        let script = "cml-boot-test; cat /etc/startup-ran ~/before; printenv http_proxy no_proxy
            grep -c \"$(sed -n 2p /usr/local/share/ca-certificates/cml-runner.crt)\" /etc/ssl/certs/ca-certificates.crt";
        let job = lab.sim.queue("boot", script);
        let repository = lab.debian_repository("cml-boot-test", "#!/bin/sh\necho installed from a package\n");
        let guest = lab.boot_in(&bootstrap, &Place { more: repository, ..Place::default() });
        lab.sim.succeeds(job).await;
        let off = guest.off().await;
        off.expect_words("stage=listening cause=job_done status=0").expect("after-the-job");
        off.expect("scratch: this machine has no disk of its own that is free");
        let log = lab.sim.log(job).unwrap_or_default();
        let proxies = format!("{proxy}\n{awkward}\n");
        for part in ["installed from a package\n", "root\n", "before\n", proxies.as_str(), "\n1\n"] {
            assert!(log.contains(part), "{part:?} is not in:\n{log}");
        }
    });
}

#[test]
fn a_report_of_a_job_says_what_its_machine_costs_and_what_its_gpu_does() {
    isolated("boot::a_report_of_a_job_says_what_its_machine_costs_and_what_its_gpu_does", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.machine = Machine::Cloud { gpu: true };
        bootstrap.offers = [("us-east-1b", "9"), ("us-east-1a", "0.0345")].map(offer).to_vec();
        let card = "#!/bin/sh\ncase $1 in --query-gpu=*) echo NVIDIA T4, 97, 11000, 15360 ;; *) echo \"GPU 0: NVIDIA T4 (UUID: x)\" ;; esac";
        let driver =
            format!("cat >/usr/bin/nvidia-smi <<'CARD'\n{card}\nCARD\nchmod 755 /usr/bin/nvidia-smi");
        bootstrap.setup.startup_script = Some(driver.into_bytes());
        // The last fact of the metadata service comes a moment after the runner listens.
        let script = "until [ -s $CML_MACHINE_FACTS/gpu ] && [ $(grep -c since= $CML_MACHINE_FACTS/machine) = 2 ]; do sleep 0.2; done
            printf '# Report\\n' >report.md
            cml-runner comment create report.md --to preview --footer && cat preview/report.md
            env -u CML_MACHINE_FACTS cml-runner comment create report.md --to preview --footer && tail -n 1 preview/report.md
            stat -c '%U %a %n' /run/cml-facts /run/cml-facts/*";
        let program =
            format!("--bind-ro={}:/usr/local/bin/cml-runner", cml_e2e::paths::cml_runner().display());
        let job = lab.sim.queue("boot", script);
        let guest = lab.boot_in(&bootstrap, &Place { more: vec![program], ..Place::default() });
        lab.sim.succeeds(job).await;
        guest.off().await.expect_words("stage=listening cause=job_done status=0");
        let log = lab.sim.log(job).unwrap_or_default();
        let small = "<sub>Machine: `m5.large` in us-east-1a, spot, since 20";
        for part in [
            "about $0.0006 at $0.0345/h, the price when it was bought",
            "<br>GPU: NVIDIA T4, utilisation 97 % on average, 97 % at most; memory 10.7 GiB on average, 10.7 GiB at most, of 15.0 GiB (",
            "root 755 /run/cml-facts\nroot 644 /run/cml-facts/gpu\nroot 644 /run/cml-facts/machine\n",
        ] {
            assert!(log.contains(part), "{part:?} is not in:\n{log}");
        }
        assert_eq!(log.matches(small).count(), 2, "by its usual place, too:\n{log}");
    });
}

/// A small machine in this zone at this price.
fn offer((zone, price): (&str, &str)) -> Offer {
    Offer {
        region: "us-east-1".to_owned(),
        zone: Some(zone.to_owned()),
        instance_type: "m5.large".to_owned(),
        market: Market::Spot,
        price: Some(UsdPerHour(price.parse().expect("a number"))),
        resources: Resources { vcpus: 2, memory_mib: 8192, gpu: None, arch: Arch::X64 },
        driver: cml_cloud::Driver::None,
        quota: None,
        disk: None,
    }
}

#[test]
fn a_pre_job_hook_that_fails_fails_the_job() {
    isolated("boot::a_pre_job_hook_that_fails_fails_the_job", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.setup.pre_job = Some(b"echo no licence today; exit 3".to_vec());
        let job = lab.sim.queue("boot", "echo never");
        let guest = lab.boot(&bootstrap);
        assert_eq!(lab.sim.ended(job).await.conclusion.as_deref(), Some("failure"));
        guest.off().await.expect_words("stage=listening cause=job_done status=0");
        assert!(lab.sim.log(job).unwrap_or_default().contains("no licence today"));
    });
}

#[test]
fn jobs_may_speak_to_the_metadata_service_where_the_owner_says_so() {
    isolated("boot::jobs_may_speak_to_the_metadata_service_where_the_owner_says_so", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.setup.metadata_open = true;
        let script =
            "curl -sS --max-time 5 -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/";
        let job = lab.sim.queue("boot", script);
        let guest = lab.boot(&bootstrap);
        lab.sim.succeeds(job).await;
        guest.off().await.expect_words("stage=listening cause=job_done status=0");
        assert!(lab.sim.log(job).unwrap_or_default().contains("401"), "it is there, and wants a token");
    });
}

#[test]
fn a_runner_in_the_image_is_used_if_it_is_the_version_that_github_gives_out() {
    isolated("boot::a_runner_in_the_image_is_used_if_it_is_the_version_that_github_gives_out", async || {
        let lab = Lab::new().await;
        let runner = lab.unpacked_runner().await;
        let place = Place {
            more: vec![format!("--bind={}:/opt/actions-runner", runner.display())],
            ..Place::default()
        };
        let mut bootstrap = lab.bootstrap().await;
        // Nothing is downloaded: there is no server.
        bootstrap.package.url = "http://192.0.2.1:9/actions-runner-linux-x64-2.336.0.tar.gz".to_owned();
        let job = lab.sim.queue("boot", "pwd -P");
        lab.boot_in(&bootstrap, &place).off().await.expect_words("stage=listening cause=job_done status=0");
        assert!(lab.sim.log(job).unwrap_or_default().contains("/opt/actions-runner/_work/"));

        let mut bootstrap = lab.bootstrap().await;
        bootstrap.package.url = "http://192.0.2.1:9/actions-runner-linux-x64-2.337.0.tar.gz".to_owned();
        bootstrap.boot_timeout = SignedDuration::from_secs(8);
        lab.boot_in(&bootstrap, &place).off().await.expect_words("stage=fetch cause=boot_timeout status=1");
    });
}

#[test]
fn a_machine_bought_for_its_gpu_takes_no_job_without_one() {
    isolated("boot::a_machine_bought_for_its_gpu_takes_no_job_without_one", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.machine = Machine::Cloud { gpu: true };
        let off = lab.boot(&bootstrap).off().await;
        off.expect_words("stage=gpu cause=gpu_driver_missing status=1").expect("no NVIDIA driver");

        // The driver's message for a card that has fallen off its bus.
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.machine = Machine::Cloud { gpu: true };
        let broken = "#!/bin/sh\\necho 'No devices were found'; exit 6\\n";
        bootstrap.setup.startup_script = Some(
            format!("printf \"{broken}\" >/usr/bin/nvidia-smi; chmod 755 /usr/bin/nvidia-smi").into_bytes(),
        );
        let off = lab.boot(&bootstrap).off().await;
        off.expect_words("stage=gpu cause=gpu status=6").expect("No devices were found");
    });
}

#[test]
fn a_machine_without_a_job_goes_when_it_has_been_idle() {
    isolated("boot::a_machine_without_a_job_goes_when_it_has_been_idle", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.idle_timeout = Some(SignedDuration::from_secs(3));
        let off = lab.boot(&bootstrap).off().await;
        off.expect_words("stage=listening cause=idle_timeout status=0");
    });
}

#[test]
fn the_deadline_ends_a_job_that_ignores_signals_on_a_full_disk() {
    isolated("boot::the_deadline_ends_a_job_that_ignores_signals_on_a_full_disk", async || {
        let lab = Lab::new().await;
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.deadline = Deadline(now() + SignedDuration::from_secs(25));
        // What the job leaves outside its control group ignores signals too, as a container may.
        let script = "sudo systemd-run --quiet sh -c \"trap '' TERM; while :; do sleep 1; done\"
            trap '' TERM INT HUP; cat /dev/zero >filled || sync
            echo \"room left: $(($(df --output=avail / | tail -n 1)))\" | sudo tee /dev/console
            while :; do sleep 1; done";
        let _ = lab.sim.queue("boot", script);
        let place = Place { disk: Some("300m".to_owned()), ..Place::default() };
        let off = lab.boot_in(&bootstrap, &place).off().await;
        off.expect_words("stage=listening cause=deadline status=0").expect("room left: 0\n");
    });
}

#[test]
fn a_clock_that_is_an_hour_off_gives_no_machine_more_time() {
    isolated("boot::a_clock_that_is_an_hour_off_gives_no_machine_more_time", async || {
        let lab = Lab::new().await;
        // To a machine whose clock is behind, the launch and its deadline lie in the future.
        let mut bootstrap = lab.bootstrap().await;
        let hour = SignedDuration::from_hours(1);
        bootstrap.launch = cml_e2e::boot::launch_at(now() + hour);
        bootstrap.deadline = Deadline(now() + hour + SignedDuration::from_secs(20));
        lab.boot(&bootstrap).off().await.expect_words("stage=listening cause=deadline status=0");
        // To one that is ahead, they are over.
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.launch = cml_e2e::boot::launch_at(now() - hour);
        bootstrap.deadline = Deadline(now() - hour + SignedDuration::from_secs(120));
        let off = lab.boot(&bootstrap).off().await;
        assert!(off.console.contains("cause=deadline status=0"), "{}", off.console);
    });
}

#[test]
fn a_machine_whose_watchers_are_killed_goes_all_the_same() {
    isolated("boot::a_machine_whose_watchers_are_killed_goes_all_the_same", async || {
        let lab = Lab::new().await;
        let _ = lab.sim.queue("boot", "sudo systemctl kill --signal=KILL cml-runner.service; sleep 100");
        let off = lab.boot(&lab.bootstrap().await).off().await;
        assert_eq!(off.code, Some(0), "{}", off.console);
        // Even the service is only a net: the timer is another.
        let mut bootstrap = lab.bootstrap().await;
        bootstrap.deadline = Deadline(now() + SignedDuration::from_secs(20));
        let stop = "sudo sed -i '/Action/d' /run/systemd/system/cml-runner.service && sudo systemctl daemon-reload &&
            sudo systemctl kill --signal=KILL cml-runner.service; sleep 100";
        let _ = lab.sim.queue("boot", stop);
        lab.boot(&bootstrap).off().await.expect_words("stage=unknown cause=deadline status=1");
    });
}

#[test]
fn a_machine_that_is_rebooted_or_switched_off_says_so_and_an_image_of_it_boots_again() {
    isolated(
        "boot::a_machine_that_is_rebooted_or_switched_off_says_so_and_an_image_of_it_boots_again",
        async || {
            let lab = Lab::new().await;
            let state = lab.state();
            let place = Place { state: Some(state), ..Place::default() };
            let bootstrap = lab.bootstrap().await;
            let _ = lab.sim.queue("boot", "sudo systemctl reboot --force --force; sleep 100");
            assert_eq!(lab.boot_in(&bootstrap, &place).off().await.code, Some(133), "it reboots");
            lab.boot_in(&bootstrap, &place).off().await.expect_words("stage=reboot cause=rebooted status=0");
            // Another machine of the same disk, as of an image made of it.
            let job = lab.sim.queue("boot", "sleep 18; sudo systemctl poweroff; sleep 100");
            let guest = lab.boot_in(&lab.bootstrap().await, &place);
            let off = guest.off().await;
            off.expect_words("stage=listening cause=stopped status=143");
            assert!(lab.sim.jobs().iter().any(|one| one.id == job));
        },
    );
}

#[test]
fn a_notice_of_interruption_runs_the_hook_stops_the_job_and_github_hears_of_it() {
    isolated(
        "boot::a_notice_of_interruption_runs_the_hook_stops_the_job_and_github_hears_of_it",
        async || {
            let lab = Lab::new().await;
            let mut bootstrap = lab.bootstrap().await;
            let hook = "echo \"saving: $CML_NOTICE $CML_SECONDS_LEFT\" | sudo tee /dev/console";
            bootstrap.setup.on_interruption = Some(hook.as_bytes().to_vec());
            let job = lab.sim.queue("boot", "echo started; sleep 100");
            let guest = lab.boot(&bootstrap);
            guest.until_it_says("Running job: work").await;
            lab.imds.recommends_rebalance(&now().to_string());
            guest.until_it_says("saving: rebalance ").await;
            lab.imds.interrupts_at(
                &(now() + SignedDuration::from_secs(46)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            );
            guest.until_it_says("saving: interruption 4").await;
            assert_eq!(lab.sim.ended(job).await.conclusion.as_deref(), Some("cancelled"));
            guest.until_it_says("cml-runner: last words: stage=listening cause=interrupted status=0").await;
            // EC2 cuts its power.
            let off = guest.cut().await;
            off.expect("notice: the job is told to stop");
        },
    );
}

#[test]
fn a_machine_that_ec2_wanted_back_and_did_not_take_goes_by_itself() {
    isolated("boot::a_machine_that_ec2_wanted_back_and_did_not_take_goes_by_itself", async || {
        let lab = Lab::new().await;
        let guest = lab.boot(&lab.bootstrap().await);
        guest.until_it_says("Listening for Jobs").await;
        lab.imds.interrupts_at(
            &(now() + SignedDuration::from_secs(3)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        );
        guest.off().await.expect_words("stage=listening cause=interrupted status=0");
    });
}
