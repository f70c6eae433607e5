//! Which files a report may show. A report can contain text of outsiders, and its links must not expose nearby files:
//! credentials that other steps have put into the workspace, and the machine's own files.
//!
//! Pure: the caller has made both paths canonical, and determines which directories are git's.

use std::path::{Component, Path, PathBuf};

use crate::media::Media;

/// System directories: files in them are never part of a report, even if the workspace is set to one of them.
const SYSTEM: [&str; 6] = ["/proc", "/sys", "/dev", "/etc", "/run", "/var/run"];
/// Files of the runner next to those of the steps: the event, command files, the home of container jobs.
const RUNNERS_OWN: [&str; 4] = ["_github_home", "_github_workflow", "_runner_file_commands", "_actions"];
/// Words in names of files that hold credentials.
const CREDENTIAL_WORDS: [&str; 7] =
    ["creds", "credential", "secret", "passwd", "password", "accesskey", "rootkey"];
/// Full names of such files, before their first dot.
const CREDENTIAL_NAMES: [&str; 7] =
    ["netrc", "token", "access_token", "github_token", "api_key", "apikey", "kubeconfig"];
/// Suffixes of their names, also before the suffix of a copy: `server.key.bak`.
const CREDENTIAL_ENDS: [&str; 15] = [
    "pem", "key", "p12", "pfx", "p8", "ppk", "jks", "keystore", "kdbx", "gpg", "asc", "tfstate", "tfvars",
    "env", "ovpn",
];
/// Suffixes of pictures, which are no copies: `attention.key.png` is a plot.
const PICTURE_ENDS: [&str; 6] = ["png", "jpg", "jpeg", "gif", "svg", "webp"];
/// Marker of a private key, whatever the file's name.
const PRIVATE_KEY: [u8; 16] = *b"PRIVATE KEY-----";
/// Suffixes of tables: a content type knows them as text only.
const TABLE_ENDS: [&str; 2] = ["csv", "tsv"];

/// Returns the directories below which files may be shown: the named ones, except system directories and those that
/// contain the home directory without being it.
#[must_use]
pub fn roots(named: Vec<PathBuf>, home: Option<&Path>) -> Vec<PathBuf> {
    let holds_home = |dir: &Path| home.is_some_and(|home| home.starts_with(dir));
    named.into_iter().filter(|dir| dir.parent().is_some() && !is_systems(dir) && !holds_home(dir)).collect()
}

/// Returns why a file may not be shown because of its path; `None` when it may. `is_git` returns whether a directory is
/// a git repository.
#[must_use]
pub fn place_refused(file: &Path, roots: &[PathBuf], is_git: &dyn Fn(&Path) -> bool) -> Option<&'static str> {
    let outside = "it is not below the workspace or the temporary directory";
    if is_systems(file) {
        return Some(outside);
    }
    let refusals =
        roots.iter().filter_map(|root| Some(below_refused(root, file.strip_prefix(root).ok()?, is_git)));
    // The most specific directory decides: a workspace may be below a temporary directory with a hidden name.
    let mut refused = Some(outside);
    for one in refusals {
        refused = one;
        if one.is_none() {
            break;
        }
    }
    refused
}

fn below_refused(root: &Path, path: &Path, is_git: &dyn Fn(&Path) -> bool) -> Option<&'static str> {
    let mut dir = root.to_owned();
    for part in path.components() {
        let Component::Normal(part) = part else { return Some("its path is none of a file") };
        let name = part.to_string_lossy().to_lowercase();
        if name.starts_with('.') {
            return Some("it is hidden, or in a hidden directory");
        }
        if RUNNERS_OWN.contains(&name.as_str()) {
            return Some("it is the runner's own");
        }
        if is_git(&dir) {
            return Some("it is in a repository of git's");
        }
        dir.push(part);
    }
    path.file_name().is_some_and(|name| is_credential(&name.to_string_lossy())).then_some(LOOKS_LIKE)
}

const LOOKS_LIKE: &str = "its name is one of a file with credentials";

/// Returns why a file's content may not be shown; `None` when it may. In runs with possibly foreign code only pictures,
/// videos and tables are shown.
#[must_use]
pub fn content_refused(
    name: &str,
    media: &Media,
    bytes: &[u8],
    may_be_strangers: bool,
) -> Option<&'static str> {
    if bytes.windows(PRIVATE_KEY.len()).any(|part| part == PRIVATE_KEY) {
        return Some("there is a private key in it");
    }
    // Not HTML or a script with the name of a table.
    let is_table = media.mime == "text/plain" && TABLE_ENDS.iter().any(|end| ends_with(name, end));
    if may_be_strangers && !media.is_shown() && !is_table {
        return Some("in a run that may be a stranger's only pictures, videos and tables are shown");
    }
    None
}

fn is_systems(path: &Path) -> bool {
    SYSTEM.iter().any(|dir| path.starts_with(dir))
}

fn is_credential(name: &str) -> bool {
    let name = name.to_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    CREDENTIAL_WORDS.iter().any(|word| name.contains(word))
        || CREDENTIAL_NAMES.contains(&stem)
        || has_credential_end(&name)
        // `id_ed25519` and `id_rsa.pub`; `id_map.csv` is a table.
        || name.starts_with("id_") && (name == stem || ends_with(&name, "pub"))
}

/// Returns whether a part after a dot is one of a file with credentials. Names of pictures have none.
fn has_credential_end(name: &str) -> bool {
    let is_picture = PICTURE_ENDS.iter().any(|end| ends_with(name, end));
    !is_picture && name.split('.').skip(1).any(|part| CREDENTIAL_ENDS.contains(&part))
}

fn ends_with(name: &str, end: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, own)| own.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(file: &str) -> Option<&'static str> {
        let roots = [PathBuf::from("/work/vision"), PathBuf::from("/tmp")];
        let is_git = |dir: &Path| dir == Path::new("/work/vision/bare.git");
        place_refused(Path::new(file), &roots, &is_git)
    }

    #[test]
    fn what_lies_in_the_workspace_and_the_temporary_directories_is_shown() {
        for file in [
            "/work/vision/plot.png",
            "/work/vision/plots/roc.svg",
            "/tmp/a/metrics.csv",
            "/work/vision/tokenizer.json",
            "/work/vision/keys.csv",
            "/work/vision/id_map.csv",
            "/work/vision/a.b/c..png",
        ] {
            assert_eq!(refused(file), None, "{file}");
        }
    }

    #[test]
    fn a_harmless_name_is_shown_although_it_has_such_a_word_in_it() {
        for name in [
            "environment.md",
            "environment.yml",
            "env.csv",
            "env_steps.png",
            "keyboard.png",
            "monkey.png",
            "keypoints.csv",
            "key.csv",
            "key.png",
            "tokens.png",
            "tokens.csv",
            "attention.key.png",
            "CartPole.env.svg",
            "ascii.txt",
            "loss.keys.csv",
        ] {
            assert_eq!(refused(&format!("/work/vision/{name}")), None, "{name}");
        }
    }

    #[test]
    fn what_is_hidden_or_looks_like_credentials_is_not_shown() {
        for file in [
            "/etc/passwd",
            "/proc/self/environ",
            "/work/other/a.png",
            "/home/runner/.aws/credentials",
            "/work/vision/.env",
            "/work/vision/.dvc/config.local",
            "/work/vision/.git/config",
            "/work/vision/sub/.GIT/config",
            "/work/vision/.netrc",
            "/work/vision/.aws/a.png",
            "/work/vision/gha-creds-0123456789abcdef.json",
            "/work/vision/GCP_Credentials.JSON",
            "/work/vision/bare.git/config",
            "/work/vision/bare.git/objects/aa/bb",
            "/work/vision/id_rsa",
            "/work/vision/id_ed25519.pub",
            "/work/vision/server.PEM",
            "/work/vision/deploy.key",
            "/work/vision/terraform.tfstate",
            "/work/vision/terraform.tfstate.backup",
            "/work/vision/prod.env",
            "/work/vision/prod.ENV.local",
            "/work/vision/rootkey.csv",
            "/work/vision/bob_accessKeys.csv",
            "/work/vision/server.key.bak",
            "/work/vision/server.pem.2026-01-01.gz",
            "/work/vision/config.ovpn",
            "/work/vision/token.txt",
            "/tmp/_github_home/notes.txt",
            "/tmp/_runner_file_commands/add_path",
            "/tmp/_github_workflow/event.json",
            "/tmp/git-credentials-1.config",
        ] {
            assert!(refused(file).is_some(), "{file}");
        }
    }

    #[test]
    fn neither_the_system_nor_the_home_directory_is_a_workspace() {
        let named =
            ["/", "/home", "/home/ada", "/home/ada/vision", "/etc", "/run/user/1", "/proc/1/root", "/tmp"];
        let named = named.into_iter().map(PathBuf::from).collect();
        let kept = roots(named, Some(Path::new("/home/ada")));
        assert_eq!(kept, [PathBuf::from("/home/ada/vision"), PathBuf::from("/tmp")]);
        assert!(place_refused(Path::new("/proc/self/environ"), &[PathBuf::from("/")], &|_| false).is_some());
    }

    #[test]
    fn a_workspace_below_a_hidden_directory_is_one() {
        let roots = [PathBuf::from("/tmp"), PathBuf::from("/tmp/.tmpX/vision")];
        assert_eq!(place_refused(Path::new("/tmp/.tmpX/vision/a.png"), &roots, &|_| false), None);
        assert!(place_refused(Path::new("/tmp/.tmpX/vision/.env"), &roots, &|_| false).is_some());
    }

    #[test]
    fn a_key_is_known_by_its_content_and_a_stranger_shows_pictures_and_tables() {
        let told =
            |name: &str, bytes: &[u8], strangers| content_refused(name, &Media::of(bytes), bytes, strangers);
        let key = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n";
        assert!(told("notes.txt", key, false).is_some());
        for padding in [70_000, 3 << 20] {
            let padded = [vec![b'x'; padding].as_slice(), key].concat();
            assert!(told("notes.txt", &padded, false).is_some(), "behind {padding} bytes");
        }
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        assert_eq!(told("a.png", png, true), None);
        assert_eq!(told("a.csv", b"a,b\n1,2\n", true), None);
        assert_eq!(told("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", true), None);
        for (name, bytes) in [
            ("settings.json", &b"{\"a\": 1}"[..]),
            ("log.txt", b"text"),
            ("a.png", b"AKIA=1"),
            ("a.csv", b"<!DOCTYPE html><script>1</script>"),
            ("a.png", b"<html><script>1</script></html>"),
        ] {
            assert!(told(name, bytes, true).is_some(), "{name}");
            assert_eq!(told(name, bytes, false), None, "{name}");
        }
    }
}
