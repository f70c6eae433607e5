//! `cml-runner render`: the user data of a launch, without secrets and without asking anybody.

use cml_bootstrap::{Bootstrap, Registration, RunnerPackage};
use cml_cloud::LaunchId;
use cml_controller::{Lifetime, Packages};
use secrecy::SecretString;
use ulid::Ulid;

use crate::actions::now;
use crate::args;
use crate::exit::{Code, Trouble};
use crate::settings;

pub(crate) fn render(args: &args::Launch, as_cml: bool) -> Result<String, Trouble> {
    // A fixed id unless one is given, so that two renderings can be compared.
    let launch = args.launch_id.unwrap_or_else(|| LaunchId::new(Ulid::nil()));
    let order = settings::order(args, as_cml, launch, now(), None)?;
    let recipe = order.recipe;
    let package = match recipe.packages {
        Packages::Exactly(package) => package,
        Packages::Ask | Packages::Known(_) => RunnerPackage {
            url: "https://github.com/actions/runner/releases (as GitHub names it)".to_owned(),
            sha256: None,
        },
    };
    let registration = match recipe.lifetime {
        Lifetime::OneJob => Registration::Jit { encoded: SecretString::from("made at launch") },
        Lifetime::ManyJobs => Registration::Token {
            url: "https://github.com/… (as --repo says)".to_owned(),
            token: SecretString::from("made at launch"),
            labels: recipe.labels,
            group: None,
        },
    };
    cml_bootstrap::preview(&Bootstrap {
        launch,
        runner_name: order.runner_name,
        registration,
        package,
        deadline: order.deadline,
        boot_timeout: recipe.boot_timeout,
        idle_timeout: recipe.idle_timeout,
        startup_script: recipe.startup_script,
        ssh_authorized_key: recipe.ssh_authorized_key,
    })
    .map_err(|error| Trouble::new(Code::Failed, error.to_string()))
}
