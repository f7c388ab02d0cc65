//! The SDK's client, set up.

use std::time::Duration;

use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials, Region, SharedCredentialsProvider, SharedHttpClient,
        StalledStreamProtectionConfig, Token, retry::RetryConfig, timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use secrecy::{ExposeSecret, SecretString};

/// Who we are to AWS.
pub(super) enum Identity {
    /// An API key of Bedrock.
    Bearer(SecretString),
    /// A key pair, with the token that belongs to a temporary one.
    Keys { id: SecretString, secret: SecretString, session: Option<SecretString> },
    /// What AWS's own chain finds: a profile, a role of the machine, the container or the cluster.
    Chain(SharedCredentialsProvider),
}

impl Identity {
    /// What must not be repeated: a server's refusal may.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::Bearer(key) => vec![key.clone()],
            Self::Keys { id, secret, session } => {
                [Some(id), Some(secret), session.as_ref()].into_iter().flatten().cloned().collect()
            }
            Self::Chain(_) => Vec::new(),
        }
    }
}

/// The HTTP client that all of Bedrock's clients share, with the same cryptography as everything else.
pub(super) fn http() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::rustls(CryptoMode::Ring)).build_https()
}

/// A client that makes each call once, and leaves it to us how long it may be silent.
pub(super) fn client(http: SharedHttpClient, identity: &Identity, region: String, endpoint: Option<String>) -> Client {
    let mut config = Config::builder();
    config.set_endpoint_url(endpoint);
    let config = config
        .behavior_version(version())
        .http_client(http)
        .region(Region::new(region))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(Duration::from_secs(10)).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let config = match identity {
        Identity::Bearer(key) => config.bearer_token(Token::new(key.expose_secret().trim(), None)),
        Identity::Keys { id, secret, session } => {
            let session = session.as_ref().map(|token| token.expose_secret().trim().to_owned());
            let (id, secret) = (id.expose_secret().trim(), secret.expose_secret().trim());
            config.credentials_provider(Credentials::new(id, secret, session, None, "greenroom"))
        }
        Identity::Chain(provider) => config.credentials_provider(provider.clone()),
    };
    Client::from_conf(config.build())
}

/// The behaviour that this was written against.
pub(super) fn version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}
