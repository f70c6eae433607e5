//! `cml-runner doctor`: checks that everything needed for a launch is in place.

mod aws;
mod checks;
mod github;
mod image;
mod machine;
mod network;
mod quota;
mod targets;
mod words;

use std::io::{IsTerminal, Write};

use cml_aws::{AwsCloud, AwsSettings};
use cml_prices::Book;

use self::checks::{Checks, Status};
use self::targets::Wants;
use crate::actions::now;
use crate::args::{Doctor, Global};
use crate::context;
use crate::daemon::with_file;
use crate::exit::{CliError, ExitCode};

pub(crate) async fn doctor(global: &Global, args: &Doctor) -> Result<String, CliError> {
    let wants = Wants::read(args)?;
    let is_daemon = args.daemon;
    let global = wants.config.as_ref().map_or_else(|| global.clone(), |config| with_file(global, config));
    let github = context::github(&global);
    let owner = github.as_ref().map_or_else(|_| "doctor".to_owned(), |it| it.location().scope.to_string());
    let on_github = async {
        match &github {
            Ok(github) => github::look(github, is_daemon, now()).await,
            Err(trouble) => {
                let mut checks = Checks::default();
                let fix = trouble.hint.clone().unwrap_or_else(|| {
                    "add --repo https://github.com/OWNER/NAME, or run it in a checkout with a remote \"origin\"".to_owned()
                });
                checks.fail("github", trouble.message.clone(), fix);
                checks
            }
        }
    };
    let on_aws = async {
        let wanted = wants.on_aws();
        let Some(first) = wanted.first() else { return Checks::default() };
        // Without the caches: they are what is being checked.
        let settings = AwsSettings {
            default_region: first.query.regions.first().cloned(),
            cache_dir: None,
            prices: Book::default(),
        };
        let cloud = AwsCloud::connect(settings).await;
        aws::look(&cloud, &wanted, is_daemon, &owner).await
    };
    let (of_github, of_aws) = tokio::join!(on_github, on_aws);
    let mut all = machine::look(&args.state, wants.all.iter().any(|want| want.is_local));
    all.0.extend(of_github.0);
    all.0.extend(of_aws.0);
    told(&global, &all)
}

fn told(global: &Global, checks: &Checks) -> Result<String, CliError> {
    let failures = checks.count(Status::Fail);
    let text = if global.json {
        format!("{}\n", checks.json())
    } else {
        checks.text(std::io::stdout().is_terminal() && context::env("NO_COLOR").is_none())
    };
    if failures == 0 {
        return Ok(text);
    }
    let message = match failures {
        1 => "1 check failed".to_owned(),
        _ => format!("{failures} checks failed"),
    };
    let mut trouble = CliError::new(ExitCode::Failed, message)
        .hint("apply the fixes above, then run `cml-runner doctor` again");
    if global.json {
        trouble.object = Some(checks.json());
    } else {
        drop(std::io::stdout().write_all(format!("{text}\n").as_bytes()));
    }
    Err(trouble)
}
