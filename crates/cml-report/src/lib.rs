//! Reports: storage of their images, content of their comments, and the choice of the comment.
//!
//! Inputs are text and bytes; files, environment and clock are read by the caller. A report's Markdown is never
//! re-rendered: only the targets of its links are replaced, as byte ranges of the original text.
//!
//! Not allowed here: calls to a cloud, printing, and calls to GitHub other than through `cml-github`.

mod ci;
mod comment;
mod error;
mod footer;
mod links;
mod machine;
mod media;
mod ownership;
mod pull;
mod sections;
mod shown;
mod store;
mod target;
mod text;
mod truncate;
mod watermark;

pub use ci::Ci;
pub use comment::{CommentRequest, PostedComment, post};
pub use error::ReportError;
pub use footer::with_footer;
pub use links::{Link, local_links, replaced};
pub use machine::{GpuUse, Machine, gpu_use};
pub use media::Media;
pub use pull::{Change, NewBranch, Opened, open};
pub use shown::{content_refused, place_refused, roots};
pub use store::{
    Artifact, ArtifactError, ArtifactStore, AssetServer, COUNT_LIMIT, Directory, PRUNED_BELOW, Pruned,
    RepositoryStore, TOTAL_LIMIT, markdown, prune,
};
pub use target::Target;
pub use text::{Decoded, decoded};
pub use truncate::{BODY_LIMIT, fit};
pub use watermark::Watermark;
