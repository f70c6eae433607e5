//! Ownership of comments with this program's watermark. A watermark can be copied by anyone who may read the comment,
//! and a team may change the token that it reports with; both are detected by the author of the comment and by the
//! writer named in the watermark.

use cml_github::{Comment, CommentAuthor};

use crate::watermark::Watermark;

/// Ownership of a comment with the watermark; the greater wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ownership {
    /// Of another account that has copied the watermark, or of an outsider: never overwritten.
    Others,
    /// Written with another token than the current one, or by CML: taken over.
    Before,
    /// Written by the current account.
    Ours,
}

/// Returns the ownership of this comment.
pub(crate) fn whose(comment: &Comment, mark: &Watermark, us: &CommentAuthor) -> Ownership {
    if us.wrote(comment) && (comment.is_by_bot() || mark.by.is_empty() || comment.is_by(&mark.by)) {
        return Ownership::Ours;
    }
    if comment.is_by_bot() {
        return Ownership::Before;
    }
    let is_vouched_for = match &mark.by {
        _ if mark.of_cml => true,
        // Neither side is known: the comment is then trusted if its author is a member.
        by if by.is_empty() => *us == CommentAuthor::Unknown,
        by => comment.is_by(by),
    };
    if is_vouched_for && comment.is_of_the_house() { Ownership::Before } else { Ownership::Others }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(login: &str, association: &str) -> Value {
        let kind = if login.ends_with("[bot]") { "Bot" } else { "User" };
        json!({
            "id": 1, "body": "x", "html_url": "https://x", "created_at": "2026-11-25T10:00:00Z",
            "author_association": association, "user": {"type": kind, "login": login},
        })
    }

    fn comment(login: &str, association: &str) -> Comment {
        serde_json::from_value(of(login, association)).expect("a comment")
    }

    fn person(login: &str) -> CommentAuthor {
        CommentAuthor::Person(login.to_owned())
    }

    fn mark(by: &str) -> Watermark {
        Watermark { by: by.to_owned(), ..Watermark::default() }
    }

    #[test]
    fn what_we_wrote_is_ours_and_what_a_bot_wrote_is_taken_over() {
        let bot = comment("github-actions[bot]", "NONE");
        assert_eq!(whose(&bot, &mark(""), &CommentAuthor::Bot(None)), Ownership::Ours);
        assert_eq!(whose(&bot, &mark(""), &person("alice")), Ownership::Before, "another token now");
        assert_eq!(whose(&comment("alice", "MEMBER"), &mark("alice"), &person("Alice")), Ownership::Ours);
        assert_eq!(whose(&bot, &mark("alice"), &CommentAuthor::Bot(None)), Ownership::Ours);
        assert_eq!(whose(&bot, &mark(""), &CommentAuthor::Unknown), Ownership::Before);
        let of_app = |id: u64| {
            let mut json = json!({"performed_via_github_app": {"id": id}});
            for (key, value) in of("x[bot]", "NONE").as_object().into_iter().flatten() {
                json[key] = value.clone();
            }
            serde_json::from_value::<Comment>(json).expect("a comment")
        };
        assert_eq!(whose(&of_app(7), &mark(""), &CommentAuthor::Bot(Some(7))), Ownership::Ours);
        assert_eq!(
            whose(&of_app(8), &mark(""), &CommentAuthor::Bot(Some(7))),
            Ownership::Before,
            "another App's"
        );
    }

    #[test]
    fn a_person_who_reported_before_is_believed_and_one_who_copied_a_mark_is_not() {
        let us = &CommentAuthor::Bot(None);
        assert_eq!(
            whose(&comment("alice", "MEMBER"), &mark("alice"), us),
            Ownership::Before,
            "her token before"
        );
        assert_eq!(whose(&comment("bob", "MEMBER"), &mark("alice"), us), Ownership::Others, "a copy of hers");
        assert_eq!(whose(&comment("bob", "MEMBER"), &mark("alice"), &person("bob")), Ownership::Others);
        assert_eq!(whose(&comment("bob", "MEMBER"), &mark(""), us), Ownership::Others, "a copy of a bot's");
        assert_eq!(whose(&comment("mallory", "NONE"), &mark("mallory"), us), Ownership::Others);
        let of_cml = Watermark { of_cml: true, ..mark("") };
        assert_eq!(whose(&comment("alice", "OWNER"), &of_cml, us), Ownership::Before);
        assert_eq!(whose(&comment("mallory", "NONE"), &of_cml, us), Ownership::Others);
    }

    #[test]
    fn where_our_own_name_is_not_known_the_house_is_believed() {
        assert_eq!(whose(&comment("bob", "MEMBER"), &mark(""), &CommentAuthor::Unknown), Ownership::Before);
        assert_eq!(
            whose(&comment("bob", "MEMBER"), &mark("alice"), &CommentAuthor::Unknown),
            Ownership::Others
        );
        assert_eq!(whose(&comment("mallory", "NONE"), &mark(""), &CommentAuthor::Unknown), Ownership::Others);
    }
}
