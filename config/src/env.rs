//! The environment: the only place that reads it.
//!
//! A variable is looked for in this order, and an empty one counts as absent: `NAME` in the process's environment, the
//! file that `NAME_FILE` names there, `NAME` in `.env`, the file that `NAME_FILE` names there.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use secrecy::SecretString;

/// A file of a variable is a secret or an address, not a book.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The variables that this process was given.
#[derive(Clone, Default)]
pub struct Environment {
    /// The first that has a variable decides.
    layers: Vec<BTreeMap<OsString, OsString>>,
    host: Option<String>,
}

/// A variable that cannot be used. No variant holds the value of one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `NAME_FILE` points at a file that cannot be read.
    #[error("{name}_FILE: cannot read {}: {source}", path.display())]
    File {
        /// The variable, without `_FILE`.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `.env` is malformed or cannot be read.
    #[error(".env{0}")]
    DotEnv(String),
    /// The value is not what the variable takes.
    #[error("{name}: {reason}")]
    Invalid {
        /// The variable.
        name: String,
        /// What is wrong and what would be right; never the value of a secret.
        reason: String,
    },
}

/// Whether colours are welcome (<https://no-color.org>).
pub fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Environment {
    /// Reads the process's environment and, under it, the file `.env` in `folder` if there is one.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let mut layers = vec![std::env::vars_os().collect()];
        match std::fs::read_to_string(folder.join(".env")) {
            Ok(text) => layers.push(dotenv(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::DotEnv(format!(" cannot be read: {error}"))),
        }
        Ok(Self { layers, host: host_name() })
    }

    /// Exactly these variables, for tests.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self { layers: vec![pairs.collect()], host: None }
    }

    /// These variables under the ones that are there, as `.env` stands under the process's environment.
    #[must_use]
    pub fn under<'a>(mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.layers.extend(Self::from_pairs(pairs).layers);
        self
    }

    /// A variable, or what `NAME_FILE` points at (without its last line break). An empty one counts as absent.
    pub fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let file = format!("{name}_FILE");
        for layer in &self.layers {
            if let Some(value) = given(layer, name)? {
                return Ok(Some(value));
            }
            if let Some(path) = given(layer, &file)? {
                let value = read_value(Path::new(&path)).map_err(|source| Error::File {
                    name: name.to_owned(),
                    path: path.into(),
                    source,
                })?;
                return Ok(Some(value).filter(|value| !value.is_empty()));
            }
        }
        Ok(None)
    }

    /// A secret, which no log or error will show.
    pub fn secret(&self, name: &str) -> Result<Option<SecretString>, Error> {
        Ok(self.text(name)?.map(SecretString::from))
    }

    /// The machine's name, if it has one; `None` for [`Environment::from_pairs`].
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Names only: a value may be a secret.
        f.debug_set().entries(self.layers.iter().flat_map(BTreeMap::keys)).finish()
    }
}

fn given(layer: &BTreeMap<OsString, OsString>, name: &str) -> Result<Option<String>, Error> {
    let Some(value) = layer.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty()) else { return Ok(None) };
    match value.to_str() {
        Some(value) => Ok(Some(value.to_owned())),
        None => Err(Error::Invalid { name: name.to_owned(), reason: "is not UTF-8 text".to_owned() }),
    }
}

fn read_value(path: &Path) -> io::Result<String> {
    let mut value = String::new();
    let read = File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut value)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    value.truncate(value.trim_end_matches(['\r', '\n']).len());
    Ok(value)
}

fn dotenv(text: &str) -> Result<BTreeMap<OsString, OsString>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let pairs = dotenvy::from_read_iter(text.as_bytes());
    let pairs = pairs.map(|pair| pair.map(|(name, value)| (name.into(), value.into())));
    pairs.collect::<Result<_, _>>().map_err(|error| Error::DotEnv(describe(&error, text)))
}

/// A parse error with the line's number and without its content, which may be a secret.
fn describe(error: &dotenvy::Error, text: &str) -> String {
    let dotenvy::Error::LineParse(bad, _) = error else { return " cannot be read".to_owned() };
    // It is the line or its value; a quote that is never closed takes all that follows with it.
    let bad = bad.lines().next().unwrap_or_default().trim();
    let number = text.lines().position(|line| !bad.is_empty() && line.trim_end().ends_with(bad));
    let place = number.map(|at| format!(":{}", at + 1)).unwrap_or_default();
    format!("{place}: a line is malformed; write NAME=value, with quotes round a value that has blanks")
}

fn host_name() -> Option<String> {
    let name =
        ["/proc/sys/kernel/hostname", "/etc/hostname"].iter().find_map(|file| std::fs::read_to_string(file).ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_variable_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "canary\r\n").unwrap();
        let path = file.to_str().unwrap();
        let environment = Environment::from_pairs([("API_TOKEN", ""), ("API_TOKEN_FILE", path)]);
        assert_eq!(environment.secret("API_TOKEN").unwrap().unwrap().expose_secret(), "canary");

        std::fs::write(&file, "\n").unwrap();
        assert!(environment.secret("API_TOKEN").unwrap().is_none(), "an empty file counts as absent");

        std::fs::remove_file(&file).unwrap();
        let error = environment.secret("API_TOKEN").unwrap_err().to_string();
        assert!(error.starts_with("API_TOKEN_FILE: cannot read ") && error.contains(path), "{error}");

        std::fs::write(&file, "x".repeat(70_000)).unwrap();
        assert!(environment.secret("API_TOKEN").unwrap_err().to_string().contains("larger than"));
    }

    #[test]
    fn the_process_stands_over_dotenv_and_an_empty_variable_is_absent() {
        let process = [("A", "process"), ("B", ""), ("D_FILE", "/proc/sys/kernel/ostype")];
        let environment = Environment::from_pairs(process).under([("A", "dotenv"), ("B", "dotenv"), ("D", "dotenv")]);
        assert_eq!(environment.text("A").unwrap().as_deref(), Some("process"));
        assert_eq!(environment.text("B").unwrap().as_deref(), Some("dotenv"));
        assert_eq!(environment.text("C").unwrap(), None);
        assert_ne!(
            environment.text("D").unwrap().as_deref(),
            Some("dotenv"),
            "a secret file of the process comes first"
        );
    }

    #[test]
    fn dotenv_is_read_from_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "# comment\nGREENROOM_TEST_ONLY=\"from the file\"\n").unwrap();
        let environment = Environment::read(folder.path()).unwrap();
        assert_eq!(environment.text("GREENROOM_TEST_ONLY").unwrap().as_deref(), Some("from the file"));
        assert!(Environment::read(&folder.path().join("nowhere")).is_ok(), "`.env` is optional");
    }

    #[test]
    fn a_malformed_dotenv_is_named_by_line_and_not_shown() {
        for bad in
            ["OK=1\nTOKEN canary secret\n", "OK=1\nTOKEN='canary\n", "OK=1\nTOKEN=canary canary\n", "OK=1\n=canary\n"]
        {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(".env"), bad).unwrap();
            let error = Environment::read(folder.path()).unwrap_err();
            assert!(error.to_string().starts_with(".env:2: a line is malformed"), "{error}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn values_are_not_printed() {
        let environment = Environment::from_pairs([("OPENAI_API_KEY", "canary")]);
        assert_eq!(format!("{environment:?}"), r#"{"OPENAI_API_KEY"}"#);
        assert!(!format!("{:?}", environment.secret("OPENAI_API_KEY")).contains("canary"));
    }
}
