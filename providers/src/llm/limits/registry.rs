//! Who shares what: one account for each key at a server, one guard for each model there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use greenroom_config::{KeyLimit, ProviderRules};
use greenroom_contract::tree::Table;

use super::{
    account::{Account, Rules},
    board::Board,
    breaker::BreakerRules,
    guard::Guard,
};

/// Who is asked, and with which key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Whose {
    /// The provider's registry name.
    pub(crate) provider: String,
    /// The server's host and port.
    pub(crate) server: String,
    /// The variable that holds the key; empty where there is none.
    pub(crate) key_name: String,
}

/// The accounts and guards of a node. They live as long as somebody uses them.
pub(crate) struct Limits {
    rules: ProviderRules,
    table: Option<Table>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    accounts: HashMap<Whose, Weak<Account>>,
    guards: HashMap<(Whose, String), Weak<Guard>>,
}

impl Limits {
    /// Limits that keep to these rules and are shown in this table.
    pub(crate) fn new(rules: ProviderRules, table: Option<Table>) -> Self {
        Self { rules, table, known: Mutex::default() }
    }

    /// The guard before `model`: the same for all who ask for the same.
    pub(crate) fn guard(&self, whose: &Whose, model: &str) -> Arc<Guard> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (whose.clone(), model.to_owned());
        if let Some(guard) = known.guards.get(&id).and_then(Weak::upgrade) {
            return guard;
        }
        let account = match known.accounts.get(whose).and_then(Weak::upgrade) {
            Some(account) => account,
            None => {
                let board = Board::enter(self.table.as_ref(), &[&name(whose)], "provider");
                let account = Account::new(&whose.provider, self.limit(whose), board);
                known.accounts.insert(whose.clone(), Arc::downgrade(&account));
                account
            }
        };
        let breaker = &self.rules.breaker;
        let rules = BreakerRules {
            failures: breaker.failures,
            pause: breaker.pause.0,
            longest_pause: breaker.longest_pause.0.max(breaker.pause.0),
        };
        let board = Board::enter(self.table.as_ref(), &[&name(whose), model], "model");
        let guard = Guard::new(account, &whose.provider, model, rules, board);
        known.guards.insert(id, Arc::downgrade(&guard));
        known.guards.retain(|_, guard| guard.strong_count() > 0);
        known.accounts.retain(|_, account| account.strong_count() > 0);
        guard
    }

    /// The first rule that fits.
    fn limit(&self, whose: &Whose) -> Rules {
        let fits = |limit: &&KeyLimit| {
            limit.provider.as_str() == whose.provider
                && limit.api_key_env.as_ref().is_none_or(|name| *name == whose.key_name)
        };
        self.rules.limits.iter().find(fits).map_or_else(Rules::default, |limit| Rules {
            requests_per_minute: limit.requests_per_minute,
            tokens_per_minute: limit.tokens_per_minute,
            longest_wait: limit.longest_wait.0,
            max_waiting: limit.max_waiting as usize,
        })
    }
}

/// The name in the tree.
fn name(whose: &Whose) -> String {
    match whose.key_name.as_str() {
        "" => format!("{}@{}", whose.provider, whose.server),
        key => format!("{}@{} {key}", whose.provider, whose.server),
    }
}
