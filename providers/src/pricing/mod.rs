//! What models cost and what they take, from one data file with a version and a date (`prices.json`).
//!
//! - `table`: the data file, and how a model is found in it
//! - `price`: what so many tokens cost; `rates`: per token, in whole numbers
//! - `capability`: what a model takes and refuses

mod capability;
mod price;
mod rates;
mod table;

pub use capability::{Capabilities, ChatTools, Sampling, Thinking, chat_tools, max_output, sampling};
pub use price::{price, price_by, price_under};
pub use table::{PriceList, deprecated, price_list};
