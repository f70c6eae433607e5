//! The user's own part of a machine, from flags. The edge: files are read here.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use cml_spec::{Cache, Proxy, Setup, authorized_keys, is_package_name, is_user_name, of_one_line};

use crate::exit::{CliError, ExitCode};

/// Flags for the setup of the machine.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machine setup")]
pub(crate) struct SetupArgs {
    /// Script to run on the machine before the runner starts, base64-encoded
    #[arg(
        long = "startup-script",
        alias = "cloud-startup-script",
        env = "CML_RUNNER_CLOUD_STARTUP_SCRIPT",
        value_name = "BASE64"
    )]
    pub(crate) startup_script: Option<String>,
    /// Distribution packages to install, comma-separated
    #[arg(long, env = "CML_RUNNER_PACKAGES", value_delimiter = ',', value_name = "NAMES")]
    pub(crate) packages: Vec<String>,
    /// Script to run before each job as the runner's user; if it fails, the job fails
    #[arg(long, env = "CML_RUNNER_PRE_JOB", value_name = "FILE")]
    pub(crate) pre_job: Option<PathBuf>,
    /// Script to run after each job as the runner's user
    #[arg(long, env = "CML_RUNNER_POST_JOB", value_name = "FILE")]
    pub(crate) post_job: Option<PathBuf>,
    /// Script to run on a spot interruption; CML_SECONDS_LEFT is the time left
    #[arg(long, env = "CML_RUNNER_ON_INTERRUPTION", value_name = "FILE")]
    pub(crate) on_interruption: Option<PathBuf>,
    /// Disk for the work directory of jobs
    #[arg(long, env = "CML_RUNNER_SCRATCH", value_name = "DISK", default_value = "none")]
    pub(crate) scratch: Scratch,
    /// Snapshot (tagged cml-runner:cache) to create a volume from for each machine, and its mount point: snap-…:/path
    #[arg(long, env = "CML_RUNNER_CACHE", value_name = "SNAPSHOT:PATH")]
    pub(crate) cache: Option<String>,
    /// Allow jobs to access the instance metadata service (IMDS) [default: closed; open with --instance-profile]
    #[arg(long, env = "CML_RUNNER_IMDS", value_name = "ACCESS")]
    pub(crate) imds: Option<Imds>,
    /// Proxy for http:// URLs on the machine
    #[arg(long, env = "CML_RUNNER_HTTP_PROXY", value_name = "URL")]
    pub(crate) http_proxy: Option<String>,
    /// Proxy for https:// URLs on the machine
    #[arg(long, env = "CML_RUNNER_HTTPS_PROXY", value_name = "URL")]
    pub(crate) https_proxy: Option<String>,
    /// Hosts that the machine connects to without a proxy
    #[arg(long, env = "CML_RUNNER_NO_PROXY", value_name = "NAMES")]
    pub(crate) no_proxy: Option<String>,
    /// File with additional CA certificates for the machine to trust (PEM)
    #[arg(long, env = "CML_RUNNER_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// SSH public key that can log in to the machine
    #[arg(long, env = "CML_RUNNER_SSH_AUTHORIZED_KEY", value_name = "KEY")]
    pub(crate) ssh_authorized_key: Option<String>,
    /// User accounts for machines of `--cloud local`, comma-separated; no two machines share one. Requires root
    #[arg(long = "user", env = "CML_RUNNER_USER", value_delimiter = ',', value_name = "NAMES")]
    pub(crate) users: Vec<String>,
}

/// Disks for the work directory of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scratch {
    /// Local NVMe disks, if the machine has any
    Auto,
    /// Root disk
    None,
}

/// Access of jobs to the instance metadata service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Imds {
    /// Jobs can access it
    Open,
    /// Jobs cannot access it
    Closed,
}

/// Checks the flags and reads the files they name.
pub(crate) fn setup(args: &SetupArgs, has_instance_profile: bool) -> Result<Setup, CliError> {
    let script = |flag, path: &Option<PathBuf>| path.as_deref().map(|path| file(flag, path)).transpose();
    Ok(Setup {
        startup_script: startup_script(args.startup_script.as_deref())?,
        packages: packages(&args.packages)?,
        pre_job: script("--pre-job", &args.pre_job)?,
        post_job: script("--post-job", &args.post_job)?,
        on_interruption: script("--on-interruption", &args.on_interruption)?,
        scratch: args.scratch == Scratch::Auto,
        cache: args.cache.as_deref().map(cache).transpose()?,
        metadata_open: args.imds.map_or(has_instance_profile, |imds| imds == Imds::Open),
        proxy: Proxy {
            http: word("--http-proxy", args.http_proxy.as_deref())?,
            https: word("--https-proxy", args.https_proxy.as_deref())?,
            not_for: word("--no-proxy", args.no_proxy.as_deref())?,
        },
        ca_certificates: args.ca_file.as_deref().map(certificates).transpose()?,
        ssh_authorized_key: args.ssh_authorized_key.as_deref().map(keys).transpose()?,
        users: args.users.iter().map(|name| user(name)).collect::<Result<_, _>>()?,
    })
}

fn user(name: &str) -> Result<String, CliError> {
    if is_user_name(name) {
        return Ok(name.to_owned());
    }
    let message = format!("--user: {name:?} is no name of a user that a machine may run as");
    Err(CliError::new(ExitCode::Usage, message)
        .hint("such as --user job-1, made by `useradd --system job-1`"))
}

/// A flag's value without the blanks around it, which has to be one line: it goes into scripts, tags and logs.
pub(crate) fn word(flag: &str, text: Option<&str>) -> Result<Option<String>, CliError> {
    let Some(text) = text.map(str::trim) else { return Ok(None) };
    match of_one_line(text) {
        Ok(()) => Ok(Some(text.to_owned())),
        Err(what) => Err(CliError::new(ExitCode::Usage, format!("{flag}: {text:?} {what}"))
            .hint("does the expression or variable that gives it hold more than it should?")),
    }
}

fn keys(text: &str) -> Result<String, CliError> {
    authorized_keys(text)
        .map_err(|what| CliError::new(ExitCode::Usage, format!("--ssh-authorized-key: {text:?} {what}")))
}

fn file(flag: &str, path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| {
        CliError::new(ExitCode::Usage, format!("{flag}: {} cannot be read: {error}", path.display()))
    })
}

fn certificates(path: &Path) -> Result<String, CliError> {
    let text = String::from_utf8_lossy(&file("--ca-file", path)?).into_owned();
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Ok(text);
    }
    Err(CliError::new(
        ExitCode::Usage,
        format!("--ca-file: {} holds no certificate in PEM form", path.display()),
    )
    .hint("openssl x509 -inform der -in FILE makes one of a DER file"))
}

fn cache(text: &str) -> Result<Cache, CliError> {
    let read = text.split_once(':').and_then(|(snapshot, path)| Cache::new(snapshot, path));
    read.ok_or_else(|| {
        CliError::new(
            ExitCode::Usage,
            format!("--cache: {text:?} is not SNAPSHOT:PATH, such as snap-0123456789abcdef0:/cache"),
        )
    })
}

fn packages(names: &[String]) -> Result<Vec<String>, CliError> {
    let names = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    names
        .map(|name| {
            if is_package_name(name) {
                return Ok(name.to_owned());
            }
            Err(CliError::new(ExitCode::Usage, format!("--packages: {name:?} is no name of a package")))
        })
        .collect()
}

fn startup_script(text: Option<&str>) -> Result<Option<Vec<u8>>, CliError> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let compact: String = text.split_whitespace().collect();
    STANDARD.decode(compact).map(Some).map_err(|error| {
        CliError::new(ExitCode::Usage, format!("--startup-script: not base64: {error}"))
            .hint("pass the script with --startup-script \"$(base64 -w0 < script.sh)\"")
    })
}
