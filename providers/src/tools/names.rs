//! What the model calls a tool: unique within the agent, and the same for as long as the set is open.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// The longest name that models' APIs take.
const LONGEST: usize = 64;

/// The names given so far. A name once given stays with its tool even while its server is down, so that a tool of
/// another server never answers to it.
#[derive(Default)]
pub(super) struct Names(Mutex<Given>);

#[derive(Default)]
struct Given {
    by_tool: HashMap<(usize, String), String>,
    by_name: HashMap<String, (usize, String)>,
}

impl Names {
    /// The name of `server`'s tool `own_name`: its own, made fit for models' APIs; with the server's name before it
    /// where that is taken; with a number after it where even that is.
    pub(super) fn name(&self, source: usize, server: &str, own_name: &str) -> String {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tool = (source, own_name.to_owned());
        if let Some(name) = given.by_tool.get(&tool) {
            return name.clone();
        }
        let plain = fit(own_name, LONGEST);
        let name = if given.by_name.contains_key(&plain) {
            let with_server = format!("{server}_{own_name}");
            let numbered = (2..).map(|number: u64| {
                let number = format!("_{number}");
                fit(&with_server, LONGEST - number.len()) + &number
            });
            let longer = std::iter::once(fit(&with_server, LONGEST))
                .chain(numbered)
                .find(|name| !given.by_name.contains_key(name))
                .unwrap_or(plain);
            tracing::info!(
                tool.server = server,
                tool.own_name = own_name,
                tool.name = longer,
                "Two tools have the same name; the later one gets its server's name before its own."
            );
            longer
        } else {
            plain
        };
        given.by_name.insert(name.clone(), tool.clone());
        given.by_tool.insert(tool, name.clone());
        name
    }

    /// The tool that has this name, if one was given it.
    pub(super) fn resolve(&self, name: &str) -> Option<(usize, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_name.get(name).cloned()
    }
}

/// The name in letters that every provider takes, of which the first may not be a number or dash for all of them.
fn fit(name: &str, longest: usize) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut fitted: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if !fitted.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        fitted.insert_str(0, if fitted.is_empty() { "tool" } else { "t_" });
    }
    fitted.truncate(longest);
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_fit_and_stay() {
        let names = Names::default();
        assert_eq!(names.name(1, "files", "read"), "read");
        assert_eq!(names.name(2, "web", "read"), "web_read");
        assert_eq!(names.name(2, "web", "get.page/now"), "get_page_now");
        assert_eq!(names.name(2, "web", "get_page_now"), "web_get_page_now");
        assert_eq!(names.name(3, "web", "read"), "web_read_2");
        assert_eq!(names.name(2, "web", "read"), "web_read", "a second look gives the same name");
        assert_eq!(names.resolve("web_read"), Some((2, "read".to_owned())));
        assert_eq!(names.resolve("get_page_now"), Some((2, "get.page/now".to_owned())));
        assert_eq!(names.resolve("missing"), None);
        assert_eq!(names.name(1, "files", "2_write"), "t_2_write");
        assert_eq!(names.name(1, "files", ""), "tool");
    }

    #[test]
    fn long_names_that_begin_alike_keep_apart() {
        let names = Names::default();
        let long = |end: &str| names.name(1, "files", &("x".repeat(80) + end));
        let all: std::collections::HashSet<String> = ["a", "b", "c", "d"].map(long).into();
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|name| name.len() <= LONGEST), "{all:?}");
        assert_eq!(names.resolve(&long("c")), Some((1, "x".repeat(80) + "c")));
    }
}
