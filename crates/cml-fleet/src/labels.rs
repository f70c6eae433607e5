//! Which runner may take which job, as GitHub has it: the runner has every label that the job asks for, compared without
//! regard to case. <https://docs.github.com/en/actions/reference/runners/self-hosted-runners>

/// Labels that every self-hosted Linux runner has without being given them.
const SYSTEM: [&str; 2] = ["self-hosted", "linux"];

/// A job's labels in one order and one case, without repeats and without what every runner has: jobs with equal keys
/// are one demand.
pub(crate) fn key(labels: &[String]) -> Vec<String> {
    let mut key: Vec<String> = labels.iter().map(|label| label.to_lowercase()).collect();
    key.retain(|label| !SYSTEM.contains(&label.as_str()));
    key.sort_unstable();
    key.dedup();
    key
}

/// A runner's labels in one case, as [`serves`] compares them.
pub(crate) fn lower(labels: &[String]) -> Vec<String> {
    labels.iter().map(|label| label.to_lowercase()).collect()
}

/// True when a runner with these labels, in lower case, may take a job with that key.
pub(crate) fn serves(runner: &[String], job_key: &[String]) -> bool {
    job_key.iter().all(|wanted| runner.contains(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_runner_with_more_labels_serves_and_one_with_fewer_does_not() {
        assert!(serves(&lower(&words("cml GPU big")), &key(&words("self-hosted gpu"))));
        assert!(!serves(&lower(&words("cml")), &key(&words("cml gpu"))));
        assert!(serves(&lower(&words("cml")), &key(&words("Linux self-hosted"))));
    }

    #[test]
    fn order_case_and_repeats_do_not_make_another_demand() {
        assert_eq!(key(&words("GPU cml gpu")), key(&words("self-hosted cml gpu")));
    }
}
