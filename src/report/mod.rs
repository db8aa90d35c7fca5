//! What people read, from records and statistics alone: pure functions, no system calls.

mod rounds_table;
mod summary;
mod table;

pub use rounds_table::rounds_table;
pub use summary::{Summary, summarize};
pub use table::{group_table, notes};
