//! Findings as text, each with its implication.

use serde::Serialize;

use crate::code::{Installer, LanguageName};
use crate::findings::Findings;
use crate::others::{Tool, Use};
use crate::plan::{Cloud, Plan};
use crate::training::Way;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Subject.
    pub about: &'static str,
    /// What was found.
    pub found: String,
    /// Implication.
    pub implication: String,
}

fn line(about: &'static str, found: impl Into<String>, so: impl Into<String>) -> Line {
    Line { about, found: found.into(), implication: so.into() }
}

/// Returns what was found, the most important first.
#[must_use]
pub fn tell(findings: &Findings, plan: &Plan) -> Vec<Line> {
    let mut lines = vec![repository(findings, plan)];
    lines.extend(languages(findings));
    lines.push(training(findings));
    lines.extend(data(findings, plan));
    lines.push(machine(findings, plan));
    lines.extend(tools(findings));
    let others = findings.workflows.len();
    if others > 0 {
        let count = if others == 1 { "1 workflow".to_owned() } else { format!("{others} workflows") };
        lines.push(line("workflows", count, "they are left as they are"));
    }
    for skipped in &findings.skipped {
        lines.push(line(
            "skipped",
            format!("{}: {}", skipped.path, skipped.why),
            "what it says is not known",
        ));
    }
    lines
}

fn repository(findings: &Findings, plan: &Plan) -> Line {
    match &plan.repository {
        Some(repository) if repository.is_on_github_com() => line(
            "repository",
            format!("{} on github.com", repository.full_name()),
            "runners are registered there",
        ),
        Some(repository) => line(
            "repository",
            format!("{} on {}", repository.full_name(), repository.host),
            "an Enterprise Server: it needs machines for the launching job and access to actions on github.com (GitHub Connect)",
        ),
        None => {
            let why = match (&findings.git.remote_problem, findings.git.is_repository) {
                (Some(problem), _) => problem.clone(),
                (None, true) => "no git remote \"origin\"".to_owned(),
                (None, false) => "this is no git repository".to_owned(),
            };
            line(
                "repository",
                why,
                "OWNER/NAME stands in its place below; name it with --repo https://github.com/OWNER/NAME",
            )
        }
    }
}

fn languages(findings: &Findings) -> Vec<Line> {
    let lines = findings.languages.iter().map(|language| {
        let name = match language.name {
            LanguageName::Python => "Python",
            LanguageName::R => "R",
            LanguageName::Julia => "Julia",
        };
        match &language.needs {
            Some(needs) => {
                let by = match needs.installer {
                    Installer::Pip | Installer::PipProject => "pip",
                    Installer::Uv => "uv",
                    Installer::Poetry => "Poetry",
                    Installer::Conda => "conda",
                    Installer::Renv => "renv",
                    Installer::Description => "R's package manager",
                    Installer::Pkg => "Julia's package manager",
                };
                line("language", format!("{name} ({})", needs.file), format!("the job installs it with {by}"))
            }
            None => line("language", name, "no file lists packages: the job installs the language alone"),
        }
    });
    lines.collect()
}

fn training(findings: &Findings) -> Line {
    let file = findings.training.file.clone().unwrap_or_default();
    let so = match findings.training.way {
        Way::Dvc => "the job runs `dvc repro`".to_owned(),
        Way::Make => "the job runs `make train`".to_owned(),
        Way::Notebook => "the job runs the notebook from its beginning to its end".to_owned(),
        Way::Unknown => {
            return line(
                "training",
                "nothing tells how it is run",
                "the workflow has a step for it that fails until you write it",
            );
        }
        Way::Python | Way::R | Way::Julia | Way::Shell => format!("the job runs {file}"),
    };
    line("training", file, so)
}

fn data(findings: &Findings, plan: &Plan) -> Option<Line> {
    let dvc = findings.dvc.as_ref()?;
    let Some(remote) = &dvc.remote else {
        return Some(line("data", "DVC without a default remote", "the job pulls nothing"));
    };
    let place = format!("DVC remote {}://{}", remote.kind, remote.place);
    let so = if remote.kind == "local" {
        return Some(line(
            "data",
            "DVC remote that is a directory",
            "another machine does not see it: add one that it sees (`dvc remote add`); the job pulls nothing",
        ));
    } else if remote.is_aws() && plan.cloud == Cloud::Aws {
        "the job pulls it by a role of its own (vars.CML_DATA_ROLE), without stored keys".to_owned()
    } else if remote.is_aws() {
        "the job pulls it with what this machine's AWS configuration allows".to_owned()
    } else if remote.secrets().is_empty() {
        "the job pulls it; give the step what it needs to be let in".to_owned()
    } else {
        format!("the job pulls it with the secrets {}", remote.secrets().join(", "))
    };
    Some(line("data", place, so))
}

fn machine(findings: &Findings, plan: &Plan) -> Line {
    let found = findings
        .gpu
        .as_ref()
        .map_or_else(|| "no package that wants a GPU".to_owned(), |gpu| format!("a GPU is likely ({gpu})"));
    let so = match (plan.cloud, plan.gpu) {
        (Cloud::Local, _) => "jobs run on the machine that runs the daemon".to_owned(),
        (Cloud::Aws, true) => format!("type m+t4 in {}: one T4 with 16 GB, spot first", plan.region),
        (Cloud::Aws, false) => format!("type m in {}: 8 vCPUs, 32 GB, spot first", plan.region),
    };
    line("machine", found, so)
}

fn tools(findings: &Findings) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for tool in [
        Tool::CmlRunner,
        Tool::Cml,
        Tool::Ec2GithubRunner,
        Tool::TerraformAwsGithubRunner,
        Tool::RunsOn,
        Tool::ActionsRunnerController,
    ] {
        let uses: Vec<&Use> = findings.uses.iter().filter(|one| one.tool == tool).collect();
        let Some(first) = uses.first() else { continue };
        let (name, so) = consequence(tool, first);
        let others = if uses.len() > 1 { format!(" and {} more", uses.len() - 1) } else { String::new() };
        lines.push(line("in use", format!("{name} ({}:{}{others})", first.file, first.line), so));
    }
    lines
}

fn consequence(tool: Tool, first: &Use) -> (&'static str, String) {
    match tool {
        Tool::CmlRunner => ("cml-runner", "a workflow is there already".to_owned()),
        Tool::Cml => (
            "CML",
            format!("`cml-runner init --from-cml {}` translates it; read docs/from-cml.md", first.file),
        ),
        Tool::Ec2GithubRunner => {
            ("ec2-github-runner", "its start job becomes the launching job, its stop job goes; read docs/from-ec2-github-runner.md".to_owned())
        }
        Tool::TerraformAwsGithubRunner => (
            "terraform-aws-github-runner",
            "its runner configurations become specs of cml.yaml (see --pool); read docs/from-terraform-aws-github-runner.md".to_owned(),
        ),
        Tool::RunsOn => (
            "RunsOn",
            "its labels become a spec (see --pool): cpu and ram are needs.vcpus and needs.memory, family is instance_types, spot is spot, image is image"
                .to_owned(),
        ),
        Tool::ActionsRunnerController => (
            "actions-runner-controller",
            "a scale set becomes a spec (see --pool): its name or labels are labels, minRunners is min, maxRunners is max".to_owned(),
        ),
    }
}
