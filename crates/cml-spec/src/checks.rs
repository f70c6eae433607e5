//! Checks of labels and tags, for both sources: `cml.yaml` and the flags of `launch`.

use std::collections::BTreeMap;

use cml_cloud::types::tag::OURS;

/// Error: a wrong value, and how to correct it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The error.
    pub what: String,
    /// A hint; may be empty.
    pub help: String,
}

fn wrong(what: impl Into<String>, help: impl Into<String>) -> Wrong {
    Wrong { what: what.into(), help: help.into() }
}

/// Maximum number of labels of one runner, by GitHub's own limit, and of characters of one of them, by the runner's.
/// <https://docs.github.com/en/rest/actions/self-hosted-runners>,
/// <https://github.com/actions/runner/blob/main/src/Runner.Listener/Configuration/Validators.cs>
pub(crate) const LABELS_MAX: usize = 100;
const LABEL_CHARS_MAX: usize = 256;
/// `self-hosted`, the system and the architecture.
const DEFAULT_LABELS: usize = 3;

/// Maximum number of tags of one resource, and of characters of a key and of a value.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html>
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
/// The tag that the program sets unless the user names the machine.
const NAME: &str = "Name";

/// Checks that a runner may have this label in addition to the earlier ones.
///
/// # Errors
/// [`Wrong`] where GitHub refuses it, or no job could ask for it.
pub fn label(label: &str, earlier: &[String]) -> Result<(), Wrong> {
    let parts: Vec<&str> = label.split_whitespace().collect();
    if parts.is_empty() {
        Err(wrong("an empty label matches no job", "leave it out"))
    } else if label.contains("${{") {
        let help = "write the label that the job ends up with";
        Err(wrong("expressions are for workflows: nothing replaces this one here", help))
    } else if label.contains(',') {
        Err(wrong("a label with a comma matches no job", "write two labels: [a, b]"))
    } else if label.chars().count() > LABEL_CHARS_MAX || label.chars().any(char::is_control) {
        Err(wrong("no job can ask for this label", "at most 256 printable characters"))
    } else if parts.len() > 1 || parts.first() != Some(&label) {
        let what =
            "a label with a space is one label, and no job that is written as people write them asks for it";
        Err(wrong(what, format!("write [{}]", parts.join(", "))))
    } else if earlier.iter().any(|known| known.eq_ignore_ascii_case(label)) {
        let what = format!("the label `{label}` is there twice; GitHub does not tell upper from lower case");
        Err(wrong(what, "leave one of them out"))
    } else {
        Ok(())
    }
}

/// Checks that a runner may have so many labels, in addition to its default ones.
///
/// # Errors
/// [`Wrong`] where GitHub accepts fewer.
pub fn label_count(labels: &[String], default_labels: bool) -> Result<(), Wrong> {
    let defaults = ["self-hosted", "linux", "x64", "arm64"];
    let own = labels.iter().filter(|label| !defaults.iter().any(|known| label.eq_ignore_ascii_case(known)));
    let most = if default_labels { LABELS_MAX - DEFAULT_LABELS } else { LABELS_MAX };
    let count = if default_labels { own.count() } else { labels.len() };
    if count <= most {
        return Ok(());
    }
    let beside = if default_labels { " beside self-hosted, linux and the architecture" } else { "" };
    Err(wrong(format!("{count} labels; GitHub takes {most}{beside}"), "leave some of them out"))
}

/// Checks that a machine may have this tag in addition to the earlier ones.
///
/// # Errors
/// [`Wrong`] where EC2 refuses it, or it is reserved for this program.
pub fn tag(key: &str, value: &str, earlier: &BTreeMap<String, String>) -> Result<(), Wrong> {
    let lower = key.to_ascii_lowercase();
    if lower.starts_with("aws:") || lower.starts_with("cml-runner:") {
        return Err(wrong(
            format!("the tag `{key}` is not yours to set"),
            "tags of your own begin otherwise",
        ));
    }
    let is_too_long = key.chars().count() > TAG_KEY_CHARS_MAX || value.chars().count() > TAG_VALUE_CHARS_MAX;
    if key.trim().is_empty() || is_too_long {
        let help = "EC2 takes keys of 1 to 128 characters and values of at most 256";
        return Err(wrong("the tag is too long, or has no name", help));
    }
    if key.chars().chain(value.chars()).any(char::is_control) {
        return Err(wrong(
            format!("the tag {key:?} has a control character"),
            "letters, digits, spaces and _ . : / = + - @",
        ));
    }
    if earlier.contains_key(key) {
        return Err(wrong(format!("the tag `{key}` is there twice"), "leave one of them out"));
    }
    Ok(())
}

/// Checks that a machine may have so many tags in addition to this program's.
///
/// # Errors
/// [`Wrong`] where EC2 accepts fewer.
pub fn tag_count(tags: &BTreeMap<String, String>) -> Result<(), Wrong> {
    let count = tags.keys().filter(|key| *key != NAME).count();
    let most = TAGS_MAX - OURS;
    if count <= most {
        return Ok(());
    }
    Err(wrong(
        format!("{count} tags: EC2 takes {TAGS_MAX} of a machine, and {OURS} are ours"),
        format!("{most} at most"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        label(text, &["gpu".to_owned()])
            .map_or_else(|wrong| format!("{}: {}", wrong.what, wrong.help), |()| String::new())
    }

    #[test]
    fn a_label_is_one_that_a_job_can_ask_for() {
        for good in ["cml", "cml-77", "größe", &"a".repeat(256)] {
            assert_eq!(of(good), "", "{good}");
        }
        for (bad, says) in [
            ("", "empty"),
            ("  ", "empty"),
            ("cml-${{ github.run_id }}", "expressions"),
            ("a,b", "write two labels"),
            ("full_build staging", "write [full_build, staging]"),
            (" cml", "write [cml]"),
            ("a\tb", "printable"),
            ("GPU", "twice"),
            (&"a".repeat(257), "256"),
        ] {
            assert!(of(bad).contains(says), "{bad:?}: {}", of(bad));
        }
    }

    #[test]
    fn labels_leave_room_for_those_that_the_runner_has_by_itself() {
        let labels = |count: usize| (0..count).map(|number| format!("l{number}")).collect::<Vec<_>>();
        assert!(label_count(&labels(97), true).is_ok() && label_count(&labels(98), true).is_err());
        assert!(label_count(&labels(100), false).is_ok() && label_count(&labels(101), false).is_err());
    }

    #[test]
    fn a_tag_is_one_that_ec2_takes_and_none_of_ours() {
        let earlier = BTreeMap::from([("team".to_owned(), "vision".to_owned())]);
        let says = |key: &str, value: &str| {
            tag(key, value, &earlier).map_err(|wrong| wrong.what).err().unwrap_or_default()
        };
        assert_eq!(says("cost-center", "4711"), "");
        assert_eq!(says(&"k".repeat(128), &"v".repeat(256)), "");
        for (key, value) in [("AWS:foo", "x"), ("aws:foo", "x"), ("CML-runner:deadline", "x")] {
            assert!(says(key, value).contains("not yours"), "{key}");
        }
        assert!(says(&"k".repeat(129), "x").contains("too long"));
        assert!(says("key", &"v".repeat(257)).contains("too long"));
        assert!(says("", "x").contains("no name"));
        assert!(says("a\tb", "x").contains("control") && says("a", "x\ny").contains("control"));
        assert!(says("team", "audio").contains("twice"));
    }

    #[test]
    fn tags_leave_room_for_ours() {
        let tags = |count: usize| {
            (0..count).map(|number| (format!("t{number}"), String::new())).collect::<BTreeMap<_, _>>()
        };
        assert!(tag_count(&tags(43)).is_ok() && tag_count(&tags(44)).is_err());
        let mut named = tags(43);
        named.insert(NAME.to_owned(), "mine".to_owned());
        assert!(tag_count(&named).is_ok(), "a name takes the place of ours");
    }
}
