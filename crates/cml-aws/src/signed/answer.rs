//! What a service answers when it refuses, in its three forms.
//! <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization>,
//! <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#operation-error-serialization>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ErrorMetadata, ProvideErrorMetadata};
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;
use serde_json::Value;

/// The service refused; its code and words.
#[derive(Debug, thiserror::Error)]
#[error("{meta}")]
pub(crate) struct Refused {
    meta: ErrorMetadata,
}

impl ProvideErrorMetadata for Refused {
    fn meta(&self) -> &ErrorMetadata {
        &self.meta
    }
}

/// The body of an answer, or why there is none.
pub(super) fn read(answer: &HttpResponse) -> Result<Vec<u8>, OrchestratorError<Refused>> {
    let body = answer.body().bytes().unwrap_or_default();
    if answer.status().is_success() {
        return Ok(body.to_vec());
    }
    let named = answer.headers().get("x-amzn-errortype");
    let (code, message) = refusal(named, body);
    let mut meta = ErrorMetadata::builder();
    meta = if let Some(code) = code { meta.code(code) } else { meta };
    meta = if let Some(message) = message { meta.message(message) } else { meta };
    Err(OrchestratorError::operation(Refused { meta: meta.build() }))
}

/// Code and message of an error, as far as the answer has them.
fn refusal(named: Option<&str>, body: &[u8]) -> (Option<String>, Option<String>) {
    let text = String::from_utf8_lossy(body);
    if let Ok(Value::Object(members)) = serde_json::from_str(&text) {
        let member =
            |names: &[&str]| names.iter().find_map(|name| members.get(*name)?.as_str()).map(str::to_owned);
        let code = named.map(str::to_owned).or_else(|| member(&["__type", "code"]));
        return (code.map(|code| plain(&code)), member(&["message", "Message", "errorMessage"]));
    }
    let code = named.map(plain);
    let Ok(document) = roxmltree::Document::parse(&text) else { return (code, None) };
    // `<Error>` alone, or within an `<ErrorResponse>` whose elements have a namespace.
    let text_of = |name: &str| {
        let found = document.descendants().find(|node| node.tag_name().name() == name)?;
        found.text().map(str::to_owned)
    };
    (text_of("Code").or(code), text_of("Message"))
}

/// `com.amazonaws.ssm#ParameterNotFound:http://…` is `ParameterNotFound`.
fn plain(code: &str) -> String {
    let code = code.split(':').next().unwrap_or(code);
    code.rsplit('#').next().unwrap_or(code).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(named: Option<&str>, body: &str) -> (String, String) {
        let (code, message) = refusal(named, body.as_bytes());
        (code.unwrap_or_default(), message.unwrap_or_default())
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
}
