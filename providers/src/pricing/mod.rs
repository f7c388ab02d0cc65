//! What models cost and what they take, from one data file with a version and a date (`prices.json`).
//!
//! - `table`: the data file, and how a model is found in it
//! - `price`: what so many tokens cost
//! - `capability`: what a model refuses

mod capability;
mod price;
mod table;

pub use capability::{ChatTools, Sampling, chat_tools, max_output, sampling};
pub use price::price;
pub use table::{PriceList, price_list};
