//! EC2 and S3, where this build has them (the feature `aws`).

#[cfg(not(feature = "aws"))]
mod absent;

#[cfg(not(feature = "aws"))]
pub(crate) use absent::{AwsCloud, AwsSettings, Bucket, SHOWS_WITHIN, absent};
#[cfg(feature = "aws")]
pub(crate) use cml_aws::{AwsCloud, AwsSettings, Bucket, SHOWS_WITHIN};
