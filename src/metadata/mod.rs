//! IdPs' metadata that can change while samlgate runs: fetched from a URL or read from a file, verified, kept, and read again
//! before it is stale. Off the hot path: what was read is put into [`crate::login::Login`], and nobody waits for it.

pub mod board;
mod changes;
mod kept;
mod schedule;
pub mod source;
pub mod watched;

pub use board::Board;
pub use changes::warn_of_ends;
pub use kept::Kept;
pub use source::{MetadataUrl, Place, Source, Template, Unusable, look};
pub use watched::{Watched, WatchedParts};
