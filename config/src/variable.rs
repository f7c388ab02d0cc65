//! Every variable that a node reads: the one place where they are documented.

/// A variable of the environment. Each may also be given as `NAME_FILE`, the path of a file that holds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds when it is absent; `None` if nothing does.
    pub default: Option<&'static str>,
    /// Whether its value is shown nowhere.
    pub secret: bool,
    /// What it is for, in a sentence.
    pub purpose: &'static str,
}

macro_rules! variables {
    ($($constant:ident = $name:literal, $default:expr, $secret:literal, $purpose:literal;)+) => {
        $(pub(crate) const $constant: Variable =
            Variable { name: $name, default: $default, secret: $secret, purpose: $purpose };)+

        /// Every variable, in the manual's order. Agents may name others (`api_key_env`, `bearer_env`, `client_id_env`, `client_secret_env`, `env_from`, `headers_from`).
        pub const VARIABLES: &[Variable] = &[$($constant,)+];
    };
}

variables! {
    CONFIG_DIR = "GREENROOM_CONFIG_DIR", Some("config"), false,
        "The folder that holds `agents/`.";
    DATA_DIR = "GREENROOM_DATA_DIR", Some("data"), false,
        "Where an embedded node keeps its database.";
    HTTP_ADDR = "GREENROOM_HTTP_ADDR", Some("127.0.0.1:8080"), false,
        "Where the HTTP API, the page and the Slack door listen. Beyond loopback it needs GREENROOM_API_TOKEN.";
    API_TOKEN = "GREENROOM_API_TOKEN", None, true,
        "The bearer token that callers of the HTTP API must show. Without one only this machine may call.";
    NODE = "GREENROOM_NODE", None, false,
        "The node's name, the same after each start. Absent: `local`, or the machine's name in a cluster.";
    ROLES = "GREENROOM_ROLES", Some("all"), false,
        "What the node does, with commas: `orchestrator`, `scheduler`, `gateway`, `autonomous`, `collaborative`, `continuous`.";
    LOG = "GREENROOM_LOG", Some("info"), false,
        "What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,greenroom_bus=debug`.";
    LOG_FORMAT = "GREENROOM_LOG_FORMAT", Some("auto"), false,
        "`json`, `pretty`, or `auto`: pretty on a terminal, else JSON.";
    SHUTDOWN_GRACE = "GREENROOM_SHUTDOWN_GRACE", Some("30s"), false,
        "How long a stop may take in all; running executions get three quarters of it.";
    RETENTION = "GREENROOM_RETENTION", Some("30d"), false,
        "How long history is kept after its end: executions with their journals, dead letters that were sent again, old versions of agents. `off` keeps it for ever.";
    BUDGET_USD_PER_DAY = "GREENROOM_BUDGET_USD_PER_DAY", None, false,
        "What this node may spend on models in a day (UTC), in US dollars, for example 50. Absent: no limit but the agents' own.";
    QUEUES = "GREENROOM_QUEUES", Some("1000"), false,
        "Up to how many agents each has a queue of its own on RabbitMQ, which costs the broker about 100 KB and a file; if there are more, all share a few. The same on every node.";
    AMQP_URL = "GREENROOM_AMQP_URL", None, true,
        "RabbitMQ, for example amqp://user:password@host:5672. Absent: the embedded bus.";
    DATABASE_URL = "GREENROOM_DATABASE_URL", None, true,
        "PostgreSQL, for example postgres://user:password@host/greenroom. Absent: the embedded database.";
    REDIS_URL = "GREENROOM_REDIS_URL", None, true,
        "Redis, for example redis://:password@host:6379. Absent: no shared cache.";
    SLACK_SIGNING_SECRET = "SLACK_SIGNING_SECRET", None, true,
        "By which requests from Slack are verified. Absent: the Slack door is closed.";
    SLACK_SIGNING_SECRET_OLD = "SLACK_SIGNING_SECRET_OLD", None, true,
        "The signing secret before it: both are good while a change is under way.";
    SLACK_BOT_TOKEN = "SLACK_BOT_TOKEN", None, true,
        "With which Slack's Web API is called: answers in threads, cards with buttons, signs of work.";
    SLACK_BOT_TOKENS = "SLACK_BOT_TOKENS", None, true,
        "The tokens of several workspaces, as in `T0123=xoxb-…,T0456=xoxb-…`; SLACK_BOT_TOKEN is for all others.";
    SLACK_APP_TOKEN = "SLACK_APP_TOKEN", None, true,
        "The app's own token (`xapp-…`): Slack's requests then come by Socket Mode, a connection that the node opens. For a laptop that Slack cannot reach.";
    SLACK_API_URL = "SLACK_API_URL", Some("https://slack.com/api"), false,
        "The base of Slack's Web API; another one is for tests.";
    SLACK_RESPONSE_HOSTS = "GREENROOM_SLACK_RESPONSE_HOSTS", Some("hooks.slack.com"), false,
        "The hosts that answers may be posted to, with commas. One with a port may be plain http, for tests.";
    SLACK_USERS = "GREENROOM_SLACK_USERS", Some("anyone"), false,
        "Who may wake agents from Slack, with commas: `anyone`, `workspace` (no guests of other workspaces), users' ids (`U…`, or `T…:U…` of another workspace).";
    SLACK_APPROVERS = "GREENROOM_SLACK_APPROVERS", Some("asker"), false,
        "Who may answer agents' questions in Slack, with commas: `asker` (who asked the agent), and the words of GREENROOM_SLACK_USERS.";
    SLACK_BOTS = "GREENROOM_SLACK_BOTS", None, false,
        "Bots that are heard, by their ids (`B…`) or their apps' (`A…`), with commas. All others are ignored.";
    SLACK_DIRECT_MESSAGES = "GREENROOM_SLACK_DIRECT_MESSAGES", Some("thread"), false,
        "What of a direct message is one conversation: `thread` (a thread where there is one, else all of it), `whole`, `message` (each message begins one).";
    ANTHROPIC_API_KEY = "ANTHROPIC_API_KEY", None, true,
        "The key for `provider: anthropic`.";
    ANTHROPIC_BASE_URL = "ANTHROPIC_BASE_URL", None, false,
        "Another address than Anthropic's own.";
    OPENAI_API_KEY = "OPENAI_API_KEY", None, true,
        "The key for `provider: openai`.";
    OPENAI_BASE_URL = "OPENAI_BASE_URL", None, false,
        "Another address than OpenAI's own: any server that speaks its chat completions.";
    OLLAMA_HOST = "OLLAMA_HOST", None, false,
        "Where Ollama listens. Absent: 127.0.0.1:11434.";
    OLLAMA_API_KEY = "OLLAMA_API_KEY", None, true,
        "The key for Ollama's cloud, and for a server at OLLAMA_HOST that wants one.";
    AWS_REGION = "AWS_REGION", None, false,
        "The region of Amazon Bedrock.";
    AWS_DEFAULT_REGION = "AWS_DEFAULT_REGION", None, false,
        "The region, where AWS_REGION is absent.";
    AWS_PROFILE = "AWS_PROFILE", None, false,
        "The profile in AWS's own files.";
    AWS_ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID", None, true,
        "The key's name for Amazon Bedrock.";
    AWS_SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY", None, true,
        "The key for Amazon Bedrock.";
    AWS_SESSION_TOKEN = "AWS_SESSION_TOKEN", None, true,
        "The token that belongs to a temporary key.";
    AWS_BEARER_TOKEN_BEDROCK = "AWS_BEARER_TOKEN_BEDROCK", None, true,
        "An API key of Amazon Bedrock, instead of the key pair.";
    AWS_ENDPOINT_URL_BEDROCK_RUNTIME = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", None, false,
        "Another address than Amazon Bedrock's own.";
}
