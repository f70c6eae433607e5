//! Other tools that provide this repository's runners or reports now.

use serde::Serialize;

use crate::folder::{Folder, Skipped};
use crate::translate::says_cml;

/// A tool that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// This program.
    CmlRunner,
    /// CML.
    Cml,
    /// machulav/ec2-github-runner.
    Ec2GithubRunner,
    /// terraform-aws-github-runner.
    TerraformAwsGithubRunner,
    /// RunsOn.
    RunsOn,
    /// actions-runner-controller.
    ActionsRunnerController,
}

/// A place where a tool is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Use {
    /// The tool.
    pub tool: Tool,
    /// The file.
    pub file: String,
    /// The first line that shows it, counted from 1.
    pub line: usize,
}

/// Directory of workflows.
const WORKFLOWS: &str = ".github/workflows";
/// Limit on the number of workflows, Terraform files and manifests that are read.
const FILES_MAX: usize = 200;

/// Returns the workflows' paths.
pub(crate) fn workflows(folder: &Folder) -> Vec<String> {
    let is_yaml = |name: &String| name.ends_with(".yml") || name.ends_with(".yaml");
    let names = folder.names(WORKFLOWS).into_iter().filter(is_yaml).take(FILES_MAX);
    names.map(|name| format!("{WORKFLOWS}/{name}")).collect()
}

pub(crate) fn look(
    folder: &Folder,
    files: &[String],
    workflows: &[String],
    skipped: &mut Vec<Skipped>,
) -> Vec<Use> {
    let mut uses = Vec::new();
    for path in workflows {
        let Some(text) = folder.text(path, skipped) else { continue };
        let ours = first(&text, |line| line.contains("cml-runner/cml-runner@"));
        let cml = first(&text, says_cml).filter(|_| ours.is_none());
        note(&mut uses, Tool::CmlRunner, path, ours);
        note(&mut uses, Tool::Cml, path, cml);
        note(
            &mut uses,
            Tool::Ec2GithubRunner,
            path,
            first(&text, |line| line.contains("machulav/ec2-github-runner")),
        );
        note(&mut uses, Tool::RunsOn, path, first(&text, is_runs_on));
        note(&mut uses, Tool::TerraformAwsGithubRunner, path, first(&text, |line| line.contains("ghr-ec2-")));
    }
    for path in [".github/runs-on.yml", ".github/runs-on.yaml"] {
        let is_there = folder.text(path, skipped).is_some();
        note(&mut uses, Tool::RunsOn, path, is_there.then_some(1));
    }
    let ending = |endings: &'static [&'static str]| {
        files.iter().filter(move |path| endings.iter().any(|ending| path.ends_with(ending))).take(FILES_MAX)
    };
    for path in ending(&[".tf", ".hcl"]) {
        let text = folder.text(path, skipped).unwrap_or_default();
        let names = ["github-runner/aws", "terraform-aws-github-runner"];
        let line = first(&text, |line| names.iter().any(|name| line.contains(name)));
        note(&mut uses, Tool::TerraformAwsGithubRunner, path, line);
        note(&mut uses, Tool::RunsOn, path, first(&text, |line| line.contains("runs-on/runs-on/aws")));
    }
    for path in ending(&[".yml", ".yaml"]) {
        let text = folder.text(path, &mut Vec::new()).unwrap_or_default();
        let names = ["gha-runner-scale-set", "actions.summerwind.dev", "actions.github.com/v1alpha1"];
        let line = first(&text, |line| names.iter().any(|name| line.contains(name)));
        note(&mut uses, Tool::ActionsRunnerController, path, line);
    }
    uses.sort_by(|a, b| (a.tool, &a.file).cmp(&(b.tool, &b.file)));
    uses
}

fn note(uses: &mut Vec<Use>, tool: Tool, file: &str, line: Option<usize>) {
    if let Some(line) = line {
        uses.push(Use { tool, file: file.to_owned(), line });
    }
}

/// Returns the first line, except comments, that matches.
fn first(text: &str, says: impl Fn(&str) -> bool) -> Option<usize> {
    let comment = |line: &str| ["#", "//"].iter().any(|start| line.trim_start().starts_with(start));
    text.lines().position(|line| !comment(line) && says(line)).map(|index| index + 1)
}

fn is_runs_on(line: &str) -> bool {
    let line = line.trim_start().trim_start_matches("- ");
    line.contains("runs-on/action@")
        || line.contains("runs-on=")
        || line.contains("runner=") && line.contains("runs-on")
}
