//! Answers of a service, and its refusals in the form of the SDK's own clients.

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ErrorMetadata, ProvideErrorMetadata};
use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;
use cml_ec2::answers::refusal::{self, Refusal};

/// A refusal of the service, with its code and message.
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

/// Returns the body of an answer, or the reason why there is none.
pub(super) fn read(answer: &HttpResponse) -> Result<Vec<u8>, OrchestratorError<Refused>> {
    let body = answer.body().bytes().unwrap_or_default();
    if answer.status().is_success() {
        return Ok(body.to_vec());
    }
    let named = answer.headers().get("x-amzn-errortype");
    let Refusal { code, message } = refusal::read(named, body);
    let mut meta = ErrorMetadata::builder();
    meta = if let Some(code) = code { meta.code(code) } else { meta };
    meta = if let Some(message) = message { meta.message(message) } else { meta };
    Err(OrchestratorError::operation(Refused { meta: meta.build() }))
}
