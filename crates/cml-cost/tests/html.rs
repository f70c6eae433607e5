//! The page of a report.

mod sample;

use cml_cost::{By, Class};
use sample::Sample;

#[test]
fn the_sample_has_everything_that_a_page_shows() {
    let mut sample = Sample::of_days(30);
    let report = sample.report(By::Repo);
    assert_eq!(report.days.len(), 30);
    assert!(Class::ALL.iter().all(|class| !report.total.class(*class).0.is_zero()), "{:?}", report.total);
    assert!(report.waste.len() >= 3, "{:?}", report.waste);
    assert!(
        report.running.len() >= 3 && report.running.iter().any(|it| it.is_overdue),
        "{:?}",
        report.running
    );
    assert!(report.comparison.hosted.jobs > 0 && report.comparison.hosted.unfit > 0);
    assert!(!report.estimated.0.is_zero() && report.job_costs.len() > 300);
}
