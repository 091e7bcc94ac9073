//! Subscriptions against a map of sets.

use std::collections::{BTreeMap, BTreeSet};

use super::Choices;
use crate::pattern::subscriptions::{Removed, Subscriptions};
use crate::pipe::PipeId;

#[derive(Default)]
struct Model(BTreeMap<Vec<u8>, BTreeSet<PipeId>>);

impl Model {
    fn remove(&mut self, prefix: &[u8], pipe: PipeId) -> Removed {
        let Some(holders) = self.0.get_mut(prefix) else { return Removed::Unknown };
        if !holders.remove(&pipe) {
            return Removed::Unknown;
        }
        if !holders.is_empty() {
            return Removed::Shared;
        }
        self.0.remove(prefix);
        Removed::Last
    }

    fn held_by(&self, pipe: PipeId) -> BTreeSet<Vec<u8>> {
        let held = self.0.iter().filter(|(_, holders)| holders.contains(&pipe));
        held.map(|(prefix, _)| prefix.clone()).collect()
    }

    fn matches(&self, topic: &[u8]) -> BTreeSet<PipeId> {
        let matching = self.0.iter().filter(|(prefix, _)| topic.starts_with(prefix));
        matching.flat_map(|(_, holders)| holders.iter().copied()).collect()
    }
}

/// Few letters, so that prefixes share and split.
fn prefix(choices: &mut Choices<'_>) -> Vec<u8> {
    let len = match choices.byte() {
        len @ 0..=239 => usize::from(len) % 8,
        len => usize::from(len & 15) * 40,
    };
    (0..len).map(|_| choices.byte() % 3).collect()
}

/// Subscribing, cancelling and leaving, in any order.
pub fn trie_ops(data: &[u8]) {
    let mut choices = Choices(data);
    let (mut subscriptions, mut model) = (Subscriptions::default(), Model::default());
    while !choices.is_empty() {
        let step = choices.below(16);
        let pipe = PipeId::new(u32::from(choices.byte() % 40), 0);
        let prefix = prefix(&mut choices);
        match step {
            0..8 => {
                let holders = model.0.entry(prefix.clone()).or_default();
                let first = holders.is_empty();
                let new = holders.insert(pipe);
                let added = subscriptions.add(&prefix, pipe);
                assert_eq!((added.first, added.new), (first, new));
            }
            8..12 => assert_eq!(subscriptions.remove(&prefix, pipe), model.remove(&prefix, pipe)),
            12 => {
                let mut gone = BTreeSet::new();
                let mut report = |prefix: &[u8], last: bool| {
                    assert_eq!(model.remove(prefix, pipe) == Removed::Last, last);
                    assert!(gone.insert(prefix.to_vec()), "reported twice");
                };
                subscriptions.remove_all(pipe, Some(&mut report));
                assert!(model.held_by(pipe).is_empty(), "not all of them");
            }
            _ => {
                let mut found = Vec::new();
                subscriptions.matches(&prefix, &mut found);
                assert_eq!(
                    found.iter().copied().collect::<BTreeSet<_>>().len(),
                    found.len(),
                    "matched twice"
                );
                assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), model.matches(&prefix));
                assert_eq!(subscriptions.any(&prefix), !found.is_empty());
                found.clear();
                subscriptions.holders(&prefix, &mut found);
                assert_eq!(
                    found.into_iter().collect::<BTreeSet<_>>(),
                    model.0.get(&prefix).cloned().unwrap_or_default()
                );
                let mut held = BTreeSet::new();
                subscriptions.each(pipe, |prefix| assert!(held.insert(prefix.to_vec())));
                assert_eq!(held, model.held_by(pipe));
            }
        }
        assert_eq!(subscriptions.len(), model.0.len());
    }
}
