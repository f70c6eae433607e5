//! The proposed `cml.yaml`.

use crate::plan::{Cloud, Plan};

/// The column of comments.
const COMMENTS: usize = 36;

pub(crate) fn write(plan: &Plan) -> String {
    let mut text = String::from(
        "# Pools of GitHub Actions runners. `cml-runner validate cml.yaml` checks this file, `cml-runner schema` is for editors.\n",
    );
    text.push_str(if plan.pool {
        "# `cml-runner daemon --config cml.yaml` keeps these pools for as long as it runs.\n\n"
    } else {
        "# The workflow's launching job does not need it: it is for `cml-runner plan cml.yaml` (what would be bought, for how much), and\n\
         # for `cml-runner daemon --config cml.yaml`, should you want a pool in place of a launching job.\n\n"
    });
    let lines = github(plan).into_iter().chain(runners(plan));
    for (line, comment) in lines {
        let line = if comment.is_empty() { line } else { format!("{line:COMMENTS$}# {comment}") };
        text.push_str(&format!("{line}\n"));
    }
    text.push_str(REPORTS);
    text
}

fn github(plan: &Plan) -> Vec<(String, &'static str)> {
    let host = plan.repository.as_ref().map_or("github.com", |repository| repository.host.as_str());
    // The daemon would query jobs of a made-up scope.
    let start = if plan.repository.is_some() { "" } else { "# " };
    [
        ("github:".to_owned(), ""),
        (format!("  url: https://{host}"), ""),
        (format!("  scope: {}", plan.repository_name()), "or an organization"),
        (
            "  auth: { token_env: REPO_TOKEN }".to_owned(),
            "the variable with the token, never the token itself",
        ),
    ]
    .into_iter()
    .map(|(line, comment)| (format!("{start}{line}"), comment))
    .chain([(String::new(), "")])
    .collect()
}

fn runners(plan: &Plan) -> Vec<(String, &'static str)> {
    let spec = plan.spec();
    let mut lines = vec![
        ("runners:".to_owned(), ""),
        (format!("  {spec}:"), "a spec; the name is yours"),
        (format!("    labels: [cml, {spec}]"), "a job that asks for some of these gets such a machine"),
    ];
    lines.extend(match plan.cloud {
        Cloud::Aws => aws(plan),
        Cloud::Local => vec![
            ("    cloud: local".to_owned(), "the machine that runs the daemon"),
            ("    max: 1".to_owned(), "jobs at once"),
        ],
    });
    lines.extend([
        ("    idle_timeout: 5m".to_owned(), "without a job, it goes after this"),
        ("    max_lifetime: 12h".to_owned(), "then it goes, whatever it is doing"),
        ("    allow: { forks: never }".to_owned(), "pull requests from forks run strangers' code"),
    ]);
    lines
}

fn aws(plan: &Plan) -> Vec<(String, &'static str)> {
    vec![
        ("    cloud: aws".to_owned(), ""),
        (
            format!("    regions: [{}]", plan.region),
            "in order of preference; more of them find more spot machines",
        ),
        (format!("    instance_types: [{}]", plan.size()), "a size, or types such as [g5.xlarge, g6.xlarge]"),
        ("    # needs: { vcpus: 4.. }".to_owned(), "or, in their place, what they must have"),
        ("    spot: prefer".to_owned(), "spot first, then on-demand; only or never"),
        (format!("    disk: {}GiB", plan.disk()), ""),
        ("    max: 2".to_owned(), "machines at once"),
        ("    budget: { day: 20 USD }".to_owned(), "a launch that could go beyond it waits, and says why"),
        ("    reruns: { max: 2 }".to_owned(), "of jobs whose spot machine was taken back"),
    ]
}

/// Targets of reports outside the repository.
const REPORTS: &str = "
# reports:                          # files that reports show; without this they stay in the repository
#   to: s3://my-bucket/reports
";
