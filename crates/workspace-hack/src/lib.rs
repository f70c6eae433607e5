//! Nothing: its manifest asks for features.
