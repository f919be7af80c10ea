//! The end of a registered policy module: only when no key's policy is decided by it.

use super::module_records;
use super::modules::KnownModule;
use super::store::{KeyStore, StoreFault};
use crate::guardrail::Guardrail;
use thiserror::Error;

/// Keys that are looked at before others get their turn.
const PAGE: usize = 256;

/// Keys that are named as users of a module.
const NAMED: usize = 10;

impl KeyStore {
    /// Deletes a registered module and its compiled code.
    ///
    /// Looks at every key of every Region: what is not in memory costs one question to the host each.
    pub(crate) async fn delete_module(&self, name: &str) -> Result<KnownModule, DeleteModuleError> {
        let _alone = self.modules.alone().await;
        let module = self.modules.registered(name)?;
        // From here on no policy is made with it, and none that was made is written.
        let _retiring = self.modules.retire(&module.digest);
        // What was on its way has been written, and is seen below.
        drop(self.journal.writer().await.map_err(StoreFault::from)?);
        let users = self.users_of(&module.digest).await?;
        if !users.is_empty() {
            return Err(DeleteModuleError::Used { name: module.name, users: named(&users) });
        }
        module_records::delete(&self.journal, &module.name).await?;
        self.modules.forget(&module.name);
        Ok(module)
    }

    /// The first whose policy is decided by the component with this digest: the guardrail, keys' ARNs.
    async fn users_of(&self, digest: &str) -> Result<Vec<String>, StoreFault> {
        let mut users = Vec::new();
        if Guardrail::digest(&self.journal).await?.is_some_and(|used| used == digest) {
            users.push("the guardrail".to_owned());
        }
        for region in self.regions() {
            let store = self.in_region(&region);
            let mut from = None;
            while users.len() <= NAMED {
                let page = store.key_ids(from, PAGE);
                for id in &page {
                    if store.policy_digest(*id).await?.is_some_and(|used| used == digest) {
                        users.push(store.place.key_arn(*id));
                    }
                }
                match page.last() {
                    Some(last) if page.len() == PAGE => from = Some(*last),
                    _ => break,
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(users)
    }
}

/// `a, b and others`
fn named(users: &[String]) -> String {
    let first: Vec<&str> = users.iter().take(NAMED).map(String::as_str).collect();
    let others = if users.len() > NAMED { " and others" } else { "" };
    [&first.join(", "), others].concat()
}

/// Why a module is not deleted.
#[derive(Debug, Error)]
pub(crate) enum DeleteModuleError {
    #[error("No policy module is named {name}.")]
    Unknown { name: String },
    #[error("The policy module {name} comes with the worker, and stays.")]
    Stock { name: String },
    #[error("The policy module {name} decides for {users}. Give them another policy first.")]
    Used { name: String, users: String },
    #[error(transparent)]
    Fault(#[from] StoreFault),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_all_users_are_named() {
        let users = |number: usize| vec!["a".to_owned(); number];
        assert_eq!(named(&users(2)), "a, a");
        assert!(named(&users(10)).ends_with("a, a"));
        assert!(named(&users(11)).ends_with(" and others"));
    }
}
