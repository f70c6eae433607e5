//! Conversion of flags to a launch plan: every value is checked before anything is done. Pure, except for its
//! arguments.

use std::collections::BTreeMap;
use std::str::FromStr;

use cml_bootstrap::RunnerPackage;
use cml_cloud::{Deadline, Image, LaunchId, Market, Network, OfferQuery, SpotPolicy, UsdPerHour};
use cml_controller::{LaunchPlan, MachineTemplate, Reuse, RunnerMode, RunnerPackageSource};
use cml_github::RunnerGroup;
use cml_spec::{Setup, checks, duration, of_one_line};
use jiff::Timestamp;

use crate::args::{CloudName, Launch, Legacy, Spot};
use crate::exit::{CliError, ExitCode};
use crate::launch::DEFAULT_GROUP;
use crate::setup::word;

/// GitHub's limit on a runner's name.
const NAME_CHARS_MAX: usize = 64;
/// Hexadecimal digits of a SHA-256.
const SHA256_DIGITS: usize = 64;
/// A root disk on EC2 gp3 is at most 16 TiB; the runner and an image need some gigabytes.
const DISK_GIB: std::ops::RangeInclusive<u32> = 8..=16_384;

/// Returns the runner's name where the user gives none: with the type and the market if just one of each is requested,
/// so that `cost --reconstruct` knows what it was.
fn own_name(args: &Launch, launch: LaunchId) -> String {
    match args.types.as_slice() {
        [kind] if args.cloud == Some(CloudName::Aws) && kind.contains('.') => {
            let market = match spot_policy(args) {
                SpotPolicy::Only => Some(Market::Spot),
                SpotPolicy::Never => Some(Market::OnDemand),
                SpotPolicy::Prefer => None,
            };
            launch.runner_name_for(kind.trim(), market)
        }
        _ => launch.runner_name(),
    }
}

fn spot_policy(args: &Launch) -> SpotPolicy {
    match (args.spot, args.cloud_spot) {
        (Some(Spot::Only), _) => SpotPolicy::Only,
        (Some(Spot::Prefer), _) | (None, true) => SpotPolicy::Prefer,
        (Some(Spot::Never), _) | (None, false) => SpotPolicy::Never,
    }
}

/// Checks the flags and returns the plan.
pub(crate) fn order(
    args: &Launch,
    as_cml: bool,
    launch: LaunchId,
    now: Timestamp,
    packages: Option<RunnerPackageSource>,
    setup: Setup,
) -> Result<LaunchPlan, CliError> {
    let usage = |message: String| CliError::new(ExitCode::Usage, message);
    let time =
        |flag: &str, text: &str| duration::parse(text).map_err(|error| usage(format!("--{flag}: {error}")));
    let exclusive = [args.single, args.reuse, args.reuse_idle].iter().filter(|set| **set).count();
    if exclusive > 1 {
        return Err(usage("--single, --reuse and --reuse-idle exclude each other".to_owned()));
    }
    let labels = labels(&args.labels, args.default_labels)?;
    let name = args.name.clone().unwrap_or_else(|| own_name(args, launch));
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || of_one_line(&name).is_err() {
        return Err(usage(format!(
            "--name: {name:?} is no runner name: 1 to {NAME_CHARS_MAX} printable characters"
        )));
    }
    if let Some(disk_gib) = args.disk_gib.filter(|gib| !DISK_GIB.contains(gib)) {
        return Err(usage(format!(
            "--disk: {disk_gib} GB is not between {} and {}",
            DISK_GIB.start(),
            DISK_GIB.end()
        )));
    }
    let idle_timeout = duration::parse_idle(&args.idle_timeout)
        .map_err(|error| usage(format!("--idle-timeout: {error}, or never")))?;
    let max_lifetime = time("max-lifetime", &args.max_lifetime)?;
    let boot_timeout = time("boot-timeout", &args.boot_timeout)?;
    let deadline = now
        .checked_add(max_lifetime)
        .map_err(|_| usage(format!("--max-lifetime: {} is too long", args.max_lifetime)))?;
    let many = (as_cml && !args.single) || args.reusable || args.reuse || args.reuse_idle;
    if many && args.group_id != DEFAULT_GROUP {
        let why = "a runner that stays registers itself, and knows its group by name only";
        return Err(usage(format!(
            "--group-id: {why}; launch runners for one job (--single, without --reusable, --reuse and --reuse-idle), \
             or use a daemon and `group:` in cml.yaml"
        )));
    }
    let package = match (&args.package_url, &args.package_sha256) {
        (Some(url), sha256) => Some(RunnerPackageSource::Pinned(package(url, sha256.as_deref())?)),
        (None, _) => packages,
    };
    let image = Image { name: word("--image", args.image.as_deref())? };
    let network = network(args)?;
    let recipe = MachineTemplate {
        spec: "launch".to_owned(),
        labels,
        default_labels: args.default_labels,
        group: RunnerGroup::Id(args.group_id),
        mode: if many { RunnerMode::Persistent } else { RunnerMode::Ephemeral },
        query: OfferQuery {
            regions: words("--region", &args.regions)?,
            types: words("--type", &args.types)?,
            needs: None,
            gpu: word("--gpu", args.gpu.as_deref())?.filter(|gpu| gpu != "nogpu"),
            spot: spot_policy(args),
            spot_price_max: spot_price(args.spot_price.as_deref())?,
            network: network.clone(),
            image: image.clone(),
            disk_gib: args.disk_gib,
            cache_snapshot: setup.cache.as_ref().map(|cache| cache.snapshot.clone()),
        },
        image,
        network,
        instance_profile: word("--instance-profile", args.instance_profile.as_deref())?
            .filter(|profile| !profile.is_empty()),
        tags: tags(&args.tags)?,
        boot_timeout,
        idle_timeout,
        setup,
        packages: package.unwrap_or(RunnerPackageSource::Latest),
    };
    Ok(LaunchPlan {
        launch,
        runner_name: name,
        deadline: Deadline(deadline),
        reuse: match (args.reuse, args.reuse_idle) {
            (true, _) => Reuse::Online,
            (_, true) => Reuse::Idle,
            _ => Reuse::Never,
        },
        template: recipe,
    })
}

/// Checks a named package: a machine that cannot download it costs money before it reports that.
fn package(url: &str, sha256: Option<&str>) -> Result<RunnerPackage, CliError> {
    let usage = |message: String| CliError::new(ExitCode::Usage, message);
    word("--package-url", Some(url))?;
    if !url::Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme())) {
        return Err(usage(format!(
            "--package-url: {url:?} is no address that begins with https:// or http://"
        )));
    }
    if let Some(sum) = sha256
        && (sum.len() != SHA256_DIGITS || !sum.chars().all(|c| c.is_ascii_hexdigit()))
    {
        return Err(usage(format!(
            "--package-sha256: {sum:?} is no SHA-256: {SHA256_DIGITS} hexadecimal digits, as sha256sum prints them"
        )));
    }
    Ok(RunnerPackage { url: url.to_owned(), sha256: sha256.map(str::to_owned), token: None })
}

fn network(args: &Launch) -> Result<Network, CliError> {
    let group = word("--security-group", args.security_group.as_deref())?;
    Ok(Network {
        subnets: words("--subnet", &args.subnets)?,
        security_group: group.filter(|group| !group.is_empty()),
    })
}

fn words(flag: &str, values: &[String]) -> Result<Vec<String>, CliError> {
    let words: Result<Vec<_>, CliError> = values.iter().map(|value| word(flag, Some(value))).collect();
    Ok(words?.into_iter().flatten().filter(|value| !value.is_empty()).collect())
}

fn labels(values: &[String], default_labels: bool) -> Result<Vec<String>, CliError> {
    let labels = words("--labels", values)?;
    if labels.is_empty() {
        let message = "--labels is empty: is the expression or variable that gives it set?";
        return Err(CliError::new(ExitCode::Usage, message));
    }
    for (index, label) in labels.iter().enumerate() {
        checks::label(label, &labels[..index])
            .map_err(|wrong| refused(&format!("--labels: {label:?}"), wrong))?;
    }
    checks::label_count(&labels, default_labels).map_err(|wrong| refused("--labels", wrong))?;
    Ok(labels)
}

fn spot_price(text: Option<&str>) -> Result<Option<UsdPerHour>, CliError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty() && *text != "-1") else {
        return Ok(None);
    };
    match rust_decimal::Decimal::from_str(text) {
        Ok(price) if price > rust_decimal::Decimal::ZERO => Ok(Some(UsdPerHour(price))),
        _ => Err(CliError::new(
            ExitCode::Usage,
            format!("--spot-price: {text:?} is not a price: write USD per hour, such as 0.25"),
        )),
    }
}

fn tags(pairs: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut tags = BTreeMap::new();
    for pair in pairs.iter().filter(|pair| !pair.is_empty()) {
        let pair = word("--tag", Some(pair))?.unwrap_or_default();
        let Some((key, value)) = pair.split_once('=') else {
            let message = format!("--tag: {pair:?} is not KEY=VALUE");
            return Err(CliError::new(ExitCode::Usage, message));
        };
        checks::tag(key, value, &tags).map_err(|wrong| refused("--tag", wrong))?;
        tags.insert(key.to_owned(), value.to_owned());
    }
    checks::tag_count(&tags).map_err(|wrong| refused("--tag", wrong))?;
    Ok(tags)
}

/// Returns the error for a flag's value, with what would be right.
fn refused(flag: &str, wrong: checks::Wrong) -> CliError {
    let trouble = CliError::new(ExitCode::Usage, format!("{flag}: {}", wrong.what));
    if wrong.help.is_empty() { trouble } else { trouble.hint(wrong.help) }
}

/// Checks the flags that only CML has and returns the replacement of each unused one.
pub(crate) fn legacy_warnings(legacy: &Legacy, cloud: Option<CloudName>) -> Vec<&'static str> {
    let said = [
        (legacy.no_retry.is_some(), "--no-retry changes nothing: a launch re-runs no workflow"),
        (!legacy.docker_volumes.is_empty(), "--docker-volumes is for GitLab only and changes nothing"),
        (
            legacy.cloud_ssh_private.is_some(),
            "--cloud-ssh-private changes nothing: nothing logs in to the machine; --ssh-authorized-key lets you",
        ),
        (
            !legacy.cloud_kubernetes_node_selector.is_empty(),
            "--cloud-kubernetes-node-selector changes nothing: Kubernetes is not served",
        ),
        (
            legacy.workdir.is_some() && cloud != Some(CloudName::Aws),
            "--workdir changes nothing: each machine has a directory of its own; --state-dir says where they lie",
        ),
        (
            legacy.tpi_version.is_some() || legacy.cml_version.is_some() || legacy.tf_resource.is_some(),
            "--tpi-version, --cml-version and --tf-resource change nothing: there is no Terraform here",
        ),
        (legacy.destroy_delay.is_some(), "--destroy-delay changes nothing: the machine ends itself"),
    ];
    said.into_iter().filter_map(|(given, words)| given.then_some(words)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        launch: Launch,
    }

    fn says(line: &[&str]) -> String {
        let args = Line::parse_from(std::iter::once(&"launch").chain(line)).launch;
        let launch = LaunchId::new(ulid::Ulid::nil());
        let order = order(&args, false, launch, Timestamp::UNIX_EPOCH, None, Setup::default());
        order.err().map(|trouble| trouble.message).unwrap_or_default()
    }

    #[test]
    fn what_would_fail_on_a_bought_machine_is_refused_before() {
        let sum = "a".repeat(64);
        let package = |url, sum| says(&["--package-url", url, "--package-sha256", sum]);
        assert_eq!(package("https://example.com/runner.tar.gz", &sum), "");
        assert!(package("runner.tar.gz", &sum).starts_with("--package-url"));
        assert!(package("https://example.com/runner.tar.gz", "abc").starts_with("--package-sha256"));
        assert!(says(&["--labels", ""]).starts_with("--labels is empty"));
        assert_eq!(says(&["--group-id", "7"]), "");
        assert!(says(&["--group-id", "7", "--reusable"]).starts_with("--group-id: "));
    }

    #[test]
    fn labels_and_tags_are_checked_as_those_of_a_file() {
        let long = "a".repeat(300);
        for labels in ["full_build staging", "cml-${{ github.run_id }}", &long, "GPU,gpu", "a\u{7}b"] {
            assert!(says(&["--labels", labels]).starts_with("--labels: "), "{labels}");
        }
        let (key, value) = (format!("{}=x", "k".repeat(129)), format!("k={}", "v".repeat(257)));
        for tag in ["AWS:foo=x", "Cml-Runner:spec=x", &key, &value, "a\tb=c", "=x", "nothing"] {
            assert!(says(&["--tag", tag]).starts_with("--tag: "), "{tag}");
        }
        let many: Vec<String> =
            (0..44).flat_map(|number| ["--tag".to_owned(), format!("t{number}=x")]).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(says(&many).starts_with("--tag: 44 tags"), "{}", says(&many));
        assert_eq!(says(&many[2..]), "");
        assert_eq!(says(&["--labels", "cml, gpu", "--tag", "team=vision"]), "");
    }

    #[test]
    fn no_flag_takes_what_would_begin_a_line_of_its_own() {
        for flag in [
            "--labels",
            "--name",
            "--region",
            "--type",
            "--gpu",
            "--image",
            "--subnet",
            "--security-group",
            "--instance-profile",
            "--tag",
        ] {
            for value in ["k=a\nb", "k=a\rb", "k=a\u{1b}[31mb", "k=a\u{202e}b"] {
                assert!(says(&[flag, value]).starts_with(flag), "{flag} {value:?}");
            }
            // Quotes in YAML leave a line break at the end.
            if !["--name"].contains(&flag) {
                assert_eq!(says(&[flag, "k=a\n"]), "", "{flag}");
            }
        }
    }
}
