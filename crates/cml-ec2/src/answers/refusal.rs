//! Refusals of a service, in their three forms.
//! <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization>,
//! <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#operation-error-serialization>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use serde_json::Value;

use super::{VALUE_CHARS, cut, xml};

/// Maximum length of AWS's message, in characters. The longest name the policy, the action and the principal.
const MESSAGE_CHARS: usize = 2_000;

/// Reason of a refusal, as far as the answer contains it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// `ParameterNotFound`: never empty, without namespace or address.
    pub code: Option<String>,
    /// AWS's message.
    pub message: Option<String>,
}

/// Parses the body of a refusal, and the header `x-amzn-errortype` that may name it.
#[must_use]
pub fn read(named: Option<&str>, body: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(body);
    if let Ok(Value::Object(members)) = serde_json::from_str(&text) {
        let member = |names: &[&str]| names.iter().find_map(|name| members.get(*name)?.as_str());
        let code = named.or_else(|| member(&["__type", "code"]));
        return refusal(code, member(&["message", "Message", "errorMessage"]));
    }
    let Ok(document) = xml(&text) else { return refusal(named, None) };
    // `<Error>` alone, or within an `<ErrorResponse>` whose elements have a namespace.
    let text_of = |name: &str| document.descendants().find(|node| node.tag_name().name() == name)?.text();
    refusal(text_of("Code").or(named), text_of("Message"))
}

fn refusal(code: Option<&str>, message: Option<&str>) -> Refusal {
    Refusal {
        code: code.map(plain).filter(|code| !code.is_empty()).map(|code| cut(code, VALUE_CHARS)),
        message: message.map(|words| cut(words, MESSAGE_CHARS)),
    }
}

/// Returns the plain code: `com.amazonaws.ssm#ParameterNotFound:http://…` is `ParameterNotFound`.
fn plain(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or(code);
    code.rsplit('#').next().unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(named: Option<&str>, body: &str) -> (String, String) {
        let refusal = read(named, body.as_bytes());
        (refusal.code.unwrap_or_default(), refusal.message.unwrap_or_default())
    }

    #[test]
    fn each_form_of_a_refusal_is_read() {
        let of = |code: &str, message: &str| (code.to_owned(), message.to_owned());
        let json = r#"{"__type": "com.amazonaws.ssm#ParameterNotFound", "message": "no"}"#;
        assert_eq!(read_as(None, json), of("ParameterNotFound", "no"));
        let json = r#"{"Message": "User is not authorized"}"#;
        assert_eq!(
            read_as(Some("AccessDeniedException:http://internal.amazon.com/x/"), json),
            of("AccessDeniedException", "User is not authorized")
        );
        let query = r#"<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>
            <Code>NoSuchEntity</Code><Message>The role &amp; its path</Message></Error></ErrorResponse>"#;
        assert_eq!(read_as(None, query), of("NoSuchEntity", "The role & its path"));
        let s3 = r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchBucket</Code><Message>no</Message></Error>"#;
        assert_eq!(read_as(None, s3), of("NoSuchBucket", "no"));
    }

    #[test]
    fn an_answer_that_is_none_of_them_has_no_code() {
        for body in [
            "",
            "<html><body>502 Bad Gateway</body>",
            "[1]",
            "\u{0}",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><Code>&b;</Code>",
        ] {
            assert_eq!(read_as(None, body), (String::new(), String::new()), "{body}");
        }
    }

    #[test]
    fn a_code_is_one_word_in_each_form_and_words_have_an_end() {
        for (named, body) in [
            (None, r#"{"__type": "a#Refused:http://x/#y"}"#),
            (Some("a#Refused"), "no words"),
            (None, "<Error><Code>a#Refused:x</Code></Error>"),
        ] {
            assert_eq!(read_as(named, body), ("Refused".to_owned(), String::new()), "{body}");
        }
        assert_eq!(read(Some("#:"), b"{}"), Refusal::default());
        let long = format!(r#"{{"message": "{}"}}"#, "x".repeat(100_000));
        assert_eq!(read_as(None, &long).1.chars().count(), MESSAGE_CHARS + 1);
    }
}
