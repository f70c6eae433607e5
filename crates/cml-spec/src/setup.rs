//! The user's setup of each machine before, during and after its jobs.

/// The user's setup of a machine. Scripts run under the interpreter of their first line, else bash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Script that runs as root before the runner (under `cloud: local` as the user).
    pub startup_script: Option<Vec<u8>>,
    /// Packages of the image's distribution; see [`is_package_name`].
    pub packages: Vec<String>,
    /// Script that runs as the runner's user before each job; its failure fails the job.
    pub pre_job: Option<Vec<u8>>,
    /// Script that runs as the runner's user after each job, whatever its result; its failure fails the job.
    pub post_job: Option<Vec<u8>>,
    /// Script that runs as the runner's user when the cloud announces an interruption: `CML_NOTICE` is `interruption`
    /// or `rebalance`, `CML_SECONDS_LEFT` is the time that the machine still has.
    pub on_interruption: Option<Vec<u8>>,
    /// Whether jobs work on the machine's own NVMe disks, where it has some.
    pub scratch: bool,
    /// A volume created from a snapshot, with data that jobs need again and again.
    pub cache: Option<Cache>,
    /// Whether jobs may access the metadata service.
    pub metadata_open: bool,
    /// The machine's proxy settings.
    pub proxy: Proxy,
    /// Certificates (PEM) that the machine trusts in addition to its own.
    pub ca_certificates: Option<String>,
    /// A public key for SSH access.
    pub ssh_authorized_key: Option<String>,
    /// Under `cloud: local`: users of which each machine runs as one, which no other machine has at that time.
    pub users: Vec<String>,
}

/// A volume created from a snapshot for each machine, and deleted with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// EC2's id of the snapshot: a file system without partitions. The policy of launches requires its tag
    /// `cml-runner:cache`.
    pub snapshot: String,
    /// Its mount point.
    pub path: String,
}

impl Cache {
    /// Validates `snap-…` and its mount point; `None` when either is invalid.
    #[must_use]
    pub fn new(snapshot: &str, path: &str) -> Option<Self> {
        let id = snapshot.strip_prefix("snap-")?;
        let is_id = !id.is_empty() && id.chars().all(|it| it.is_ascii_hexdigit());
        let is_path = path.starts_with('/') && path.len() > 1 && of_one_line(path).is_ok();
        (is_id && is_path).then(|| Self { snapshot: snapshot.to_owned(), path: path.to_owned() })
    }
}

/// Proxies, in the form of curl and the runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// For `http://` addresses.
    pub http: Option<String>,
    /// For `https://` addresses.
    pub https: Option<String>,
    /// Names and networks that are reached without a proxy, comma-separated.
    pub not_for: Option<String>,
}

/// Checks that this is text of one line in which every character is visible: required of names, addresses and other
/// words, whatever their source.
///
/// # Errors
/// A description of the problem.
pub fn of_one_line(text: &str) -> Result<(), String> {
    match cml_text::not_of_a_line(text) {
        None => Ok(()),
        Some('\n' | '\r') => Err("has more than one line".to_owned()),
        Some(c) => Err(format!("holds a character that cannot be seen (U+{:04X})", u32::from(c))),
    }
}

/// Normalizes public keys, one per line, without blank lines and surrounding blanks.
///
/// # Errors
/// A description of the problem.
pub fn authorized_keys(text: &str) -> Result<String, String> {
    let keys: Vec<&str> = text.lines().map(str::trim).filter(|key| !key.is_empty()).collect();
    keys.iter().try_for_each(|key| of_one_line(key))?;
    Ok(keys.join("\n"))
}

/// Returns whether this can be a package's name for apt-get or dnf, with an optional version, and without anything that
/// a shell or they themselves would interpret as more than a name.
#[must_use]
pub fn is_package_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|it| it.is_ascii_alphanumeric() || ".+:=~_-".contains(it))
}

#[cfg(test)]
mod tests {
    use super::is_package_name;

    #[test]
    fn a_package_name_is_nothing_but_a_name() {
        for good in ["git-lfs", "libstdc++6", "python3.12=3.12.3-1~22", "gcc:arm64"] {
            assert!(is_package_name(good), "{good}");
        }
        for bad in ["", "-y", "a b", "$(reboot)", "a;b", "../x", "*"] {
            assert!(!is_package_name(bad), "{bad}");
        }
    }
}
