//! Progress of a launch: a spinner on a terminal, plain lines otherwise. All of it on stderr.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cml_controller::Event;
use indicatif::{ProgressBar, ProgressStyle};

/// Interval of waiting lines without a terminal.
const LINE_EVERY_SECONDS: u64 = 15;

/// Whether stderr is for errors only. A property of the process, as stderr itself is.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Limits stderr to errors from now on.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Returns whether stderr is for errors only.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Output of progress.
pub(crate) struct Progress {
    spinner: Option<ProgressBar>,
    in_actions: bool,
    last_line_seconds: Mutex<u64>,
}

impl Progress {
    /// Creates a spinner on a terminal, lines elsewhere.
    pub(crate) fn new(in_actions: bool) -> Self {
        let spinner = (std::io::stderr().is_terminal() && !in_actions && !is_quiet()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { spinner, in_actions, last_line_seconds: Mutex::new(0) }
    }

    /// Prints one line or several.
    pub(crate) fn line(&self, text: &str) {
        self.write(&cml_text::lines(text));
    }

    /// Prints a line that Actions may read as a command.
    fn write(&self, text: &str) {
        if is_quiet() {
            return;
        }
        match &self.spinner {
            Some(bar) => bar.println(text),
            // A closed stderr is ignored.
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    /// Prints a warning that the reader should act on; GitHub shows it on the run's page.
    pub(crate) fn warn(&self, text: &str) {
        if self.in_actions {
            self.write(&annotation(text));
        } else {
            self.line(&format!("warning: {text}"));
        }
    }

    /// Ends the spinner.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.spinner {
            bar.finish_and_clear();
        }
    }

    /// Prints one event.
    pub(crate) fn tell(&self, event: &Event) {
        if let Event::Waiting { seconds, state } = event {
            let state = state.map_or_else(String::new, |state| format!(", machine {state}"));
            return self
                .waiting(*seconds, &format!("waiting for the runner to come online ({seconds} s{state})"));
        }
        if let Event::RegionSkipped { error } = event {
            return self.warn(&format!("skipped: {error}"));
        }
        if let Some(text) = words(event) {
            self.line(&text);
        }
        if let Event::Refused { failures } = event {
            for failure in failures {
                tracing::info!(code = failure.code, message = failure.message, offer = ?failure.offer, "refused");
            }
        }
    }

    fn waiting(&self, seconds: u64, text: &str) {
        if let Some(bar) = &self.spinner {
            bar.set_message(cml_text::line(text).into_owned());
            return;
        }
        let Ok(mut last) = self.last_line_seconds.lock() else { return };
        if seconds >= *last + LINE_EVERY_SECONDS {
            *last = seconds;
            self.line(text);
        }
    }
}

/// Returns a warning that Actions shows on the run's page.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>
pub(crate) fn annotation(text: &str) -> String {
    format!("::warning::{}", cml_text::lines(text).replace('%', "%25").replace('\n', "%0A"))
}

fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::Reusing { runner } => format!("the runner {runner} is online already: nothing is launched"),
        Event::Registered { runner } => format!("registered the runner {runner}"),
        Event::Buying { offers, .. } => {
            let first = offers.first()?;
            let mut types: Vec<&str> = offers.iter().map(|offer| offer.instance_type.as_str()).collect();
            types.dedup();
            types.truncate(6);
            format!("asking for a machine: {} in {}, any of {}", first.market, first.region, types.join(", "))
        }
        Event::Refused { failures } => match failures.first() {
            Some(failure) => {
                format!("{} offers refused ({}: {})", failures.len(), failure.code, failure.message)
            }
            None => "refused".to_owned(),
        },
        Event::Repeating { cause } => format!("asking again: {cause}"),
        Event::Bought { instance, offer } => {
            let price = offer.price.map_or_else(String::new, |price| format!(" at {price}"));
            let zone = offer.zone.as_deref().unwrap_or(offer.region.as_str());
            format!("got {instance}: {} {} in {zone}{price}", offer.market, offer.instance_type)
        }
        Event::Adopted { instance } => format!("this launch id has its machine already: {instance}"),
        Event::Online { runner } => format!("the runner {runner} is online"),
        Event::Undoing => "removing what was made".to_owned(),
        Event::Offers { .. }
        | Event::Packages { .. }
        | Event::RegionSkipped { .. }
        | Event::Waiting { .. } => return None,
    })
}
