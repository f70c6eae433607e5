//! `cml-runner validate`: validation of a file, and the schema for editors.

use std::io::Read;
use std::path::Path;

use cml_cloud::UsdPerHour;
use cml_spec::{BadFile, CloudName, Config, ReportsConfig, Runners};
use serde_json::json;

use crate::args::Global;
use crate::daemon::query;
use crate::exit::{CliError, ExitCode};

/// The name of standard input.
const STDIN: &str = "-";
/// Size limit of a file, bytes: longer ones are refused after that much.
const READ_MAX: u64 = 2 * 1024 * 1024;

pub(crate) fn validate(global: &Global, path: &Path) -> Result<String, CliError> {
    let (name, text) = text_of(path)?;
    match cml_spec::read(&name, &text, &market) {
        Ok(config) if global.json => Ok(format!(
            "{}\n",
            json!({
                "file": name, "ok": true, "problems": [], "more": 0,
                "warnings": config.warnings, "more_warnings": config.more_warnings,
            })
        )),
        Ok(config) => Ok(right(&name, &config)),
        Err(bad) => Err(trouble(&bad)),
    }
}

fn right(name: &str, config: &Config) -> String {
    let mut text = String::new();
    for warning in &config.warnings {
        text.push_str(&format!("warning: {name}:{warning}\n\n"));
    }
    if config.more_warnings > 0 {
        text.push_str(&format!("warning: {name}: {} more\n\n", config.more_warnings));
    }
    let count = config.runners.len();
    let holds = match count {
        0 => "reports only".to_owned(),
        1 => "1 pool".to_owned(),
        _ => format!("{count} pools"),
    };
    text.push_str(&format!("{name} is valid ({holds})\n"));
    cml_text::lines(&text).into_owned()
}

/// Reads a file that must be valid; warnings are logged.
pub(crate) fn read(path: &Path) -> Result<Config, CliError> {
    let (name, text) = text_of(path)?;
    let config = cml_spec::read(&name, &text, &market).map_err(|bad| trouble(&bad))?;
    if config.runners.is_empty() {
        return Err(CliError::new(ExitCode::Usage, format!("{name}: it says nothing of runners")).hint(
            "name at least one spec below `runners:`; `cml-runner init --pool --dry-run` shows a file to begin with",
        ));
    }
    for warning in &config.warnings {
        tracing::warn!("{name}:{warning}");
    }
    Ok(config)
}

/// Reads the `reports:` section of a file. It must be valid; errors elsewhere in the file must not prevent a report.
pub(crate) fn reports(path: &Path) -> Result<ReportsConfig, CliError> {
    let (name, text) = text_of(path)?;
    cml_spec::read_reports(&name, &text)
        .map_err(|bad| trouble(&bad).hint("the report asks it where files go; --to PLACE says so without it"))
}

/// Returns EC2's prices from our table. Another provider has none.
fn market(runners: &Runners) -> Result<Vec<Option<UsdPerHour>>, (String, String)> {
    if runners.cloud != CloudName::Aws {
        return Ok(Vec::new());
    }
    let types = cml_ec2::choices(&query(runners, "")).map_err(|error| {
        let help = error.hint.clone().unwrap_or_default();
        (error.cause, help)
    })?;
    Ok(types.into_iter().map(|choice| choice.on_demand).collect())
}

fn trouble(bad: &BadFile) -> CliError {
    let object = json!({"file": bad.file, "ok": false, "problems": bad.problems, "more": bad.more, "warnings": [], "more_warnings": 0});
    CliError { object: Some(object), ..CliError::new(ExitCode::Usage, bad.to_string()) }
}

fn text_of(path: &Path) -> Result<(String, String), CliError> {
    if path.as_os_str() == STDIN {
        let mut text = String::new();
        let read = std::io::stdin().take(READ_MAX).read_to_string(&mut text);
        read.map_err(|error| CliError::new(ExitCode::Usage, format!("standard input: {error}")))?;
        return Ok(("standard input".to_owned(), text));
    }
    let name = path.display().to_string();
    let mut text = String::new();
    match std::fs::File::open(path).and_then(|file| file.take(READ_MAX).read_to_string(&mut text)) {
        Ok(_) => Ok((name, text)),
        Err(error) => Err(CliError::new(ExitCode::Usage, format!("{name}: {error}"))
            .hint("name a cml.yaml; `cml-runner init --pool --dry-run` shows one to begin with")),
    }
}
