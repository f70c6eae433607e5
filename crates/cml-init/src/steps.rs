//! The steps of the training job: installation of packages, data, training, report.

use crate::code::{Installer, LanguageName};
use crate::findings::Findings;
use crate::plan::{Cloud, Plan};
use crate::training::Way;

/// Returns the lines of the steps, indented for a job.
pub(crate) fn write(findings: &Findings, plan: &Plan) -> String {
    let mut steps = Steps(String::new());
    steps.add(&[
        "- uses: actions/checkout@v4",
        "  with: { fetch-depth: 0 }   # the whole history: reports compare with the default branch",
    ]);
    steps.add(&[
        "# Puts cml-publish, cml-send-comment and cml-report on the PATH.",
        &format!("- uses: cml-runner/cml-runner@v{}", plan.version),
    ]);
    install(findings, &mut steps);
    let remote = remote(findings);
    if remote.is_some_and(crate::dvc::Remote::is_aws) && plan.cloud == Cloud::Aws {
        steps.add(&[
            "# The data's own role: the machine has none.",
            "- uses: aws-actions/configure-aws-credentials@v4",
            "  with:",
            "    role-to-assume: ${{ vars.CML_DATA_ROLE }}",
            &format!("    aws-region: {}", plan.region),
        ]);
    }
    train(findings, &mut steps);
    report(findings, &mut steps);
    steps.0
}

struct Steps(String);

impl Steps {
    fn add(&mut self, lines: &[&str]) {
        for line in lines {
            self.0.push_str(&format!("      {line}\n"));
        }
    }
}

/// Returns the remote, if another machine can pull from it.
pub(crate) fn remote(findings: &Findings) -> Option<&crate::dvc::Remote> {
    findings.dvc.as_ref()?.remote.as_ref().filter(|remote| remote.kind != "local")
}

fn installer(findings: &Findings) -> Option<Installer> {
    let python = findings.languages.iter().find(|language| language.name == LanguageName::Python)?;
    python.needs.as_ref().map(|needs| needs.installer)
}

fn install(findings: &Findings, steps: &mut Steps) {
    let setup_python = |steps: &mut Steps| {
        steps.add(&["- uses: actions/setup-python@v5", "  with: { python-version: \"3.12\" }"]);
    };
    let mut has_python = false;
    for language in &findings.languages {
        let needs = language.needs.as_ref().map(|needs| (needs.file.as_str(), needs.installer));
        has_python |= language.name == LanguageName::Python;
        match (language.name, needs) {
            (LanguageName::Python, Some((_, Installer::Uv))) => {
                steps.add(&["- uses: astral-sh/setup-uv@v6", "- run: uv sync"]);
            }
            (LanguageName::Python, Some((file, Installer::Conda))) => {
                let named = language.needs.as_ref().and_then(|needs| needs.environment.as_deref());
                steps.add(&[
                    "- uses: conda-incubator/setup-miniconda@v3",
                    &format!(
                        "  with: {{ environment-file: {file}, activate-environment: {} }}",
                        named.unwrap_or("cml")
                    ),
                ]);
            }
            (LanguageName::Python, needs) => {
                setup_python(steps);
                match needs {
                    Some((_, Installer::Poetry)) => {
                        steps.add(&["- run: pip install poetry && poetry install"]);
                    }
                    Some((file, Installer::Pip)) => steps.add(&[&format!("- run: pip install -r {file}")]),
                    Some(_) => steps.add(&["- run: pip install ."]),
                    None => {}
                }
            }
            (LanguageName::R, needs) => {
                steps.add(&["- uses: r-lib/actions/setup-r@v2"]);
                match needs {
                    Some((_, Installer::Renv)) => steps.add(&["- uses: r-lib/actions/setup-renv@v2"]),
                    Some(_) => steps.add(&["- uses: r-lib/actions/setup-r-dependencies@v2"]),
                    None => {}
                }
            }
            (LanguageName::Julia, needs) => {
                steps.add(&["- uses: julia-actions/setup-julia@v2"]);
                if needs.is_some() {
                    steps.add(&["- run: julia --project -e 'using Pkg; Pkg.instantiate()'"]);
                }
            }
        }
    }
    let wants_dvc = findings.dvc.is_some();
    let wants_jupyter = findings.training.way == Way::Notebook;
    let by_uv = installer(findings) == Some(Installer::Uv);
    if !has_python && (wants_dvc || wants_jupyter) {
        setup_python(steps);
    }
    let mut tools = Vec::new();
    if let Some(dvc) = &findings.dvc {
        tools.extend(dvc.package());
    }
    if wants_jupyter {
        tools.push("jupyter".to_owned());
    }
    if !tools.is_empty() && !by_uv {
        let names: Vec<String> = tools.iter().map(|tool| format!("\"{tool}\"")).collect();
        let line = format!("{}pip install {}", prefix(findings), names.join(" "));
        run(findings, steps, &[], &[&line]);
    }
}

/// Returns the prefix with which a command sees the packages.
fn prefix(findings: &Findings) -> &'static str {
    match installer(findings) {
        Some(Installer::Poetry) => "poetry run ",
        Some(Installer::Uv) => "uv run ",
        _ => "",
    }
}

/// Returns the same for a tool that is not one of the packages: uv provides it.
fn with(findings: &Findings, tool: Option<&str>) -> String {
    match (installer(findings), tool) {
        (Some(Installer::Uv), Some(tool)) => format!("uv run --with \"{tool}\" "),
        _ => prefix(findings).to_owned(),
    }
}

/// Returns the same for DVC.
fn dvc(findings: &Findings) -> String {
    let package = findings.dvc.as_ref().and_then(crate::Dvc::package);
    with(findings, package.as_deref())
}

/// Appends a step that runs commands, in the shell that its environment needs.
fn run(findings: &Findings, steps: &mut Steps, keys: &[String], lines: &[&str]) {
    let mut all: Vec<String> = Vec::new();
    all.extend(keys.iter().cloned());
    if installer(findings) == Some(Installer::Conda) {
        all.push("shell: bash -el {0}   # the conda environment".to_owned());
    }
    match lines {
        [only] if !only.contains(": ") && !only.contains(" #") => all.push(format!("run: {only}")),
        _ => {
            all.push("run: |".to_owned());
            all.extend(lines.iter().map(|line| format!("  {line}")));
        }
    }
    let step: Vec<String> = all
        .iter()
        .enumerate()
        .map(|(index, line)| format!("{} {line}", if index == 0 { "-" } else { " " }))
        .collect();
    steps.add(&step.iter().map(String::as_str).collect::<Vec<_>>());
}

fn train(findings: &Findings, steps: &mut Steps) {
    let file = findings.training.file.as_deref().unwrap_or_default();
    let (dvc, prefix) = (dvc(findings), prefix(findings));
    let train = match findings.training.way {
        Way::Dvc => format!("{dvc}dvc repro"),
        Way::Make => format!("{prefix}make train"),
        Way::Python => format!("{prefix}python {file}"),
        Way::R => format!("Rscript {file}"),
        Way::Julia => format!("julia --project {file}"),
        Way::Shell => format!("{prefix}bash {file}"),
        Way::Notebook => format!("{}jupyter execute {file}", with(findings, Some("jupyter"))),
        Way::Unknown => {
            steps.add(&[
                "# Nothing in the repository told how training is run: write it here.",
                "- run: |",
                "    echo \"::error::.github/workflows/cml.yaml does not say yet how the model is trained\"",
                "    exit 1",
            ]);
            return;
        }
    };
    let mut keys = Vec::new();
    let mut lines = Vec::new();
    if let Some(remote) = remote(findings) {
        let secrets = remote.secrets();
        if !secrets.is_empty() {
            keys.push("env:".to_owned());
            keys.extend(secrets.iter().map(|name| format!("  {name}: ${{{{ secrets.{name} }}}}")));
        }
        lines.push(format!("{dvc}dvc pull --allow-missing"));
    }
    lines.push(train);
    run(findings, steps, &keys, &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

fn report(findings: &Findings, steps: &mut Steps) {
    let mut lines = vec!["echo \"## Results\" > report.md".to_owned()];
    if findings.dvc.as_ref().is_some_and(|dvc| dvc.metrics) {
        lines.push(format!("{}dvc metrics diff --md \"origin/$BASE\" >> report.md", dvc(findings)));
    } else if let Some(file) = findings.metrics.first() {
        lines.push(format!("cml-report metrics {file} --base \"origin/$BASE\" >> report.md"));
    } else {
        lines.push(
            "# A table of metrics: cml-report metrics metrics.json --base \"origin/$BASE\" >> report.md"
                .to_owned(),
        );
        lines.push("# A plot: cml-publish plot.png --md >> report.md".to_owned());
        lines.push("echo \"Trained at $GITHUB_SHA.\" >> report.md".to_owned());
    }
    lines.push("cml-send-comment report.md --update".to_owned());
    let keys = [
        "name: Report".to_owned(),
        "env:".to_owned(),
        "  REPO_TOKEN: ${{ secrets.GITHUB_TOKEN }}".to_owned(),
        "  BASE: ${{ github.event.repository.default_branch }}".to_owned(),
    ];
    run(findings, steps, &keys, &lines.iter().map(String::as_str).collect::<Vec<_>>());
}
