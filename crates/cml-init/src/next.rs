//! Remaining steps at AWS and at GitHub, as commands.

use serde::Serialize;

use crate::findings::Findings;
use crate::plan::{Cloud, Plan};
use crate::role::{data, role};
use crate::steps;
use crate::translate::Translation;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What to do.
    pub what: String,
    /// Why, and background.
    pub why: String,
    /// Commands.
    pub commands: Vec<String>,
    /// A page where the same can be done by hand.
    pub link: Option<String>,
}

pub(crate) fn step(what: &str, why: &str, commands: &[&str], link: Option<&str>) -> Step {
    Step {
        what: what.to_owned(),
        why: why.to_owned(),
        commands: commands.iter().map(|command| (*command).to_owned()).collect(),
        link: link.map(str::to_owned),
    }
}

/// Returns the steps after the files are written.
#[must_use]
pub fn next_steps(findings: &Findings, plan: &Plan) -> Vec<Step> {
    let mut steps = Vec::new();
    if plan.cloud == Cloud::Aws {
        steps.push(role(plan));
        if plan.gpu {
            steps.push(quota(plan));
        }
        if let Some(remote) = steps::remote(findings).filter(|remote| remote.is_aws()) {
            steps.push(data(plan, &remote.place));
        }
    }
    let secrets = steps::remote(findings).map(crate::dvc::Remote::secrets).unwrap_or_default();
    if !secrets.is_empty() {
        let commands: Vec<String> = secrets.iter().map(|name| format!("gh secret set {name}")).collect();
        steps.push(Step {
            commands,
            ..step("Let the job at its data", "DVC's remote asks for these.", &[], None)
        });
    }
    steps.push(token(plan));
    if plan.pool {
        steps.push(daemon(plan));
    }
    steps.push(check(plan.pool));
    steps
}

fn check(is_pool: bool) -> Step {
    step(
        "Check everything",
        "Each line of it says what is right, or what to do.",
        &[if is_pool { "cml-runner doctor --daemon" } else { "cml-runner doctor" }],
        None,
    )
}

/// Returns the steps after a workflow was translated.
#[must_use]
pub fn next_steps_of(translation: &Translation, plan: &Plan) -> Vec<Step> {
    let region = translation.role_in.clone().filter(|region| !region.contains("${{"));
    let plan = Plan {
        region: region.unwrap_or_else(|| plan.region.clone()),
        pool: false,
        cloud: Cloud::Aws,
        gpu: translation.gpu,
        ..plan.clone()
    };
    let mut steps = Vec::new();
    if translation.role_in.is_some() {
        steps.push(role(&plan));
    }
    if translation.launches {
        steps.extend(plan.gpu.then(|| quota(&plan)));
        steps.push(token(&plan));
        steps.push(check(false));
    }
    steps
}

fn quota(plan: &Plan) -> Step {
    let ask = |code: &str| {
        format!(
            "aws service-quotas request-service-quota-increase --region {} --service-code ec2 --quota-code {code} --desired-value 8",
            plan.region
        )
    };
    Step {
        commands: vec![ask("L-3819A6DF"), ask("L-DB2E81BA")],
        ..step(
            "Ask AWS for GPUs",
            "New accounts may have none: the limits on vCPUs of G and VT machines, spot (the first) and on-demand (the second), begin at 0. An answer may \
             take a day.",
            &[],
            Some("https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas"),
        )
    }
}

fn token(plan: &Plan) -> Step {
    let host = plan.repository.as_ref().map_or("github.com", |repository| repository.host.as_str());
    let link = format!("https://{host}/settings/personal-access-tokens/new");
    let name = plan.repository_name();
    let server = if host == "github.com" { String::new() } else { format!("GH_HOST={host} ") };
    let (what, command) = if plan.pool {
        (
            "Give the daemon a token of GitHub's",
            "export REPO_TOKEN=…   # in the daemon's environment".to_owned(),
        )
    } else {
        ("Give the workflow a token of GitHub's", format!("{server}gh secret set REPO_TOKEN --repo {name}"))
    };
    let why = if plan.pool {
        format!(
            "A fine-grained token for {name} with the repository permissions \"Administration: read and write\" (it registers runners, which a workflow's own \
             token cannot) and \"Actions: read and write\" (it lists runs and runs interrupted jobs again). Or a GitHub App with both permissions \
             (`auth: {{ app: … }}` in cml.yaml), which also outlives people."
        )
    } else {
        format!(
            "A fine-grained token for {name} with the repository permission \"Administration: read and write\": it registers runners, which a workflow's own \
             token cannot. Or a GitHub App with that permission: app-id and app-key of the launching step, in place of its token."
        )
    };
    Step { commands: vec![command], ..step(what, &why, &[], Some(&link)) }
}

fn daemon(plan: &Plan) -> Step {
    let repo = plan
        .repository
        .as_ref()
        .map_or_else(|| "https://github.com/OWNER/NAME".to_owned(), crate::Repository::url);
    let mut step = step(
        "Run the daemon",
        "On any machine that stays on: it asks for jobs, so nothing has to reach it. templates/systemd/cml-runner.service runs it under systemd.",
        &["cml-runner validate cml.yaml", "cml-runner plan cml.yaml"],
        None,
    );
    step.commands.push(format!("cml-runner daemon --config cml.yaml --repo {repo}"));
    step
}
