//! Commands that report a model's results where people discuss it.

pub(crate) mod args;
mod check;
mod checkout;
mod chores;
mod comment;
mod files;
mod footer;
mod gathered;
mod linked;
mod metrics;
#[cfg(test)]
mod parity;
mod places;
mod plot;
mod pr;
mod publish;
mod summary;
mod watch;

use crate::args::{Command, Global};
use crate::exit::CliError;
use args::{
    CheckCommand, CommentCommand, PrCommand, RepoCommand, ReportCommand, TensorboardCommand, WorkflowCommand,
};

/// Runs a reporting command; `None` when it is another one.
pub(crate) async fn run(global: &Global, command: &Command) -> Option<Result<String, CliError>> {
    Some(match command {
        Command::Publish(args) => publish::publish(global, args).await,
        Command::Comment { command: CommentCommand::Create(args) } => {
            comment::comment(global, args, false).await
        }
        Command::Comment { command: CommentCommand::Update(args) } => {
            comment::comment(global, args, true).await
        }
        Command::Check { command: CheckCommand::Create(args) } => check::create(global, args).await,
        Command::Pr { command: PrCommand::Create(args) } => pr::create(global, args).await,
        Command::Workflow { command: WorkflowCommand::Rerun { id } } => chores::rerun(global, *id).await,
        Command::Repo { command: RepoCommand::Prepare(args) } => chores::prepare(args),
        Command::Tensorboard { command: TensorboardCommand::Connect { .. } } => chores::tensorboard(),
        Command::Report { command } => match command {
            ReportCommand::Metrics(args) => metrics::metrics(global, args),
            ReportCommand::Plot(args) => plot::plot(global, args),
            ReportCommand::Check(args) => metrics::check(global, args).await,
            ReportCommand::Prune { older_than, dry_run } => {
                chores::old_files(global, older_than, *dry_run).await
            }
        },
        _ => return None,
    })
}
