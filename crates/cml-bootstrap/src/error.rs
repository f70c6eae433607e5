//! What can go wrong while rendering.

/// The script could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// It does not fit into a cloud's user data, packed neither.
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
        /// What the user's own part adds after compression, bytes.
        own_part: usize,
        /// What to do about it.
        advice: &'static str,
    },
    /// A value that is one line holds a line break or another control character: it would begin a line of its own somewhere.
    #[error("{name} of the user data holds a control character (U+{:04X}): take it out", u32::from(*character))]
    ControlCharacter {
        /// The value's name in the template.
        name: String,
        /// The first one in it.
        character: char,
    },
    /// What should be a package's name is none.
    #[error("{0:?} is no name of a package: letters, digits and . + : = ~ _ - only")]
    Package(String),
    /// The template names a value that is not given: a fault of this program.
    #[error("the bootstrap template cannot be rendered: {0}")]
    Template(#[from] minijinja::Error),
}
