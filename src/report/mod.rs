//! What people read, from records and statistics alone: pure functions, no system calls.

mod counters;
mod heatmap;
mod rounds_table;
mod summary;
mod table;

pub use counters::counter_tables;
pub use heatmap::{Heatmap, heatmap};
pub use rounds_table::rounds_table;
pub use summary::{Summary, summarize};
pub use table::{group_table, notes};
