//! What must not be shown: the secrets of a server, taken out of everything that it says.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use secrecy::{ExposeSecret, SecretString};

/// Shorter ones are not looked for: they would be found everywhere.
const SHORTEST: usize = 8;
/// How many tokens that were got meanwhile are remembered: the present one, and those that it replaced.
const TOKENS: usize = 4;
const HIDDEN: &str = "***";
/// The longest reason, in characters.
const LONGEST_REASON: usize = 400;

/// The secrets of one server. Has no `Debug`, because of them.
#[derive(Default)]
pub(super) struct Veil {
    credentials: Vec<SecretString>,
    variables: Vec<SecretString>,
    tokens: Mutex<VecDeque<SecretString>>,
}

impl Veil {
    /// What we say to the server about who we are.
    pub(super) fn credential(&mut self, secret: &SecretString) {
        self.credentials.push(secret.clone());
    }

    /// What a program was given in its environment.
    pub(super) fn variable(&mut self, value: &str) {
        self.variables.push(value.into());
    }

    /// An access token that was got for the server.
    pub(super) fn token(&self, token: &SecretString) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.push_front(token.clone());
        tokens.truncate(TOKENS);
    }

    /// Over what goes into logs, errors and the tree.
    pub(super) fn over_words(&self, text: String) -> String {
        hide(self.over_answer(text), &self.variables)
    }

    /// The same over a reason, which is then cut to a fit length: a piece of a secret would not be found any more.
    pub(super) fn over_reason(&self, reason: String) -> String {
        let reason = self.over_words(reason);
        match reason.char_indices().nth(LONGEST_REASON) {
            Some((end, _)) => format!("{}…", &reason[..end]),
            None => reason,
        }
    }

    /// The length of the longest secret that is looked for, in bytes.
    pub(super) fn longest(&self) -> usize {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.credentials.iter().chain(&self.variables).chain(tokens.iter());
        all.map(|secret| secret.expose_secret().len()).max().unwrap_or_default()
    }

    /// Over what the model is told. What a program was given is left there: most of it is no secret (a folder's path, for
    /// one), and tools speak of it.
    pub(super) fn over_answer(&self, text: String) -> String {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        hide(hide(text, &self.credentials), tokens.iter())
    }
}

fn hide<'a>(mut text: String, secrets: impl IntoIterator<Item = &'a SecretString>) -> String {
    for secret in secrets {
        let secret = secret.expose_secret();
        if secret.len() >= SHORTEST && text.contains(secret) {
            text = text.replace(secret, HIDDEN);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_and_what_a_program_was_given_stays_in_answers() {
        let mut veil = Veil::default();
        veil.credential(&"canary-of-the-key".into());
        veil.credential(&"short".into());
        veil.variable("/data/files");
        veil.token(&"canary-of-the-token".into());
        let text = "short canary-of-the-key canary-of-the-token /data/files/a";
        assert_eq!(veil.over_words(text.to_owned()), "short *** *** ***/a");
        assert_eq!(veil.over_answer(text.to_owned()), "short *** *** /data/files/a");
    }

    #[test]
    fn a_secret_across_the_end_of_a_reason_is_taken_out() {
        let mut veil = Veil::default();
        veil.credential(&"canary-of-the-key".into());
        let reason = veil.over_reason(format!("{}canary-of-the-key", "x".repeat(LONGEST_REASON - 6)));
        assert!(reason.ends_with("x***") && !reason.contains("can"), "{reason}");
        let long = veil.over_reason("é".repeat(LONGEST_REASON + 1));
        assert_eq!((long.chars().count(), long.ends_with("é…")), (LONGEST_REASON + 1, true));
    }
}
