//! The proposed `cml.yaml`.

use crate::plan::{Cloud, Plan};

/// What a spec for AWS has beside its labels.
const AWS: &str = "    cloud: aws
    regions: [@REGION@]          # in order of preference; more of them find more spot machines
    instance_types: [@TYPE@]@PAD@         # a size, types such as [g5.xlarge, g6.xlarge], or in its place `needs:`
    # needs: { vcpus: 4.., memory: 16GiB.. }
    spot: prefer                  # spot first, then on-demand; only or never
    disk: @DISK@GiB
    max: 2                        # machines at once
    idle_timeout: 5m              # without a job, it goes after this
    max_lifetime: 12h             # then it goes, whatever it is doing
    budget: { day: 20 USD }       # a launch that could go beyond it waits, and says why
    reruns: { max: 2, last_on_demand: true }   # of jobs whose spot machine was taken back
";

/// The same for a machine of one's own.
const LOCAL: &str = "    cloud: local                  # the machine that runs the daemon
    max: 1                        # jobs at once
    idle_timeout: 5m              # without a job, its runner goes after this
    max_lifetime: 12h             # then it goes, whatever it is doing
";

pub(crate) fn write(plan: &Plan) -> String {
    let used = if plan.pool {
        "# `cml-runner daemon --config cml.yaml` keeps these pools for as long as it runs."
    } else {
        "# The workflow's launching job does not need it: it is for `cml-runner plan cml.yaml` (what would be bought, for how much), and\n\
         # for `cml-runner daemon --config cml.yaml`, should you want a pool in place of a launching job."
    };
    let mut text = format!(
        "# Pools of GitHub Actions runners. `cml-runner validate cml.yaml` checks this file, `cml-runner schema` is for editors.\n{used}\n"
    );
    text.push_str(&github(plan));
    text.push_str(&format!("\nrunners:\n  {}:                            # a spec; the name is yours\n", plan.spec()));
    text.push_str(&format!(
        "    labels: [cml, {}]            # a job with runs-on: [self-hosted, cml, {}] gets such a machine\n",
        plan.spec(),
        plan.spec()
    ));
    match plan.cloud {
        Cloud::Aws => text.push_str(&aws(plan)),
        Cloud::Local => text.push_str(LOCAL),
    }
    text.push_str("    allow: { forks: never }       # pull requests from forks run strangers' code\n");
    text.push_str(REPORTS);
    text
}

fn aws(plan: &Plan) -> String {
    AWS.replace("@REGION@", &plan.region)
        .replace("@TYPE@", plan.size())
        .replace("@PAD@", if plan.gpu { "" } else { "   " })
        .replace("@DISK@", &plan.disk().to_string())
}

fn github(plan: &Plan) -> String {
    let url = plan.repository.as_ref().map_or("github.com", |repository| repository.host.as_str());
    let lines = [
        "github:".to_owned(),
        format!("  url: https://{url}"),
        format!("  scope: {}           # or an organization", plan.repository_name()),
        "  auth: { token_env: REPO_TOKEN }    # the variable with the token, never the token itself".to_owned(),
    ];
    // A scope that is made up would be asked for jobs.
    let start = if plan.repository.is_some() { "" } else { "# " };
    let lines: String = lines.iter().map(|line| format!("{start}{line}\n")).collect();
    format!("\n{lines}")
}

/// How reports may leave the repository.
const REPORTS: &str = "
# reports:                        # files that reports show; without this they stay in the repository
#   to: s3://my-bucket/reports
";
