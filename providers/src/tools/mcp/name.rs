//! What a server is called, in messages and before its tools' names where those clash.

/// Programs that run another one, which is what the server is known by.
const RUNNERS: [&str; 12] =
    ["npx", "npm", "bunx", "pnpm", "uvx", "uv", "pipx", "node", "python", "python3", "deno", "docker"];

/// What a program is known by: `npx -y @scope/server-files@1.2 ./data` is `files`.
pub(super) fn of_program(command: &str, args: &[String]) -> String {
    let stem = |path: &str| {
        let last = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let last = last.split('@').next().unwrap_or(last).split(':').next().unwrap_or(last);
        [".exe", ".js", ".mjs", ".ts", ".py", ".sh"]
            .iter()
            .find_map(|end| last.strip_suffix(end))
            .unwrap_or(last)
            .to_owned()
    };
    let program = stem(command);
    let known_by = match RUNNERS.contains(&program.as_str()) {
        true => args.iter().find(|arg| !arg.starts_with('-') && !["run", "exec", "x", "tool"].contains(&arg.as_str())),
        false => None,
    };
    let name = known_by.map(|arg| stem(arg)).filter(|name| !name.is_empty()).unwrap_or(program);
    let short = ["mcp-server-", "server-", "mcp-"].iter().find_map(|start| name.strip_prefix(start)).unwrap_or(&name);
    fit(short)
}

/// What a server at a host is known by.
pub(super) fn of_host(host: Option<&str>) -> String {
    fit(host.unwrap_or("server"))
}

fn fit(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let fitted: String = name.chars().map(|c| if fits(c) { c } else { '_' }).take(32).collect();
    if fitted.is_empty() { "server".to_owned() } else { fitted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_what_it_is() {
        let name = |command: &str, args: &[&str]| {
            of_program(command, &args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(name("npx", &["-y", "@modelcontextprotocol/server-filesystem", "./data"]), "filesystem");
        assert_eq!(name("npx", &["-y", "@acme/tickets@2.1.0"]), "tickets");
        assert_eq!(name("uvx", &["mcp-server-time", "--local-timezone", "UTC"]), "time");
        assert_eq!(name("/usr/bin/python3", &["-u", "tools/weather.py"]), "weather");
        assert_eq!(name("./bin/mcp-github", &["stdio"]), "github");
        assert_eq!(name("node", &[]), "node");
    }
}
