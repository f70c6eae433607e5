//! What can go wrong while rendering.

/// The script could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// It does not fit into a cloud's user data, packed neither.
    #[error(
        "the user data has {packed} bytes after compression ({plain} before), {limit} are the limit; \
         the startup script takes {startup_script} of them"
    )]
    TooLarge {
        /// Bytes before compression.
        plain: usize,
        /// Bytes after compression.
        packed: usize,
        /// Bytes allowed.
        limit: usize,
        /// What the user's own script adds after compression, bytes.
        startup_script: usize,
        /// What to do about it.
        advice: &'static str,
    },
    /// A value holds a NUL byte: no shell can carry it.
    #[error("a value of the user data ({0:?}) holds a NUL byte, which no shell can carry")]
    NulByte(String),
    /// The template names a value that is not given: a fault of this program.
    #[error("the bootstrap template cannot be rendered: {0}")]
    Template(#[from] minijinja::Error),
}
