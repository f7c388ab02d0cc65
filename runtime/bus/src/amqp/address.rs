//! Where the broker is. The password is in here and comes out only towards the broker.

use greenroom_contract::port::bus::Error;
use lapin::uri::AMQPUri;

pub(super) struct Address {
    uri: AMQPUri,
}

impl Address {
    /// Reads `amqp://user:password@host:port/vhost` or `amqps://…`. The refusal names the rule and nothing of the URL.
    pub(super) fn parse(url: &str, heartbeat_seconds: u16) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::Unavailable { reason: format!("the AMQP URL {reason}") };
        let rest = url
            .strip_prefix("amqp://")
            .or_else(|| url.strip_prefix("amqps://"))
            .ok_or_else(|| refuse("must begin with amqp:// or amqps://"))?;
        if rest.is_empty() {
            return Err(refuse("names no host"));
        }
        let mut uri: AMQPUri = url.parse().map_err(|_: String| {
            refuse("cannot be read; special characters of the password must be percent-encoded, the port is a number")
        })?;
        // The parser knows IPv4 and names only, and would quietly go to localhost.
        if let Some(host) = ipv6(rest) {
            uri.authority.host = host;
        }
        if uri.vhost.is_empty() {
            uri.vhost = "/".to_owned();
        }
        uri.query.heartbeat = Some(uri.query.heartbeat.unwrap_or(heartbeat_seconds));
        Ok(Self { uri })
    }

    /// For the client only.
    pub(super) fn uri(&self) -> AMQPUri {
        self.uri.clone()
    }

    /// For logs and reasons.
    pub(super) fn shown(&self) -> String {
        let authority = &self.uri.authority;
        format!("{}:{}", authority.host, authority.port)
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Address").field(&self.shown()).finish()
    }
}

fn ipv6(rest: &str) -> Option<String> {
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit('@').next()?.strip_prefix('[')?;
    Some(host.split(']').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let address = Address::parse("amqp://user:s3cret@broker:5673/v", 5).unwrap();
        assert_eq!(address.shown(), "broker:5673");
        assert!(!format!("{address:?}").contains("s3cret"));
        assert_eq!(address.uri().authority.userinfo.password, "s3cret");
        for bad in ["http://user:s3cret@host", "amqp://user:s3cret@host:port", "amqp:s3cret", "amqp://", "s3cret"] {
            let refused = Address::parse(bad, 5).unwrap_err().to_string();
            assert!(refused.contains("the AMQP URL") && !refused.contains("s3cret"), "{refused}");
        }
    }

    #[test]
    fn what_is_left_out_has_its_usual_meaning() {
        let address = Address::parse("amqps://broker", 7).unwrap().uri();
        assert_eq!((address.authority.port, address.vhost.as_str(), address.query.heartbeat), (5671, "/", Some(7)));
        assert_eq!(Address::parse("amqp://broker/?heartbeat=2", 7).unwrap().uri().query.heartbeat, Some(2));
        assert_eq!(Address::parse("amqp://broker/", 7).unwrap().uri().vhost, "/");
        assert_eq!(Address::parse("amqp://u:p@[::1]:5679/x", 7).unwrap().shown(), "::1:5679");
    }
}
