//! `cml-runner init`: inspects a repository, writes a `cml.yaml` and a workflow, and lists the remaining steps. With
//! `--from-cml` it translates a CML workflow instead.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cml_init::{
    BadOption, Cloud, Document, Findings, Folder, InitOptions, Plan, Proposed, State, Step, Translation,
    Unwritable, WrittenFile,
};
use serde_json::{Value, json};

use crate::args::{CloudName, Global};
use crate::context;
use crate::exit::{CliError, ExitCode};

/// Flags of `init`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Init {
    /// Directory of the repository
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Cloud to launch machines on
    #[arg(long, default_value = "aws")]
    cloud: CloudName,
    /// AWS region [default: AWS_REGION, then us-east-1]
    #[arg(long)]
    region: Option<String>,
    /// Configure pools for `cml-runner daemon` instead of a launch job
    #[arg(long)]
    pool: bool,
    /// Translate a CML workflow and print it, or overwrite its file with --force [default: the only CML workflow]
    #[arg(long, value_name = "WORKFLOW", num_args = 0..=1, conflicts_with = "pool")]
    #[allow(clippy::option_option, reason = "clap's type for a flag with an optional value")]
    from_cml: Option<Option<PathBuf>>,
    /// Overwrite existing files (originals are kept as FILE.before)
    #[arg(long)]
    force: bool,
    /// Show the files and remaining steps without writing anything
    #[arg(long, conflicts_with = "force")]
    dry_run: bool,
    /// Print a template for AWS and exit
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from_cml", "force", "dry_run", "pool"])]
    print: Option<Printed>,
}

/// Files that come with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Printed {
    /// CloudFormation template: the role and related resources
    Cloudformation,
    /// IAM policy for `launch`
    LaunchPolicy,
    /// Additional IAM policy for the daemon
    DaemonPolicy,
    /// Trust policy: who can assume the role
    OidcTrust,
    /// Permissions boundary of the role
    Boundary,
}

pub(crate) fn init(global: &Global, args: &Init) -> Result<String, CliError> {
    if let Some(printed) = args.print {
        return Ok(document(printed).text().to_owned());
    }
    let folder = Folder::open(&args.dir)
        .map_err(|bad| usage(bad.to_string(), "name the directory of a repository"))?;
    let findings = cml_init::look(&folder);
    let plan = Plan::new(&findings, &wishes(global, args))
        .map_err(|bad: BadOption| usage(bad.to_string(), bad.help()))?;
    match &args.from_cml {
        Some(named) => {
            let (path, text) = cml_init::workflow_of_cml(&folder, &findings, named.as_deref())
                .map_err(|none| usage(none.to_string(), none.help()))?;
            let done = cml_init::translate(&text, &plan.version).map_err(|refused| {
                CliError::new(ExitCode::Failed, format!("{path}: {refused}")).hint(refused.help())
            })?;
            translated(global, args, &folder, &plan, &path, &done)
        }
        None => proposed(global, args, &folder, &findings, &plan),
    }
}

fn usage(message: String, help: &str) -> CliError {
    CliError::new(ExitCode::Usage, message).hint(help)
}

fn document(printed: Printed) -> Document {
    match printed {
        Printed::Cloudformation => Document::CloudFormation,
        Printed::LaunchPolicy => Document::LaunchPolicy,
        Printed::DaemonPolicy => Document::DaemonPolicy,
        Printed::OidcTrust => Document::OidcTrust,
        Printed::Boundary => Document::Boundary,
    }
}

fn wishes(global: &Global, args: &Init) -> InitOptions {
    InitOptions {
        cloud: match args.cloud {
            CloudName::Aws => Cloud::Aws,
            CloudName::Local => Cloud::Local,
        },
        region: args.region.clone().unwrap_or_else(context::default_region),
        pool: args.pool,
        repo: global.repo.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// New files for a repository.
fn proposed(
    global: &Global,
    args: &Init,
    folder: &Folder,
    findings: &Findings,
    plan: &Plan,
) -> Result<String, CliError> {
    let placed = cml_init::place(folder, cml_init::propose(findings, plan)).map_err(unwritable)?;
    let found = cml_init::tell(findings, plan);
    let steps = cml_init::next_steps(findings, plan);
    let written = write(args, folder, &placed)?;
    if global.json {
        let object = json!({
            "root": folder.root(), "plan": plan, "findings": findings, "found": found, "files": placed,
            "written": written, "next_steps": steps,
        });
        return finish(args, &placed, findings, object);
    }
    let mut text = format!("{}:\n{}", folder.root().display(), cml_init::findings_text(&found));
    text.push_str(&files_text(args, &placed));
    if is_refused(args, &placed) {
        to_stderr(&(text + &diffs(&placed)));
        return Err(refusal(&placed, findings));
    }
    Ok(text + &steps_text(&steps))
}

/// A workflow of CML's in our words.
fn translated(
    global: &Global,
    args: &Init,
    folder: &Folder,
    plan: &Plan,
    path: &str,
    done: &Translation,
) -> Result<String, CliError> {
    let steps = cml_init::next_steps_of(done, plan);
    let file = Proposed { path: path.to_owned(), text: done.text.clone() };
    let placed = cml_init::place(folder, vec![file]).map_err(unwritable)?;
    let written =
        if args.force { cml_init::write(folder, &placed, true).map_err(unwritable)? } else { Vec::new() };
    if global.json {
        let object = json!({
            "root": folder.root(), "files": placed, "written": written, "changes": done.changes, "next_steps": steps,
        });
        return Ok(format!("{object}\n"));
    }
    let mut summary = if done.has_changes() {
        format!("{path}:\n{}", cml_init::changes_text(&done.changes))
    } else {
        format!("{path}: nothing of it needs to change\n{}", cml_init::changes_text(&done.changes))
    };
    if !steps.is_empty() {
        summary.push_str(&steps_text(&steps));
    }
    if !args.force {
        to_stderr(&summary);
        return Ok(done.text.clone());
    }
    if !written.is_empty() {
        summary.push_str(&format!("\n{path} is written, what was there is {path}.before\n"));
    }
    Ok(summary)
}

fn write(args: &Init, folder: &Folder, placed: &[WrittenFile]) -> Result<Vec<String>, CliError> {
    if args.dry_run || is_refused(args, placed) {
        return Ok(Vec::new());
    }
    cml_init::write(folder, placed, args.force).map_err(unwritable)
}

/// True when a file is there with another text, and may not be written over.
fn is_refused(args: &Init, placed: &[WrittenFile]) -> bool {
    !args.force && !args.dry_run && placed.iter().any(|file| matches!(file.state, State::Differs { .. }))
}

fn finish(
    args: &Init,
    placed: &[WrittenFile],
    findings: &Findings,
    mut object: Value,
) -> Result<String, CliError> {
    if !is_refused(args, placed) {
        return Ok(format!("{object}\n"));
    }
    let mut trouble = refusal(placed, findings);
    object["error"] = trouble.json()["error"].take();
    trouble.object = Some(object);
    Err(trouble)
}

fn refusal(placed: &[WrittenFile], findings: &Findings) -> CliError {
    let there: Vec<&str> = placed
        .iter()
        .filter(|file| matches!(file.state, State::Differs { .. }))
        .map(|file| file.file.path.as_str())
        .collect();
    let (is, text) = if there.len() == 1 { ("is", "another text") } else { ("are", "other texts") };
    let mut hint =
        "--force writes over it and keeps what was there as FILE.before; --dry-run shows all of the proposed text".to_owned();
    let is_cml = |one: &&cml_init::Use| one.tool == cml_init::Tool::Cml && there.contains(&one.file.as_str());
    if let Some(one) = findings.uses.iter().find(is_cml) {
        hint.push_str(&format!("; `cml-runner init --from-cml {}` translates what is there", one.file));
    }
    CliError::new(
        ExitCode::Failed,
        format!("{} {is} there with {text}: nothing was written", there.join(" and ")),
    )
    .hint(hint)
}

fn unwritable(error: Unwritable) -> CliError {
    CliError::new(ExitCode::Failed, error.to_string()).hint(error.help)
}

fn files_text(args: &Init, placed: &[WrittenFile]) -> String {
    let mut text = String::from("\nFiles:\n");
    for WrittenFile { file, state } in placed {
        let path = &file.path;
        let what = match state {
            State::Same => "is there already".to_owned(),
            State::New if args.dry_run => "would be new".to_owned(),
            State::Differs { .. } if args.dry_run => "is there with another text".to_owned(),
            State::Differs { .. } if args.force => format!("written; what was there is {path}.before"),
            State::Differs { .. } => "is there with another text".to_owned(),
            State::New if is_refused(args, placed) => "not written".to_owned(),
            State::New => "written".to_owned(),
        };
        text.push_str(&format!("  {path}: {what}\n"));
    }
    if args.dry_run {
        for WrittenFile { file, state } in placed {
            match state {
                State::Same => {}
                State::New => text.push_str(&format!("\n=== {}\n{}", file.path, file.text)),
                State::Differs { diff } => text.push_str(&format!("\n{diff}")),
            }
        }
    }
    text
}

fn diffs(placed: &[WrittenFile]) -> String {
    let differences = placed.iter().filter_map(|file| match &file.state {
        State::Differs { diff } => Some(format!("\n{diff}")),
        State::New | State::Same => None,
    });
    differences.collect::<String>() + "\n"
}

fn steps_text(steps: &[Step]) -> String {
    format!("\nNext:\n{}", cml_init::steps_text(steps))
}

fn to_stderr(text: &str) {
    drop(std::io::stderr().write_all(cml_text::lines(text).as_bytes()));
}
