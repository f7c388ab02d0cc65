//! From variables to [`NodeConfig`].

use std::{net::SocketAddr, str::FromStr, time::Duration};

use greenroom_contract::NodeId;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Aws, Cluster, Credentials, Http, Log, LogFormat, NodeConfig, Providers, Slack, slack};
use crate::{
    HumanDuration,
    address::{check_host, check_http_url},
    env::{Environment, Error},
    role::{Roles, UnknownRole},
    variable::{self as var, Variable},
};

impl NodeConfig {
    /// Reads and checks every variable of [`crate::VARIABLES`]. Fails at the first that cannot be used, and says what
    /// would be right.
    pub fn from_env(environment: &Environment) -> Result<Self, Error> {
        Reader::new(environment).node()
    }
}

/// Reads variables, each through its entry in the manual.
struct Reader<'a> {
    environment: &'a Environment,
    #[cfg(test)]
    read: std::cell::RefCell<std::collections::BTreeSet<&'static str>>,
}

impl<'a> Reader<'a> {
    fn new(environment: &'a Environment) -> Self {
        Self {
            environment,
            #[cfg(test)]
            read: Default::default(),
        }
    }

    fn node(&self) -> Result<NodeConfig, Error> {
        let cluster = Cluster {
            amqp_url: self.server(var::AMQP_URL, &["amqp", "amqps"])?,
            database_url: self.server(var::DATABASE_URL, &["postgres", "postgresql"])?,
            redis_url: self.server(var::REDIS_URL, &["redis", "rediss"])?,
        };
        Ok(NodeConfig {
            node: self.name(&cluster)?,
            roles: self.roles()?,
            config_dir: self.or_default(var::CONFIG_DIR)?.into(),
            data_dir: self.or_default(var::DATA_DIR)?.into(),
            http: self.http()?,
            log: Log { filter: self.or_default(var::LOG)?, format: self.log_format()? },
            shutdown_grace: self.duration(var::SHUTDOWN_GRACE)?,
            retention: self.retention()?,
            slack: self.slack()?,
            providers: self.providers()?,
            budget_usd_per_day: self.dollars(var::BUDGET_USD_PER_DAY)?,
            queues: self.count(var::QUEUES)?,
            cluster,
        })
    }

    fn http(&self) -> Result<Http, Error> {
        let text = self.or_default(var::HTTP_ADDR)?;
        let addr: SocketAddr = text.parse().map_err(|_| {
            let reason =
                format!("{text:?} is not an address with a port; write for example 127.0.0.1:8080 or 0.0.0.0:8080");
            invalid(var::HTTP_ADDR, reason)
        })?;
        let token = self.secret(var::API_TOKEN)?;
        if token.as_ref().is_some_and(|token| !token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic())) {
            let reason =
                "holds a blank or a character that no HTTP header can carry; use letters, digits and punctuation";
            return Err(invalid(var::API_TOKEN, reason));
        }
        if !addr.ip().is_loopback() && token.is_none() {
            let reason = format!(
                "{addr} can be reached from other machines, and without a token anybody there may command the agents; \
                 set GREENROOM_API_TOKEN, or listen on 127.0.0.1:{}",
                addr.port()
            );
            return Err(invalid(var::HTTP_ADDR, reason));
        }
        Ok(Http { addr, token })
    }

    fn log_format(&self) -> Result<LogFormat, Error> {
        let text = self.or_default(var::LOG_FORMAT)?;
        match text.as_str() {
            "auto" => Ok(LogFormat::Auto),
            "json" => Ok(LogFormat::Json),
            "pretty" => Ok(LogFormat::Pretty),
            _ => Err(invalid(var::LOG_FORMAT, format!("{text:?} is none of auto, json, pretty"))),
        }
    }

    /// Alone, a node is always `local`, even in a container whose host name is another after each start.
    fn name(&self, cluster: &Cluster) -> Result<NodeId, Error> {
        let alone = cluster.amqp_url.is_none() && cluster.database_url.is_none();
        let host = self.environment.host().filter(|_| !alone);
        let name = match self.text(var::NODE)? {
            Some(name) => name,
            None => return Ok(NodeId::new(host.unwrap_or("local"))),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.len() > 63 || !name.chars().all(plain) {
            return Err(invalid(
                var::NODE,
                format!("{name:?} is not a name of at most 63 letters, digits, `-`, `_` and `.`"),
            ));
        }
        Ok(NodeId::new(&name))
    }

    fn roles(&self) -> Result<Roles, Error> {
        let text = self.or_default(var::ROLES)?;
        text.parse().map_err(|error: UnknownRole| invalid(var::ROLES, error.to_string()))
    }

    fn slack(&self) -> Result<Slack, Error> {
        let hosts = self.or_default(var::SLACK_RESPONSE_HOSTS)?;
        let hosts: Vec<_> =
            hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect();
        for host in &hosts {
            check_host(host).map_err(|fault| invalid(var::SLACK_RESPONSE_HOSTS, fault))?;
        }
        let tokens = self.text(var::SLACK_BOT_TOKENS)?.unwrap_or_default();
        let bots = self.text(var::SLACK_BOTS)?.unwrap_or_default();
        let bots: Vec<_> = bots.split(',').map(str::trim).filter(|bot| !bot.is_empty()).map(str::to_owned).collect();
        if let Some(bot) = bots.iter().find(|bot| !slack::is_id(bot, &['B', 'A'])) {
            return Err(invalid(var::SLACK_BOTS, format!("{bot:?} is neither a bot's id (B…) nor an app's (A…)")));
        }
        Ok(Slack {
            signing_secret: self.secret(var::SLACK_SIGNING_SECRET)?,
            signing_secret_old: self.secret(var::SLACK_SIGNING_SECRET_OLD)?,
            bot_token: self.secret(var::SLACK_BOT_TOKEN)?,
            bot_tokens: slack::tokens(&tokens).map_err(|fault| invalid(var::SLACK_BOT_TOKENS, fault))?,
            app_token: self.secret(var::SLACK_APP_TOKEN)?,
            api_url: self.http_url(var::SLACK_API_URL)?.unwrap_or_default(),
            response_hosts: hosts,
            users: self.word(var::SLACK_USERS)?,
            approvers: self.word(var::SLACK_APPROVERS)?,
            bots,
            direct_messages: self.word(var::SLACK_DIRECT_MESSAGES)?,
        })
    }

    /// A value that reads itself and says what would be right.
    fn word<T: FromStr<Err = String>>(&self, variable: Variable) -> Result<T, Error> {
        self.or_default(variable)?.parse().map_err(|fault: String| invalid(variable, fault))
    }

    fn providers(&self) -> Result<Providers, Error> {
        let region = self.text(var::AWS_REGION)?;
        let default_region = self.text(var::AWS_DEFAULT_REGION)?;
        Ok(Providers {
            anthropic: Credentials {
                api_key: self.secret(var::ANTHROPIC_API_KEY)?,
                base_url: self.http_url(var::ANTHROPIC_BASE_URL)?,
            },
            openai: Credentials {
                api_key: self.secret(var::OPENAI_API_KEY)?,
                base_url: self.http_url(var::OPENAI_BASE_URL)?,
            },
            ollama_host: self.text(var::OLLAMA_HOST)?,
            ollama_api_key: self.secret(var::OLLAMA_API_KEY)?,
            aws: Aws {
                region: region.or(default_region),
                profile: self.text(var::AWS_PROFILE)?,
                access_key_id: self.secret(var::AWS_ACCESS_KEY_ID)?,
                secret_access_key: self.secret(var::AWS_SECRET_ACCESS_KEY)?,
                session_token: self.secret(var::AWS_SESSION_TOKEN)?,
                bearer_token: self.secret(var::AWS_BEARER_TOKEN_BEDROCK)?,
                endpoint_url: self.http_url(var::AWS_ENDPOINT_URL_BEDROCK_RUNTIME)?,
            },
        })
    }

    fn text(&self, variable: Variable) -> Result<Option<String>, Error> {
        #[cfg(test)]
        self.read.borrow_mut().insert(variable.name);
        self.environment.text(variable.name)
    }

    fn or_default(&self, variable: Variable) -> Result<String, Error> {
        let default = variable.default.unwrap_or_default();
        Ok(self.text(variable)?.unwrap_or_else(|| default.to_owned()))
    }

    fn secret(&self, variable: Variable) -> Result<Option<SecretString>, Error> {
        Ok(self.text(variable)?.map(SecretString::from))
    }

    fn duration(&self, variable: Variable) -> Result<Duration, Error> {
        let text = self.or_default(variable)?;
        let duration: HumanDuration = text.parse().map_err(|error| invalid(variable, format!("{error}")))?;
        Ok(duration.0)
    }

    fn retention(&self) -> Result<Option<Duration>, Error> {
        if self.or_default(var::RETENTION)? == "off" {
            return Ok(None);
        }
        let retention = self.duration(var::RETENTION)?;
        if retention.is_zero() {
            let reason = "would delete what has just ended; write how long it is kept, such as 30d, or off for ever";
            return Err(invalid(var::RETENTION, reason));
        }
        Ok(Some(retention))
    }

    fn count(&self, variable: Variable) -> Result<usize, Error> {
        let text = self.or_default(variable)?;
        text.parse().map_err(|_| invalid(variable, format!("{text:?} is no number; write for example 1000, or 0")))
    }

    fn dollars(&self, variable: Variable) -> Result<Option<f64>, Error> {
        let Some(text) = self.text(variable)? else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(dollars) if dollars > 0.0 && dollars.is_finite() => Ok(Some(dollars)),
            _ => Err(invalid(variable, format!("{text:?} is no amount in dollars above 0, for example 50 or 2.50"))),
        }
    }

    fn http_url(&self, variable: Variable) -> Result<Option<String>, Error> {
        let default = variable.default.map(str::to_owned);
        let Some(url) = self.text(variable)?.or(default) else { return Ok(None) };
        check_http_url(&url).map_err(|fault| invalid(variable, fault))?;
        Ok(Some(url.trim_end_matches('/').to_owned()))
    }

    /// The address of a server, which holds a password: only its scheme is ever named.
    fn server(&self, variable: Variable, schemes: &[&str]) -> Result<Option<SecretString>, Error> {
        let Some(text) = self.text(variable)? else { return Ok(None) };
        let url = Url::parse(&text).map_err(|error| invalid(variable, format!("is not a URL: {error}")))?;
        if !schemes.contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
            return Err(invalid(variable, format!("must look like {}://user:password@host", schemes[0])));
        }
        Ok(Some(text.into()))
    }
}

fn invalid(variable: Variable, reason: impl Into<String>) -> Error {
    Error::Invalid { name: variable.name.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::VARIABLES;

    fn node(pairs: &[(&str, &str)]) -> Result<NodeConfig, Error> {
        NodeConfig::from_env(&Environment::from_pairs(pairs.iter().copied()))
    }

    #[test]
    fn nothing_set_is_an_embedded_node_on_loopback() {
        let node = node(&[]).unwrap();
        assert_eq!(node.http.addr.to_string(), "127.0.0.1:8080");
        assert_eq!((node.config_dir.to_str(), node.data_dir.to_str()), (Some("config"), Some("data")));
        assert_eq!(node.shutdown_grace, Duration::from_secs(30));
        assert_eq!(node.retention, Some(Duration::from_hours(30 * 24)));
        assert_eq!(node.log, Log { filter: "info".into(), format: LogFormat::Auto });
        assert_eq!(node.node.as_str(), "local");
        assert_eq!(node.slack.api_url, "https://slack.com/api");
        assert_eq!(node.slack.response_hosts, ["hooks.slack.com"]);
        assert!(node.http.token.is_none() && node.cluster.amqp_url.is_none());
    }

    #[test]
    fn every_variable_of_the_manual_is_read_and_no_other() {
        let environment = Environment::default();
        let reader = Reader::new(&environment);
        reader.node().unwrap();
        let listed: BTreeSet<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        assert_eq!(reader.read.into_inner(), listed);
        assert_eq!(listed.len(), VARIABLES.len(), "a variable is listed twice");
        assert!(VARIABLES.iter().all(|variable| variable.purpose.ends_with('.')));
    }

    #[test]
    fn beyond_loopback_a_token_is_required() {
        let error = node(&[("GREENROOM_HTTP_ADDR", "0.0.0.0:9000")]).unwrap_err().to_string();
        assert!(error.starts_with("GREENROOM_HTTP_ADDR: 0.0.0.0:9000 can be reached from other machines"), "{error}");
        assert!(error.ends_with("set GREENROOM_API_TOKEN, or listen on 127.0.0.1:9000"), "{error}");
        assert!(node(&[("GREENROOM_HTTP_ADDR", "0.0.0.0:9000"), ("GREENROOM_API_TOKEN", "t0ken")]).is_ok());
        assert!(node(&[("GREENROOM_HTTP_ADDR", "[::1]:9000")]).is_ok());
        // An empty token is none.
        assert!(node(&[("GREENROOM_HTTP_ADDR", "[::]:9000"), ("GREENROOM_API_TOKEN", "")]).is_err());
    }

    #[test]
    fn wrong_values_name_the_variable_and_what_would_be_right() {
        for (name, value, says) in [
            ("GREENROOM_HTTP_ADDR", "8080", "write for example 127.0.0.1:8080"),
            ("GREENROOM_LOG_FORMAT", "xml", "none of auto, json, pretty"),
            ("GREENROOM_SHUTDOWN_GRACE", "30", "30s"),
            ("GREENROOM_RETENTION", "0s", "off for ever"),
            ("GREENROOM_RETENTION", "month", "30s, 10m, 2h, 1d"),
            ("GREENROOM_BUDGET_USD_PER_DAY", "$5", "for example 50"),
            ("GREENROOM_BUDGET_USD_PER_DAY", "0", "above 0"),
            ("GREENROOM_QUEUES", "-1", "is no number"),
            ("GREENROOM_NODE", "a b", "not a name"),
            ("GREENROOM_ROLES", "worker", "is no role"),
            ("GREENROOM_API_TOKEN", "two words", "blank"),
            ("GREENROOM_AMQP_URL", "http://host", "amqp://user:password@host"),
            ("GREENROOM_DATABASE_URL", "nonsense", "is not a URL"),
            ("GREENROOM_REDIS_URL", "redis://", "redis://user:password@host"),
            ("OPENAI_BASE_URL", "api.example.com/v1", "is not a URL"),
            ("SLACK_API_URL", "ftp://slack.com", "http"),
            ("SLACK_BOT_TOKENS", "xoxb-1", "T0123=xoxb-"),
            ("GREENROOM_SLACK_APPROVERS", "ada", "T…:U…"),
            ("GREENROOM_SLACK_USERS", "U1,everyone", "workspace"),
            ("GREENROOM_SLACK_BOTS", "U1", "B…"),
            ("GREENROOM_SLACK_DIRECT_MESSAGES", "channel", "thread, whole, message"),
            ("GREENROOM_SLACK_RESPONSE_HOSTS", "hooks.slack.com,https://x", "hooks.slack.com or 127.0.0.1:9999"),
        ] {
            let error = node(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name}: ")) && error.contains(says), "{name}={value} says {error:?}");
        }
    }

    #[test]
    fn no_secret_is_shown_by_debug_or_by_an_error() {
        let good = VARIABLES.iter().filter(|variable| variable.secret).map(|variable| match variable.name {
            "GREENROOM_AMQP_URL" => (variable.name, "amqp://me:canary@host"),
            "GREENROOM_DATABASE_URL" => (variable.name, "postgres://me:canary@host/db"),
            "GREENROOM_REDIS_URL" => (variable.name, "redis://:canary@host"),
            "SLACK_BOT_TOKENS" => (variable.name, "T1=canary"),
            name => (name, "canary"),
        });
        let shown = format!("{:?}", node(&good.collect::<Vec<_>>()).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
        for name in ["GREENROOM_AMQP_URL", "GREENROOM_DATABASE_URL", "GREENROOM_REDIS_URL", "GREENROOM_API_TOKEN"] {
            for bad in ["canary canary", "me:canary@host", "ftp://me:canary@host", "amqp://me:canary@host:port"] {
                if let Err(error) = node(&[(name, bad)]) {
                    assert!(!format!("{error} {error:?}").contains("canary"), "{name}: {error:?}");
                }
            }
        }
        let error = node(&[("OPENAI_BASE_URL", "https://me:canary@host/v1")]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }

    #[test]
    fn any_variable_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for variable in VARIABLES.iter().filter(|variable| variable.secret && !variable.name.ends_with("_URL")) {
            let file = folder.path().join(variable.name);
            let value = if variable.name == "SLACK_BOT_TOKENS" { "T1=from-a-file" } else { "from-a-file" };
            std::fs::write(&file, format!("{value}\n")).unwrap();
            let name = format!("{}_FILE", variable.name);
            let environment = Environment::from_pairs([(name.as_str(), file.to_str().unwrap())]);
            let reader = Reader::new(&environment);
            reader.node().unwrap();
            assert_eq!(reader.secret(*variable).unwrap().unwrap().expose_secret(), value);
        }
    }
}
