//! Errors of rendering.

/// Error: the script could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The script does not fit into a cloud's user data, even compressed.
    #[error(
        "the user data has {packed} bytes after compression ({plain} before), {limit} are the limit; \
         the user's own scripts and certificates take {own_part} of them"
    )]
    TooLarge {
        /// Bytes before compression.
        plain: usize,
        /// Bytes after compression.
        packed: usize,
        /// Bytes allowed.
        limit: usize,
        /// Bytes after compression that the user's own part adds.
        own_part: usize,
        /// How to reduce the size.
        advice: &'static str,
    },
    /// A value that must be one line contains a line break or another control character: it would begin a new line
    /// somewhere.
    #[error("{name} of the user data holds a control character (U+{:04X}): take it out", u32::from(*character))]
    ControlCharacter {
        /// The value's name in the template.
        name: String,
        /// The first such character in it.
        character: char,
    },
    /// A value that should be a package's name is none.
    #[error("{0:?} is no name of a package: letters, digits and . + : = ~ _ - only")]
    Package(String),
    /// The template uses a value that is not given: a bug of this program.
    #[error("the bootstrap template cannot be rendered: {0}")]
    Template(#[from] minijinja::Error),
}
