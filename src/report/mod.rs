//! What people read, from records and statistics alone: pure functions, no system calls.

mod heatmap;
mod summary;
mod table;

pub use heatmap::{Heatmap, heatmap};
pub use summary::{Summary, summarize};
pub use table::{group_table, notes};
