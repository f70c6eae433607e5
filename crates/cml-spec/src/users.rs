//! Users for machines of `cloud: local`.

use std::collections::HashSet;

use crate::fields::Fields;
use crate::problem::Problems;

/// Maximum number of users of one pool: a computer has no room for as many machines.
const USERS_MAX: usize = 1000;

/// Returns whether this is a valid user name, by the rules of `useradd`; root is refused for machines.
/// <https://man7.org/linux/man-pages/man8/useradd.8.html>
#[must_use]
pub fn is_user_name(name: &str) -> bool {
    let mut all = name.chars();
    let begins = all.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_');
    let is_one = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_' || it == '-';
    begins && all.all(is_one) && name.len() <= 32 && name != "root"
}

/// Reads the users. A machine that shares its user with another one shares everything with it: so each has its own.
pub(crate) fn read(is_local: bool, fields: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<String> {
    let (place, path) = (fields.place("user"), fields.path("user"));
    let names = fields.words("user", "[job-1, job-2]", problems);
    if names.len() > USERS_MAX {
        let what = format!("names {} users, and at most {USERS_MAX} are taken", names.len());
        problems.wrong(place, &path, what, "as many users as machines run at once, such as `[job-1, job-2]`");
        return Vec::new();
    }
    let mut users: Vec<String> = Vec::new();
    let mut known = HashSet::new();
    for (name, place) in names {
        if !is_user_name(name) {
            let what = format!("{name:?} is no name of a user that a machine may run as");
            problems.wrong(place, &path, what, "such as `user: job-1`, made by `useradd --system job-1`");
        } else if known.insert(name) {
            users.push(name.to_owned());
        }
    }
    if fields.node("user").is_none() {
        return users;
    }
    if !is_local {
        let help = "leave it out: there the job has a machine, and a user, of its own";
        problems.doubtful(place, &path, "means nothing but for `cloud: local`", help);
        return Vec::new();
    }
    let max: Option<u32> = fields.number("max", "8", &mut Problems::of(""));
    if let Some(max) = max.filter(|max| u32::try_from(users.len()).is_ok_and(|have| have < *max)) {
        let what = format!("names {} for up to {max} machines at once", users.len());
        problems.wrong(
            place,
            &path,
            what,
            "a user for each machine, such as `user: [job-1, job-2]`, or a smaller `max`",
        );
    }
    users
}
