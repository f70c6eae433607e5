//! `cml-runner demo`: the first command of a new user.

use std::time::Duration;

use cml_e2e::runner::Runner;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_trains_a_model_and_leaves_nothing() {
    let user = Runner::new();
    let report = user.home().join("report");
    let ran = user.run(&["demo", "--json", "--output", &report.display().to_string()]).await.expect_code(0);
    let result = ran.json();
    assert_eq!(result["job"]["conclusion"], "success", "{ran:#?}");
    assert_eq!((&result["instances_left"], &result["runners_left"]), (&0.into(), &0.into()), "{ran:#?}");
    assert!(result["queued_to_running_ms"].as_u64().is_some(), "{ran:#?}");
    assert!(result["metrics"].as_object().is_some_and(|metrics| !metrics.is_empty()), "{ran:#?}");
    assert!(std::fs::read_to_string(report.join("plot.svg")).expect("a plot").contains("<svg"));
    user.until_quiet(Duration::from_secs(10)).await;
}
