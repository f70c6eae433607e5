//! The proposed workflow.

use crate::findings::Findings;
use crate::plan::{Cloud, Plan};
use crate::steps;

/// The label that only this run's machine has.
pub(crate) const LABEL: &str = "cml-${{ github.run_id }}-${{ github.run_attempt }}";

/// Condition against launches for strangers: pull requests from forks get no secrets, and a launch would fail.
const NOT_FROM_FORKS: &str = "    if: github.event_name != 'pull_request' || github.event.pull_request.head.repo.full_name == github.repository\n";

const LAUNCH: &str = "  launch:
    runs-on: ubuntu-latest
    timeout-minutes: 20
@GUARD@    permissions:
      id-token: write       # to become the AWS role: no AWS keys are stored
    steps:
      - uses: aws-actions/configure-aws-credentials@v4
        with:
          role-to-assume: ${{ vars.CML_AWS_ROLE }}
          aws-region: @REGION@
      - uses: cml-runner/cml-runner@v@VERSION@
        with:
          command: launch
          cloud: aws
          region: @REGION@
          type: @TYPE@
          spot: prefer
          disk: @DISK@
          labels: \"@LABEL@\"
          max-lifetime: 12h     # the machine ends then, whatever happens
          token: ${{ secrets.REPO_TOKEN }}   # registers the runner; the workflow's own token cannot

";

pub(crate) fn write(findings: &Findings, plan: &Plan) -> String {
    let branch = findings.git.default_branch.as_deref().unwrap_or("main");
    let mut text = head(plan);
    text.push_str(&format!(
        "name: cml\n\non:\n  pull_request:\n  push:\n    branches: [{branch}]\n  workflow_dispatch:\n\npermissions: {{}}             # each job says what it needs\n\njobs:\n"
    ));
    let launches = !plan.pool;
    if launches {
        text.push_str(
            &LAUNCH
                .replace("@GUARD@", NOT_FROM_FORKS)
                .replace("@REGION@", &plan.region)
                .replace("@VERSION@", &plan.version)
                .replace("@TYPE@", plan.size())
                .replace("@DISK@", &plan.disk().to_string())
                .replace("@LABEL@", LABEL),
        );
    }
    text.push_str("  train:\n");
    if launches {
        text.push_str(&format!("    needs: launch\n    runs-on: [self-hosted, \"{LABEL}\"]\n"));
    } else {
        text.push_str(&format!(
            "    runs-on: [self-hosted, cml, {}]   # labels of a spec in cml.yaml\n",
            plan.spec()
        ));
    }
    text.push_str("    timeout-minutes: 600    # below the machine's own 12 hours\n");
    if !launches {
        text.push_str(NOT_FROM_FORKS);
    }
    text.push_str(
        "    permissions:\n      contents: write       # images of reports, comments on commits\n      pull-requests: write  # comments on pull requests\n",
    );
    if plan.cloud == Cloud::Aws && steps::remote(findings).is_some_and(crate::dvc::Remote::is_aws) {
        text.push_str("      id-token: write       # to become the data's role\n");
    }
    text.push_str("    steps:\n");
    text.push_str(&steps::write(findings, plan));
    text
}

fn head(plan: &Plan) -> String {
    if plan.pool {
        return "# Jobs on the pools of cml.yaml, which `cml-runner daemon` keeps.\n".to_owned();
    }
    "# A machine for each run, gone when its job is done. To repeat a run, take \"Re-run all jobs\": the machine of the earlier\n\
     # attempt is gone.\n"
        .to_owned()
}
