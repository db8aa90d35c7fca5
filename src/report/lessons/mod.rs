//! Lessons: pages whose figures, pictures, code and claims follow from records and from the files of this repository.
//!
//! A lesson is a page (`docs/lessons/01-pinning.md`) and beside it what the page asks of its records
//! (`01-pinning.toml`, a [`Lesson`]). The page holds marks, which are comments and which a forge does not show:
//!
//! - `<!--= time threads -->15.4 µs<!--/-->` is a figure. What stands between the marks is replaced.
//! - `<!--? threads > pinned -->` behind a sentence is what the record must say for the sentence to be true.
//! - `<!-- lesson:picture -->` … `<!-- /lesson:picture -->` holds the picture. What stands in such a block is replaced
//!   as well: `status`, `questions`, `verdict NAME` (a sentence chosen by the record), `code FILE "FIRST LINE"`. Only
//!   that in `sentence`, the one for speakers, is written by hand.
//!
//! [`spliced`] fills a page, [`claims`] judges it, [`site`] makes HTML of it, [`beside`] adds a reader's own record.

mod claim;
mod evidence;
mod expression;
mod marks;
mod picture;
mod questions;
mod quotation;
mod site;
mod source;
mod yours;

pub use claim::{ClaimVerdict, JudgedClaim, claims};
pub use evidence::Evidence;
pub use marks::{Spliced, spliced};
pub use picture::picture;
pub use questions::{AskedQuestion, questions};
pub use site::{SPEAKERS, site, speakers};
pub use source::{Lesson, LessonError, RecordSource};
pub use yours::{beside, outcome};

/// What stands where a figure's record does not exist yet.
const NOT_MEASURED: &str = "not measured yet";

/// The folder of pictures beside the pages.
const PICTURES: &str = "pictures";
