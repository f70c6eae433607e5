//! The Cloud trait on EC2; the only crate that compiles the AWS SDK
