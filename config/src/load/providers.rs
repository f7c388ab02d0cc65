//! Reading `providers.yaml`.

use std::{collections::BTreeSet, fs, io, path::Path};

use garde::Validate;

use super::{LoadError, Problem, Refused, shape, tree};
use crate::{schema, spec::ProviderRules};

/// The file, beside `agents/`.
const FILE: &str = "providers.yaml";

/// Reads `providers.yaml` in the configuration folder; without one the defaults hold. Fails when there is one that cannot
/// be read or makes no sense: a node that does not keep to its limits should not start. Blocks on the file system.
pub fn provider_rules(config_dir: &Path) -> Result<ProviderRules, LoadError> {
    let file = config_dir.join(FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ProviderRules::default()),
        Err(error) => {
            return Err(LoadError::Providers(Refused::new(
                &file,
                None,
                vec![Problem::whole(error.to_string(), "")],
                "",
            )));
        }
    };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(ProviderRules::default());
    }
    read(&text).map_err(|problems| LoadError::Providers(Refused::new(&file, None, problems, &text)))
}

fn read(text: &str) -> Result<ProviderRules, Vec<Problem>> {
    let mut problems = Vec::new();
    let root = match tree::read(text, &mut problems) {
        Ok(root) => root,
        Err(fatal) => {
            problems.push(fatal);
            return Err(problems);
        }
    };
    shape::check(&root, schema::providers(), &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let json = root.to_json("", &BTreeSet::new()).unwrap_or_default();
    let rules: ProviderRules =
        serde_json::from_value(json).map_err(|error| vec![Problem::at(root.place, "", error.to_string(), None)])?;
    rules.validate().map_err(|report| {
        let problem = |path: String, error: &garde::Error| {
            Problem::at(root.nearest(&path).0, &path, format!("is {}", error.message()), None)
        };
        report.iter().map(|(path, error)| problem(path.to_string(), error)).collect::<Vec<_>>()
    })?;
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HumanDuration, spec::Provider};

    fn read(text: &str) -> Result<ProviderRules, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), text).unwrap();
        provider_rules(folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn no_file_and_an_empty_one_are_the_defaults() {
        assert_eq!(provider_rules(tempfile::tempdir().unwrap().path()).unwrap(), ProviderRules::default());
        assert_eq!(read("# nothing yet\n\n").unwrap(), ProviderRules::default());
    }

    #[test]
    fn limits_and_the_breaker_are_read() {
        let rules = read(
            "limits:\n  - {provider: openai, requests_per_minute: 500, tokens_per_minute: 200000}\n\
             breaker: {failures: 5, pause: 30s}\n",
        )
        .unwrap();
        let limit = &rules.limits[0];
        assert_eq!((limit.provider, limit.requests_per_minute), (Provider::Openai, Some(500)));
        assert_eq!((limit.longest_wait, limit.max_waiting), (HumanDuration::from_secs(60), 1000));
        assert_eq!((rules.breaker.failures, rules.breaker.pause), (5, HumanDuration::from_secs(30)));
        assert_eq!(rules.breaker.longest_pause, HumanDuration::from_secs(120));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        for (text, says) in [
            ("limits:\n  - {provider: openai, requests_per_minute: 0}\n", "limits[0].requests_per_minute"),
            ("limits:\n  - {provider: openai, requests: 5}\n", "limits[0].requests"),
            ("limits:\n  - {provider: auto, requests_per_minute: 5}\n", "limits[0].provider"),
            ("limits: 7\n", "limits"),
            ("brake: {}\n", "brake"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains("providers.yaml") && error.contains(says), "{text:?} says {error}");
        }
    }
}
