//! The command line: parses arguments, prints results. All decisions are made in the crates below.
//!
//! Results go to stdout (plain, or one JSON object with `--json`), everything else to stderr.

mod actions;
mod args;
mod aws;
mod cloud_router;
mod context;
mod cost;
mod daemon;
mod demo;
#[cfg(feature = "aws")]
mod doctor;
mod environment;
mod exit;
mod help;
mod init;
mod launch;
mod logging;
mod machines;
mod man;
mod packages;
mod plan;
mod prices;
mod progress;
#[cfg(all(test, feature = "aws"))]
mod reference;
mod render;
mod report;
mod secrets;
mod settings;
mod setup;
mod signals;
mod simulate;
mod simulation_report;
mod spelling;
mod switches;
mod validate;

use std::io::{IsTerminal, Write};
use std::process;

use clap::FromArgMatches;

use crate::args::{Cli, Command};
use crate::exit::{CliError, ExitCode};

fn main() -> process::ExitCode {
    secrets::keep_from_others();
    let mut spelled = spelling::spell(std::env::args_os());
    if spelled.command().first() == Some(&"launch") {
        let older = environment::flags_from_older_names(&spelled.args, &context::env);
        spelled.args.extend(older);
    }
    match environment::flags_of_reports(&spelled.command(), context::env_names(), &context::env) {
        // `publish` is one word, the others are two.
        Ok(flags) => {
            let words = if spelled.command().first() == Some(&"publish") { 1 } else { 2 };
            spelled.put(flags, words);
        }
        Err(trouble) => return failed(&trouble, false, spelled.as_cml),
    }
    if spelled.command().first() == Some(&"help") {
        spelled.args.retain(|word| word != "help");
        spelled.args.push("--help".into());
    }
    switches::settle(&mut spelled);
    let understood = help::command()
        .try_get_matches_from(spelled.args)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match understood {
        Ok(cli) => cli,
        Err(error) => {
            misunderstood(&error);
            let usage = if spelled.as_cml { ExitCode::Failed } else { ExitCode::Usage };
            return if error.use_stderr() {
                process::ExitCode::from(usage as u8)
            } else {
                process::ExitCode::SUCCESS
            };
        }
    };
    let json = cli.global.json;
    if cli.global.quiet {
        progress::be_quiet();
    }
    match logging::log(&cli).and_then(|()| known_environment(&cli)).and_then(|()| run(cli, spelled.as_cml)) {
        Ok(text) => {
            // A reader that has closed the pipe (`| head`) is no error.
            drop(std::io::stdout().write_all(text.as_bytes()));
            process::ExitCode::SUCCESS
        }
        Err(trouble) => failed(&trouble, json, spelled.as_cml),
    }
}

/// Prints an error of the command line, or the requested help. In a workflow its text may be untrusted.
fn misunderstood(error: &clap::Error) {
    if error.use_stderr() && !std::io::stderr().is_terminal() {
        drop(std::io::stderr().write_all(cml_text::lines(&error.render().to_string()).as_bytes()));
    } else {
        drop(error.print());
    }
}

/// Prints an error. CML has one exit code only; callers by CML's names get it for wrong usage, too.
fn failed(trouble: &CliError, json: bool, as_cml: bool) -> process::ExitCode {
    tell(trouble, json);
    match trouble.code {
        ExitCode::Usage | ExitCode::Denied if as_cml => process::ExitCode::FAILURE,
        code => process::ExitCode::from(code as u8),
    }
}

fn run(cli: Cli, as_cml: bool) -> Result<String, CliError> {
    let global = cli.global;
    match cli.command {
        Command::Supervise { dir } => {
            return cml_cloud::local::supervise(&dir)
                .map(|()| String::new())
                .map_err(|error| CliError::new(ExitCode::Failed, error.to_string()));
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut help::command(), "cml-runner", &mut script);
            return Ok(String::from_utf8_lossy(&script).into_owned());
        }
        Command::Man { dir } => return man::write(&dir),
        Command::Render(args) => return render::render(&args, as_cml, global.json),
        Command::Init(args) => return init::init(&global, &args),
        Command::Validate { file } => return validate::validate(&global, &file),
        Command::Schema => return Ok(cml_spec::schema().to_owned()),
        Command::Launch(_)
        | Command::Ls(_)
        | Command::Stop(_)
        | Command::Reap(_)
        | Command::Logs(_)
        | Command::Cost(_)
        | Command::Doctor(_)
        | Command::Plan(_)
        | Command::Prices { .. }
        | Command::Simulate(_)
        | Command::Daemon(_)
        | Command::Demo(_) => {}
        _ => return reported(&global, &cli.command),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::new(ExitCode::Failed, format!("cannot start: {error}")))?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Launch(args) => launch::launch(&global, &args, as_cml).await,
            Command::Ls(place) => machines::list(&global, &place).await,
            Command::Stop(args) => machines::stop(&global, &args).await,
            Command::Reap(args) => machines::reap(&global, &args).await,
            Command::Logs(args) => machines::logs(&args).await,
            #[cfg(feature = "aws")]
            Command::Doctor(args) => doctor::doctor(&global, &args).await,
            #[cfg(not(feature = "aws"))]
            Command::Doctor(_) => Err(CliError::from(aws::absent("looking at the account"))),
            Command::Cost(args) => cost::cost(&global, &args).await,
            Command::Plan(args) => plan::plan(&global, &args).await,
            Command::Prices { command } => prices::prices(&global, &command).await,
            Command::Simulate(args) => simulate::simulate(&global, &args).await,
            Command::Daemon(args) => daemon::daemon(&global, &args).await,
            Command::Demo(args) => demo::demo(&global, &args).await,
            _ => Ok(String::new()),
        }
    });
    // Idle connections and timers need not be waited for.
    runtime.shutdown_background();
    result
}

/// Runs a reporting command: one thread is sufficient, and starts faster.
fn reported(global: &args::Global, command: &Command) -> Result<String, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(ExitCode::Failed, format!("cannot start: {error}")))?;
    let result = runtime.block_on(report::run(global, command)).unwrap_or_else(|| Ok(String::new()));
    runtime.shutdown_background();
    result
}

/// Checks environment variables. A misspelt one is an error before anything is bought, as in CML.
fn known_environment(cli: &Cli) -> Result<(), CliError> {
    if !matches!(cli.command, Command::Launch(_) | Command::Render(_)) {
        return Ok(());
    }
    match environment::misspelt(context::env_names()) {
        None => Ok(()),
        Some((name, nearest)) => {
            Err(CliError::new(ExitCode::Usage, format!("unknown environment variable {name}"))
                .hint(format!("did you mean {nearest}? `cml-runner launch --help` lists them")))
        }
    }
}

fn tell(trouble: &CliError, json: bool) {
    let mut text = format!("error: {}\n", trouble.message);
    for detail in &trouble.details {
        text.push_str(&format!("  {detail}\n"));
    }
    if let Some(hint) = &trouble.hint {
        text.push_str(&format!("\nhint: {hint}\n"));
    }
    // Quoted text may be untrusted.
    drop(std::io::stderr().write_all(cml_text::lines(&text).as_bytes()));
    let output = if json { Some(format!("{}\n", trouble.json())) } else { trouble.output.clone() };
    if let Some(output) = output {
        drop(std::io::stdout().write_all(output.as_bytes()));
    }
}
