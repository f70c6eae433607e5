//! The log: on stderr, one line for each event, whatever it contains.

use std::fmt;
use std::io::IsTerminal;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::args::{Cli, Command, LogFormat};
use crate::context;
use crate::exit::{CliError, ExitCode};

/// Starts the log.
pub(crate) fn log(cli: &Cli) -> Result<(), CliError> {
    let (usual, format) = match &cli.command {
        Command::Daemon(args) => ("info", args.log_format),
        _ => ("warn", LogFormat::Text),
    };
    let asked = if cli.global.quiet { Some("error") } else { cli.global.log.as_deref() };
    let level = asked.unwrap_or(usual);
    let level: tracing::Level = level.parse().map_err(|_| {
        CliError::new(
            ExitCode::Usage,
            format!("--log: {level:?} is not a level: error, warn, info, debug or trace"),
        )
    })?;
    let ansi = std::io::stderr().is_terminal() && context::env("NO_COLOR").is_none();
    let events =
        tracing_subscriber::fmt().with_env_filter(filter(level)).with_ansi(ansi).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => events.fmt_fields(debug_fn(write_field).delimited(" ")).init(),
        LogFormat::Json => events.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Returns the filter of this level.
fn filter(level: tracing::Level) -> EnvFilter {
    // Only our own crates log below `warn`: libraries at debug level print whole requests, and those carry secrets.
    let theirs = level.min(tracing::Level::WARN);
    let ours = [
        "cml_runner",
        "cml_report",
        "cml_controller",
        "cml_cloud",
        "cml_aws",
        "cml_github",
        "cml_bootstrap",
        "cml_daemon",
        "cml_world",
    ];
    // Octocrab logs every failed attempt as an error, also those that succeed on retry; warnings of the AWS
    // configuration are followed by a clearer error.
    let mut filter = EnvFilter::new(format!("{theirs},octocrab=off,aws_config=off"));
    for target in ours {
        if let Ok(directive) = format!("{target}={level}").parse() {
            filter = filter.add_directive(directive);
        }
    }
    filter
}

/// Writes one field, or the message: both contain names of jobs, and messages of AWS and GitHub.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let text = format!("{value:?}");
    let text = cml_text::line(&text);
    match field.name() {
        "message" => writer.write_str(&text),
        name => write!(writer, "{name}={text}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn libraries_are_as_quiet_as_was_asked_and_never_louder_than_warnings() {
        let of = |level| filter(level).to_string().to_ascii_lowercase();
        let bare = |text: &str| text.split(',').filter(|it| !it.contains('=')).collect::<String>();
        assert_eq!(bare(&of(tracing::Level::ERROR)), "error");
        assert_eq!(bare(&of(tracing::Level::TRACE)), "warn");
        assert!(of(tracing::Level::TRACE).contains("cml_aws=trace"), "{}", of(tracing::Level::TRACE));
        assert!(of(tracing::Level::WARN).contains("aws_config=off"));
    }

    /// Buffer for a test's log.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .finish();
        let hostile =
            "x\r\n2026-11-29T00:00:00Z ERROR forged\n::error::forged ##[group]\u{1b}[2J\u{9b}\u{202e}";
        tracing::subscriber::with_default(log, || {
            tracing::info!(why = %hostile, name = hostile, debug = ?hostile, "a job waits: {hostile}");
        });
        let text = String::from_utf8(kept.0.lock().expect("not poisoned").clone()).expect("text");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("a job waits: x\\u{d}\\u{a}2026") && text.contains(" why=x\\u{d}"), "{text}");
        let acts = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(acts) && !text.contains("##["), "{text:?}");
    }
}
