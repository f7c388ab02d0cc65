//! "Did you mean …?"

/// The candidate that `word` was most likely meant to be, if one is near enough to be worth naming.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = normal(word);
    let best = candidates
        .into_iter()
        .map(|candidate| (score(&word, &normal(candidate)), candidate))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(score, _)| *score >= 0.6).map(|(_, candidate)| candidate)
}

fn normal(word: &str) -> String {
    word.chars().take(100).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// 1 for the same word, down to 0 for strangers.
fn score(word: &str, candidate: &str) -> f64 {
    let likeness = strsim::normalized_damerau_levenshtein(word, candidate);
    // `mode` for `execution_mode`, `prompts` for `system_prompt`: one of its words was taken for the whole.
    let part = candidate
        .split('_')
        .filter(|part| part.len() > 2)
        .any(|part| strsim::normalized_damerau_levenshtein(word, part) > 0.8);
    if part { likeness.max(0.65) } else { likeness }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 6] = ["name", "agent_type", "execution_mode", "system_prompt", "llm_config", "timeout"];

    #[test]
    fn near_words_are_found_and_strangers_are_not() {
        for (word, meant) in [
            ("timout", "timeout"),
            ("nmae", "name"),
            ("agentType", "agent_type"),
            ("agent-type", "agent_type"),
            ("mode", "execution_mode"),
            ("prompt", "system_prompt"),
            ("llm", "llm_config"),
        ] {
            assert_eq!(closest(word, KEYS), Some(meant), "for {word:?}");
        }
        assert_eq!(closest("colour", KEYS), None);
        assert_eq!(closest("", KEYS), None);
    }
}
