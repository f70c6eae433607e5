//! The local provider.
