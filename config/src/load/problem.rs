//! What is wrong with a file, for a log line and for a terminal.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use greenroom_contract::AgentId;
use miette::{Diagnostic, NamedSource, SourceSpan};

use super::tree::Place;

/// A line longer than this says nothing as an excerpt.
const LONGEST_EXCERPT: usize = 400;

/// Nobody mends more at once, and a file that is something else altogether would drown the log.
pub(super) const MOST_PROBLEMS: usize = 50;

/// One thing that is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// The column, from 1, in characters; 0 when the file as a whole is meant.
    pub column: usize,
    /// The key, as a path such as `limits.timeout` or `tools[0].mcp.url`; empty when no single key is meant.
    pub key: String,
    /// What is wrong: a fragment that reads after the key.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// Where it stands in the text, in bytes, and how long it is.
    pub span: (usize, usize),
}

impl Problem {
    pub(super) fn at(place: Place, key: &str, message: impl Into<String>, help: Option<String>) -> Self {
        let Place { line, column, offset, length } = place;
        Self { line, column, key: key.to_owned(), message: message.into(), help, span: (offset, length) }
    }

    /// A problem of the file as a whole.
    pub(super) fn whole(message: impl Into<String>, help: &str) -> Self {
        let help = (!help.is_empty()).then(|| help.to_owned());
        Self { line: 0, column: 0, key: String::new(), message: message.into(), help, span: (0, 0) }
    }

    /// The key and the message: the problem without its place and its help.
    fn headline(&self) -> String {
        match self.key.as_str() {
            "" => self.message.clone(),
            key => format!("{key}: {}", self.message),
        }
    }
}

/// A file that is not an agent, with every problem that was found in it.
///
/// `Display` gives one line per problem, fit for a log: it quotes nothing of the file but names of keys and words that
/// stand where one of a few words is expected. [`Refused::report`] draws the places for a person.
#[derive(Clone)]
pub struct Refused {
    /// The file.
    pub file: PathBuf,
    /// The agent, if its name could be read.
    pub agent: Option<AgentId>,
    /// What is wrong, in the order of the text. Never empty.
    pub problems: Vec<Problem>,
    /// The text, for excerpts; not in `Debug`, because nobody knows what stands in it.
    source: Arc<str>,
}

impl Refused {
    pub(super) fn new(file: &Path, agent: Option<AgentId>, mut problems: Vec<Problem>, text: &str) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        if problems.len() > MOST_PROBLEMS {
            let rest = problems.split_off(MOST_PROBLEMS).len();
            problems.push(Problem::whole(format!("has {rest} more problems"), ""));
        }
        // Nothing in an excerpt may steer the terminal that it is shown on.
        let harmless = |c: char| if c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t') { '?' } else { c };
        Self { file: file.to_owned(), agent, problems, source: text.chars().map(harmless).collect::<String>().into() }
    }

    /// The problems as a person wants to see them: excerpt, caret, remedy.
    pub fn report(&self) -> miette::Report {
        let source = Arc::new(NamedSource::new(self.file.display().to_string(), self.source.to_string()));
        let mut findings = self.problems.iter().map(|problem| self.finding(problem, &source));
        match (findings.next(), self.problems.len()) {
            (Some(only), 1) => miette::Report::new(only),
            (first, count) => {
                let findings = first.into_iter().chain(findings).collect();
                miette::Report::new(Findings { file: self.file.display().to_string(), count, findings })
            }
        }
    }

    fn finding(&self, problem: &Problem, source: &Arc<NamedSource<String>>) -> Finding {
        let (offset, length) = problem.span;
        let line = self.source.lines().nth(problem.line.saturating_sub(1)).unwrap_or_default();
        let drawable = problem.line > 0 && line.len() <= LONGEST_EXCERPT && !self.source.is_empty();
        Finding {
            message: if drawable { problem.headline() } else { self.line_of(problem) },
            help: problem.help.clone(),
            text: drawable.then(|| Arc::clone(source)),
            label: drawable.then(|| SourceSpan::new(offset.into(), length.max(1))),
            caption: "here",
        }
    }

    /// `file:line:column key: message`.
    fn line_of(&self, problem: &Problem) -> String {
        match problem.line {
            0 => format!("{}: {}", self.file.display(), problem.headline()),
            line => format!("{}:{line}:{} {}", self.file.display(), problem.column, problem.headline()),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{}", self.line_of(problem))?;
            if let Some(help) = &problem.help {
                write!(f, "; {help}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("file", &self.file)
            .field("agent", &self.agent)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Refused {}

/// One problem, drawn.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
struct Finding {
    message: String,
    #[help]
    help: Option<String>,
    #[source_code]
    text: Option<Arc<NamedSource<String>>>,
    #[label("{caption}")]
    label: Option<SourceSpan>,
    caption: &'static str,
}

/// Several problems of one file, drawn.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{file} is refused for {count} problems")]
struct Findings {
    file: String,
    count: usize,
    #[related]
    findings: Vec<Finding>,
}
