//! The Cloud trait, its words and error kinds, and the local provider
