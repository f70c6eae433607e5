//! `--footer`: the machine on which a report was made, and its cost. On machines that boot for real: `boot.rs`.

use cml_e2e::desk::{Desk, WORKFLOW_TOKEN, sim_with_workflow_token};
use cml_e2e::paths;
use cml_e2e::sim::Sim;

const NOT_OURS: &str = "\n\n---\n\n<sub>Not a machine of cml-runner: cost not known.</sub>\n";

#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_a_footer_says_that_the_cost_is_not_known() {
    let sim = sim_with_workflow_token().await;
    let sha = sim.commit_files(&[("train.py", b"pass\n")], "main");
    let desk = Desk::on_push(&sim, &sha).with("REPO_TOKEN", WORKFLOW_TOKEN);
    // Wherever these tests run: there is no machine of ours.
    let desk = desk.with("CML_MACHINE_FACTS", "/nonexistent");
    desk.write("report.md", b"# Report\n\naccuracy 0.9\n");
    let url = desk.says(&["cml-send-comment", "report.md", "--footer", "--update"]).await;
    let body = |sim: &Sim| sim.comments().pop().expect("a comment").body;
    assert!(body(&sim).starts_with(&format!("# Report\n\naccuracy 0.9{NOT_OURS}")), "{}", body(&sim));
    assert_eq!(desk.says(&["cml-send-comment", "report.md", "--update", "--no-footer"]).await, url);
    assert!(!body(&sim).contains("---"), "{}", body(&sim));
    let by_variable = desk.with("CML_COMMENT_FOOTER", "true");
    assert_eq!(by_variable.says(&["cml", "comment", "update", "report.md"]).await, url);
    assert!(body(&sim).contains(NOT_OURS), "{}", body(&sim));
    assert_eq!(by_variable.says(&["cml-send-github-check", "report.md", "--footer"]).await, "");
    let summary = sim.check_runs().remove(0).summary.unwrap_or_default();
    assert!(summary.ends_with(NOT_OURS), "{summary}");
    // A footer alone is no report.
    by_variable.write("report.md", b"\n");
    let ran = by_variable.run(&["cml-send-comment", "report.md"]).await.expect_code(1);
    assert!(ran.stderr.contains("the report is empty"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_this_machine_costs_nothing_and_may_launch_another() {
    let sim = Sim::start().await;
    let user = sim.user();
    let program = paths::cml_runner().display();
    // What the machine puts into the job's environment must mean nothing to `launch`, which checks its variables.
    let script = format!(
        "printf '# Report\\n' >report.md && {program} comment create report.md --to shown --footer && cat shown/report.md
        {program} render --labels x >/dev/null && echo rendered"
    );
    let job = sim.queue("cml", &script);
    let line =
        ["launch", "--cloud", "local", "--labels", "cml", "--boot-timeout", "30s", "--max-lifetime", "5m"];
    let _ = user.run(&line).await.expect_code(0);
    let _ = sim.succeeds(job).await;
    user.until_quiet(std::time::Duration::from_secs(25)).await;
    let log = sim.log(job).unwrap_or_default();
    for part in ["<sub>Machine: this machine (local), since 20", "(0 min). Cost so far: $0.", "rendered\n"] {
        assert!(log.contains(part), "{part:?} is not in:\n{log}");
    }
}
