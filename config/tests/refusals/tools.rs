//! Of tools.

use super::assert_said_below_head;

#[test]
fn tools_are_told_apart() {
    assert_said_below_head(
        "tools: [emit_event]\n",
        &["5:9 tools[0]: expected `builtin:` or `mcp:`, found text; write `builtin: emit_event`"],
    );
    assert_said_below_head(
        "tools:\n  - builtin: emit_evnt\n",
        &[
            "6:14 tools[0].builtin: \"emit_evnt\" is none of emit_event, current_time, http_fetch, remember, recall, ask_agent, ask_human; did you mean \"emit_event\"?",
        ],
    );
    assert_said_below_head(
        "tools:\n  - builtin:\n",
        &[
            "6:12 tools[0].builtin: expected one of emit_event, current_time, http_fetch, remember, recall, ask_agent, ask_human; found nothing",
        ],
    );
    assert_said_below_head(
        "tools:\n  - mpc: {}\n",
        &["6:5 tools[0]: has neither `builtin:` nor `mcp:`", "6:5 tools[0].mpc: unknown key; did you mean \"mcp\"?"],
    );
    assert_said_below_head(
        "tools:\n  - command: npx\n",
        &[
            "6:5 tools[0]: has neither `builtin:` nor `mcp:`",
            "6:5 tools[0].command: unknown key; it belongs at `tools[].mcp.command`",
        ],
    );
    assert_said_below_head(
        "tools: [{mcp: {command: a}, builtin: emit_event}]\n",
        &["5:9 tools[0]: has both `builtin:` and `mcp:`"],
    );
    assert_said_below_head("tools: [{mcp: {}}]\n", &["5:10 tools[0].mcp: has neither `command` nor `url`"]);
    assert_said_below_head(
        "tools: [{mcp: {command: a, url: 'https://x'}}]\n",
        &["5:33 tools[0].mcp.url: stands beside `command`"],
    );
    assert_said_below_head(
        "tools: [{mcp: {comand: a, efect: none}}]\n",
        &[
            "5:16 tools[0].mcp.comand: unknown key; did you mean \"command\"?",
            "5:27 tools[0].mcp.efect: unknown key; did you mean \"effect\"?",
        ],
    );
    assert_said_below_head(
        "tools: [{mcp: {url: tools.internal, args: [a], env_from: {A: B}}}]\n",
        &[
            "5:21 tools[0].mcp.url: is not a URL",
            "5:37 tools[0].mcp.args: is for `command`",
            "5:48 tools[0].mcp.env_from: is for `command`",
        ],
    );
    assert_said_below_head(
        "tools: [{mcp: {command: a, auth: {bearer_env: T}}}]\n",
        &["5:28 tools[0].mcp.auth: is for `url`"],
    );
    assert_said_below_head(
        "tools: [{builtin: emit_event}, {builtin: emit_event}]\n",
        &["5:32 tools[1]: stands here twice"],
    );
    assert_said_below_head(
        "tools: [{builtin: http_fetch}]\n",
        &["5:9 tools[0].hosts: is missing; http_fetch needs it"],
    );
    assert_said_below_head(
        "tools: [{builtin: http_fetch, hosts: ['https://docs.rs/']}, {builtin: emit_event, max_bytes: 7}]\n",
        &[
            "5:39 tools[0].hosts[0]: \"https://docs.rs/\" is not a host",
            "5:94 tools[1].max_bytes: is for http_fetch; emit_event has no such key",
        ],
    );
    assert_said_below_head(
        "tools: [{mcp: {url: 'https://x', auth: {}, headers_from: {Authorization: T, X-Key: 'k 1'}}}]\n",
        &[
            "5:34 tools[0].mcp.auth: has neither `bearer_env` nor `oauth`",
            "5:74 tools[0].mcp.headers_from.Authorization: is set by the protocol, or by `auth`",
            "5:84 tools[0].mcp.headers_from.X-Key: is not the name of an environment variable",
        ],
    );
    assert_said_below_head(
        "tools: [{mcp: {url: 'https://x', auth: {oauth: {client_id_env: I, client_secret_env: S, \
         token_url: 'http://id.test/token'}}}}]\n",
        &["5:100 tools[0].mcp.auth.oauth.token_url: would be sent the client's secret unencrypted"],
    );
}

#[test]
fn who_asks_says_whom_and_only_who_asks_waits() {
    assert_said_below_head("tools: [{builtin: ask_agent}]\n", &["5:9 tools[0].agents: is missing; ask_agent needs it"]);
    assert_said_below_head(
        "tools: [{builtin: ask_agent, agents: [x]}]\n",
        &["5:39 tools[0].agents[0]: is the agent itself, which would wait for its own answer"],
    );
    assert_said_below_head(
        "tools: [{builtin: recall, agents: [y], answer_within: 1m}]\n",
        &[
            "5:36 tools[0].agents[0]: is for ask_agent; recall has no such key",
            "5:55 tools[0].answer_within: is for ask_human and ask_agent; recall has no such key",
        ],
    );
}
