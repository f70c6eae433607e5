//! `cml-runner render`: the user data of a launch, without secrets and without any call.

use cml_bootstrap::{Bootstrap, Machine, Registration, RunnerPackage};
use cml_cloud::LaunchId;
use cml_controller::{RunnerMode, RunnerPackageSource};
use secrecy::SecretString;
use serde_json::json;
use ulid::Ulid;

use crate::actions::now;
use crate::args::{CloudName, Launch, Render};
use crate::exit::{CliError, ExitCode};
use crate::{settings, setup};

/// About as long as GitHub's JIT configuration, and as hard to compress.
const REGISTRATION_CHARS: usize = 4_800;

pub(crate) fn render(args: &Render, as_cml: bool, as_json: bool) -> Result<String, CliError> {
    let bootstrap = bootstrap(&args.launch, as_cml)?;
    let failed = |error: cml_bootstrap::BootstrapError| CliError::new(ExitCode::Failed, error.to_string());
    if !args.explain {
        return cml_bootstrap::preview(&bootstrap).map_err(failed);
    }
    let explained = cml_bootstrap::explain(&bootstrap).map_err(failed)?;
    let limit = cml_bootstrap::MAX_BYTES;
    if as_json {
        let parts = explained.parts.iter().map(|part| json!({"what": part.what, "bytes": part.bytes}));
        return Ok(json!({
            "parts": parts.collect::<Vec<_>>(), "sent_bytes": explained.sent, "limit_bytes": limit,
            "compressed": explained.packed, "registration_bytes": REGISTRATION_CHARS,
        })
        .to_string());
    }
    let mut text = String::new();
    for part in &explained.parts {
        text.push_str(&format!("{:>6} bytes  {}\n", part.bytes, part.what));
    }
    let how = if explained.packed { "compressed, without comments" } else { "as it is" };
    text.push_str(&format!(
        "{:>6} bytes  sent, {how}, with a registration of {REGISTRATION_CHARS}; {limit} are the limit\n",
        explained.sent
    ));
    text.push_str(ORDER);
    Ok(text)
}

/// The order in which the parts run, on a cloud's machine.
const ORDER: &str = "
On the machine, in this order:
  1. in cloud-init's network stage: a service that powers the machine off when it ends, and a timer for the deadline
  2. in that service: the boot time-out and the download of the runner begin
  3. user, hooks, certificates, disks; after cloud-init packages and startup script; GPU check: while the download goes on
  4. the runner, unprivileged and in a control group of its own
  5. from then on: idle time-out, notices of interruption every 5 s, what the GPUs do every 15 s
Whatever ends it says why on the console (`cml-runner: last words`) and powers the machine off.
";

fn bootstrap(args: &Launch, as_cml: bool) -> Result<Bootstrap, CliError> {
    let now = now();
    // An id of this moment and without chance: times counted from a launch's beginning are then right.
    let this_moment =
        || LaunchId::new(Ulid::from_parts(u64::try_from(now.as_millisecond()).unwrap_or_default(), 0));
    let launch = args.launch_id.unwrap_or_else(this_moment);
    let setup = setup::setup(&args.setup, args.instance_profile.is_some())?;
    let order = settings::order(args, as_cml, launch, now, None, setup)?;
    let recipe = order.template;
    let package = match recipe.packages {
        RunnerPackageSource::Pinned(package) => package,
        RunnerPackageSource::Latest | RunnerPackageSource::Cached(_) => RunnerPackage {
            url: "https://github.com/actions/runner/releases (as GitHub names it)".to_owned(),
            sha256: None,
            token: None,
        },
    };
    let secret = SecretString::from(registration());
    let registration = match recipe.mode {
        RunnerMode::Ephemeral => Registration::Jit { encoded: secret },
        RunnerMode::Persistent => Registration::Token {
            url: "https://github.com/… (as --repo says)".to_owned(),
            token: secret,
            labels: recipe.labels,
            default_labels: recipe.default_labels,
            group: None,
        },
    };
    // A launch decides by the machine that it buys; without calls, the request is used.
    let gpu = recipe.query.gpu.is_some();
    Ok(Bootstrap {
        launch,
        runner_name: order.runner_name,
        registration,
        package,
        deadline: order.deadline,
        boot_timeout: recipe.boot_timeout,
        idle_timeout: recipe.idle_timeout,
        machine: if args.cloud == Some(CloudName::Aws) { Machine::Cloud { gpu } } else { Machine::Local },
        offers: Vec::new(),
        setup: recipe.setup,
    })
}

/// Returns a placeholder for the secret where sizes are printed.
fn registration() -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 1_u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(letters[(state >> 58) as usize])
    };
    (0..REGISTRATION_CHARS).map(letter).collect()
}
