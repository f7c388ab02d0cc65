//! The environment: the only place that reads it. Order: process environment, then `.env`, each also as `NAME_FILE`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use secrecy::SecretString;

/// The variables that this process was given.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
}

/// A variable that cannot be used.
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
        source: std::io::Error,
    },
    /// `.env` is malformed.
    #[error(".env: {0}")]
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

impl Environment {
    /// Reads the process's environment and, under it, the file `.env` in `folder` if there is one.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let mut values = BTreeMap::new();
        let dotenv = folder.join(".env");
        if dotenv.exists() {
            for pair in dotenvy::from_path_iter(&dotenv).map_err(|error| Error::DotEnv(error.to_string()))? {
                let (name, value) = pair.map_err(|error| Error::DotEnv(describe(&error)))?;
                values.insert(name, value);
            }
        }
        values.extend(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        Ok(Self { values })
    }

    /// Exactly these variables, for tests.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self { values: pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    /// A variable, or what `NAME_FILE` points at (without its last line break). An empty one counts as absent.
    pub fn text(&self, name: &str) -> Result<Option<String>, Error> {
        if let Some(value) = self.values.get(name).filter(|value| !value.is_empty()) {
            return Ok(Some(value.clone()));
        }
        let Some(path) = self.values.get(&format!("{name}_FILE")).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        match std::fs::read_to_string(path) {
            Ok(value) => Ok(Some(value.trim_end_matches(['\r', '\n']).to_owned()).filter(|value| !value.is_empty())),
            Err(source) => Err(Error::File { name: name.to_owned(), path: path.into(), source }),
        }
    }

    /// A secret, which no log or error will show.
    pub fn secret(&self, name: &str) -> Result<Option<SecretString>, Error> {
        Ok(self.text(name)?.map(SecretString::from))
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Names only: a value may be a secret.
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// A `.env` parse error without the line's content, which may be a secret.
fn describe(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(_, column) => format!("a line is malformed near column {column}; write NAME=value"),
        other => other.to_string(),
    }
}
