//! The twenty ways in which provisioners of this kind fail (docs/reliability.md), each as a history with only that
//! fault.
#![allow(missing_docs)]

use cml_world::fleet::{Fault, RunConfig, RunResult, run};

/// Runs ten seeds with only these faults, at these rates per thousand chances, and returns the results.
fn histories(jobs: usize, armed: &[(Fault, i64)]) -> Vec<RunResult> {
    let what = |seed| RunConfig { seed, jobs, only: Some(armed.to_vec()), ..RunConfig::default() };
    (1..=10).map(|seed| run(&what(seed))).collect()
}

/// Asserts that no law is broken, everything comes to rest (every job has run or has a reason, nothing is left), and
/// the faults were observed.
fn survives(armed: &[(Fault, i64)], also_met: &[Fault]) {
    let histories = histories(40, armed);
    for history in &histories {
        assert_eq!(history.violations, Vec::<String>::new(), "seed {}", history.seed);
    }
    let must_meet = armed.iter().map(|(fault, _)| fault).chain(also_met);
    for fault in must_meet {
        assert!(
            histories.iter().any(|history| history.met.contains_key(fault)),
            "{} was not met",
            fault.word()
        );
    }
}

#[test]
fn mode_01_a_crash_between_launch_and_bookkeeping_leaks_nothing() {
    survives(&[(Fault::Crash, 20), (Fault::CrashAtWrite, 200), (Fault::AnswerLost, 400)], &[]);
}

#[test]
fn mode_02_jobs_run_though_every_webhook_is_lost_or_late() {
    survives(&[(Fault::WebhookLost, 1000)], &[]);
    survives(&[(Fault::WebhookLate, 900), (Fault::WebhookTwice, 500)], &[]);
}

#[test]
fn mode_03_a_stolen_runner_starves_nobody() {
    survives(&[(Fault::HandMade, 800)], &[Fault::Stolen]);
}

#[test]
fn mode_04_missing_capacity_falls_back_to_other_zones_regions_and_on_demand() {
    let elsewhere = [Fault::OtherZone, Fault::OtherRegion, Fault::OnDemand];
    survives(&[(Fault::Capacity, 500), (Fault::RegionDry, 500), (Fault::Quota, 1000)], &elsewhere);
    survives(&[(Fault::Unsupported, 1000)], &[Fault::OtherZone]);
}

#[test]
fn mode_05_a_machine_that_never_registers_is_replaced_and_gone() {
    survives(&[(Fault::NeverBoots, 400), (Fault::NoNetwork, 200), (Fault::BootsSlowly, 300)], &[]);
}

#[test]
fn mode_06_nobody_is_killed_for_looking_like_an_orphan_or_idle() {
    survives(&[(Fault::ShowsLate, 800), (Fault::ShowsIdle, 600), (Fault::Slow, 200), (Fault::Pause, 5)], &[]);
}

#[test]
fn mode_07_a_delete_that_never_completes_wedges_nothing() {
    survives(&[(Fault::DeleteStuck, 700), (Fault::ShowsDead, 500)], &[]);
}

#[test]
fn mode_08_rate_limits_of_github_delay_and_lose_nothing() {
    survives(&[(Fault::GitHubLimits, 300), (Fault::GitHubAnswerLost, 200)], &[]);
}

#[test]
fn mode_09_throttling_by_the_cloud_stalls_neither_launches_nor_ends() {
    survives(&[(Fault::Throttled, 300), (Fault::BucketEmpty, 1000), (Fault::CloudSilent, 200)], &[]);
}

#[test]
fn mode_10_every_interrupted_job_runs_again_once_its_run_allows() {
    let again = [Fault::Rerun, Fault::FirstHourFree];
    survives(&[(Fault::TakenBack, 150), (Fault::NoNotice, 500)], &again);
    // Also when no notification arrives in time.
    survives(&[(Fault::TakenBack, 150), (Fault::GitHubDown, 500), (Fault::WebhookLost, 800)], &again);
}

#[test]
fn mode_12_a_runner_that_gets_no_jobs_and_vanishes_is_replaced() {
    survives(&[(Fault::RunnerVanishes, 800), (Fault::NotAssigned, 600)], &[]);
}

#[test]
fn mode_13_jobs_that_are_announced_and_cannot_run_yet_run_later() {
    survives(&[(Fault::Held, 500), (Fault::ApprovalTwice, 400)], &[]);
}

#[test]
fn mode_14_a_full_pool_serves_everybody_in_the_end_and_is_never_overfull() {
    for history in histories(150, &[]) {
        assert_eq!(history.violations, Vec::<String>::new(), "seed {}", history.seed);
    }
}

#[test]
fn mode_15_registrations_of_dead_machines_are_removed() {
    survives(&[(Fault::Dies, 300), (Fault::HandKilled, 100), (Fault::TagsRemoved, 50)], &[]);
}

#[test]
fn mode_16_two_controllers_at_once_are_as_good_as_one() {
    survives(&[(Fault::TwoControllers, 1000), (Fault::Overtaken, 300)], &[Fault::WrittenByAnother]);
}

#[test]
fn mode_17_a_restart_finds_what_was_queued_meanwhile() {
    survives(&[(Fault::Crash, 40), (Fault::WebhookLost, 500)], &[]);
}

#[test]
fn mode_18_a_registration_that_is_gone_before_its_runner_starts_costs_one_machine_and_no_job() {
    survives(&[(Fault::RegistrationGone, 400)], &[]);
}

#[test]
fn mode_19_github_in_trouble_costs_time_and_no_job() {
    survives(&[(Fault::GitHubDown, 900), (Fault::NotAssigned, 900), (Fault::GitHubFails, 200)], &[]);
}

#[test]
fn mode_20_a_job_cancelled_before_it_is_picked_up_leaves_no_machine() {
    survives(&[(Fault::Cancelled, 700)], &[]);
}

#[test]
fn machines_of_other_controllers_are_neither_ended_nor_counted() {
    survives(&[(Fault::OtherController, 1000), (Fault::TagsRemoved, 50)], &[]);
}

#[test]
fn a_runner_that_one_list_lacks_is_not_gone() {
    survives(&[(Fault::ListShort, 500), (Fault::WebhookLost, 1000), (Fault::Crash, 20)], &[]);
}

#[test]
fn a_runner_that_leaves_without_a_job_starves_nobody() {
    survives(&[(Fault::RunnerLeaves, 400)], &[]);
}

#[test]
fn a_job_without_labels_buys_nothing_and_holds_up_nobody() {
    survives(&[(Fault::NoLabels, 1000)], &[]);
}

#[test]
fn jobs_that_a_rule_or_a_budget_refuses_change_nothing() {
    let rules = [Fault::Fork, Fault::OtherEvent, Fault::OtherActor, Fault::OtherRepository, Fault::Poor]
        .map(|it| (it, 1000));
    for rule in rules {
        survives(&[rule], &[]);
    }
    survives(&[&rules[..], &[(Fault::Capacity, 300), (Fault::ShowsLate, 500)]].concat(), &[]);
}

#[test]
fn a_clock_that_is_wrong_ends_nobody_and_buys_nothing() {
    survives(&[(Fault::ClockWrong, 1000)], &[]);
    survives(
        &[(Fault::ClockWrong, 500), (Fault::ClockStep, 500), (Fault::WebhookLost, 500), (Fault::Hangs, 100)],
        &[],
    );
}

#[test]
fn a_region_that_fails_is_left_out_and_what_lives_there_is_neither_lost_nor_replaced() {
    survives(&[(Fault::RegionFails, 1000), (Fault::AnswerLost, 200)], &[]);
    survives(&[(Fault::RegionDenied, 1000), (Fault::LaunchDenied, 1000)], &[Fault::OtherZone]);
}

#[test]
fn a_type_that_a_policy_denies_and_a_request_that_was_not_taken_starve_nobody() {
    survives(&[(Fault::TypeDenied, 1000)], &[]);
    survives(&[(Fault::RequestRefused, 150)], &[]);
    survives(&[(Fault::RequestRefused, 150), (Fault::TypeDenied, 1000), (Fault::Crash, 8)], &[]);
}

#[test]
fn more_disks_of_the_image_are_billed_and_quotas_are_the_providers() {
    survives(&[(Fault::MoreDisks, 1000), (Fault::TwoTypes, 1000), (Fault::Quota, 1000)], &[]);
}

#[test]
fn a_machine_that_hangs_is_ended_by_the_second_net() {
    survives(&[(Fault::Hangs, 300)], &[]);
}

#[test]
fn clocks_that_step_and_full_journals_break_nothing() {
    survives(&[(Fault::ClockStep, 800), (Fault::JournalBusy, 200), (Fault::CloudDown, 500)], &[]);
}
