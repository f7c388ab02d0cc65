//! Why a node did not start, in words that name the place and the remedy.

/// A node that did not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A variable cannot be used.
    #[error("{0}")]
    Environment(#[from] greenroom_config::env::Error),
    /// The configuration folder cannot be read.
    #[error("{0}")]
    Config(#[from] greenroom_config::LoadError),
    /// The database cannot be opened.
    #[error("{0}")]
    Database(#[from] greenroom_sqlite::Error),
    /// The bus did not start.
    #[error("the bus did not start: {0}")]
    Bus(#[from] greenroom_contract::port::bus::Error),
    /// The store did not answer.
    #[error("the store did not start: {0}")]
    State(#[from] greenroom_contract::port::state::Error),
    /// The address cannot be bound.
    #[error(
        "cannot listen on {addr}: {source}; is another greenroom running? set GREENROOM_HTTP_ADDR to another address"
    )]
    Listen {
        /// The address.
        addr: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Settings that make no sense together.
    #[error("{0}")]
    Combination(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}
