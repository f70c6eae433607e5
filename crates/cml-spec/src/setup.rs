//! What the user wants done on each machine before, beside and after its jobs.

/// The user's own part of a machine. Scripts run under the interpreter of their first line, else bash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Run as root before the runner (under `cloud: local` as the user).
    pub startup_script: Option<Vec<u8>>,
    /// Packages of the image's distribution; see [`is_package_name`].
    pub packages: Vec<String>,
    /// Run as the runner's user before each job; its failure fails the job.
    pub pre_job: Option<Vec<u8>>,
    /// Run as the runner's user after each job, whatever became of it; its failure fails the job.
    pub post_job: Option<Vec<u8>>,
    /// Run as the runner's user when the cloud wants the machine back: `CML_NOTICE` is `interruption` or `rebalance`,
    /// `CML_SECONDS_LEFT` says how long the machine still has.
    pub on_interruption: Option<Vec<u8>>,
    /// Jobs work on the machine's own NVMe disks, where it has some.
    pub scratch: bool,
    /// A volume made of a snapshot, with what jobs need again and again.
    pub cache: Option<Cache>,
    /// Jobs may speak to the metadata service.
    pub metadata_open: bool,
    /// How the machine reaches the world.
    pub proxy: Proxy,
    /// Certificates (PEM) that the machine trusts beside its own.
    pub ca_certificates: Option<String>,
    /// A public key that may log in.
    pub ssh_authorized_key: Option<String>,
    /// Under `cloud: local`: each machine runs as one of these users, which no other machine has at that time.
    pub users: Vec<String>,
}

/// A volume made of a snapshot for each machine, and gone with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// EC2's id of the snapshot: a file system without partitions. The policy of launches asks for its tag `cml-runner:cache`.
    pub snapshot: String,
    /// Where it is mounted.
    pub path: String,
}

impl Cache {
    /// Reads `snap-…:/where`; none is neither.
    #[must_use]
    pub fn new(snapshot: &str, path: &str) -> Option<Self> {
        let id = snapshot.strip_prefix("snap-")?;
        let is_id = !id.is_empty() && id.chars().all(|it| it.is_ascii_hexdigit());
        let is_path = path.starts_with('/') && path.len() > 1 && of_one_line(path).is_ok();
        (is_id && is_path).then(|| Self { snapshot: snapshot.to_owned(), path: path.to_owned() })
    }
}

/// Proxies, as curl and the runner understand them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// For `http://` addresses.
    pub http: Option<String>,
    /// For `https://` addresses.
    pub https: Option<String>,
    /// Names and networks that are reached without, comma-separated.
    pub not_for: Option<String>,
}

/// Whether this is text of one line in which every character can be seen: what names, addresses and other words must be,
/// whichever way they come in.
///
/// # Errors
/// What is wrong with it, in words.
pub fn of_one_line(text: &str) -> Result<(), String> {
    match cml_text::not_of_a_line(text) {
        None => Ok(()),
        Some('\n' | '\r') => Err("has more than one line".to_owned()),
        Some(c) => Err(format!("holds a character that cannot be seen (U+{:04X})", u32::from(c))),
    }
}

/// Public keys, one a line, without blank lines and the blanks around them.
///
/// # Errors
/// What is wrong with it, in words.
pub fn authorized_keys(text: &str) -> Result<String, String> {
    let keys: Vec<&str> = text.lines().map(str::trim).filter(|key| !key.is_empty()).collect();
    keys.iter().try_for_each(|key| of_one_line(key))?;
    Ok(keys.join("\n"))
}

/// Whether this can be a package's name for apt-get or dnf, with a version if need be, and nothing that a shell or they
/// themselves would take for more than a name.
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
