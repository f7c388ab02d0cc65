//! Model servers that speak as the vendors do, built from the vendors' own documents: one script, many wires.
//!
//! - `script`: what a model says and what goes wrong, in no vendor's words
//! - `dialect`: how a vendor says it; one file for each that is known; `frames`: AWS's event streams
//! - `server`: plays scripts on a real socket, writes down what it was asked, and notices who hangs up
//!
//! A provider's behaviour suite (`tests/it/providers`) plays every script in every dialect.

mod anthropic;
mod bedrock;
mod dialect;
mod frames;
mod ollama;
mod openai_chat;
mod openai_responses;
mod script;
mod server;

pub use anthropic::Anthropic;
pub use bedrock::Bedrock;
pub use dialect::{Dialect, Frame, Heard, Refused};
pub use ollama::Ollama;
pub use openai_chat::OpenAiChat;
pub use openai_responses::OpenAiResponses;
pub use script::{Block, Ending, Exchange, Fault, Refusal, Said, Tokens, When};
pub use server::Vendor;
