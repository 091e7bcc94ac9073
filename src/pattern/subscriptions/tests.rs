use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::pattern::fake::pipe;

fn matching(subscriptions: &mut Subscriptions, topic: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    subscriptions.matches(topic, &mut found);
    let mut slots: Vec<_> = found.into_iter().map(PipeId::slot).collect();
    slots.sort_unstable();
    slots
}

#[test]
fn a_topic_matches_every_prefix_of_it_and_the_empty_one() {
    let mut subscriptions = Subscriptions::default();
    for (slot, prefix) in ["", "a", "ab", "abc", "abd", "b"].iter().enumerate() {
        subscriptions.add(prefix.as_bytes(), pipe(u32::try_from(slot).unwrap()));
    }
    assert_eq!(matching(&mut subscriptions, b"abcd"), [0, 1, 2, 3]);
    assert_eq!(matching(&mut subscriptions, b"ab"), [0, 1, 2]);
    assert_eq!(matching(&mut subscriptions, b""), [0]);
    assert_eq!(matching(&mut subscriptions, b"x"), [0]);
}

#[test]
fn a_pipe_is_matched_once_however_many_of_its_prefixes_match() {
    let mut subscriptions = Subscriptions::default();
    for prefix in ["", "a", "ab"] {
        subscriptions.add(prefix.as_bytes(), pipe(3));
        subscriptions.add(prefix.as_bytes(), pipe(5));
    }
    assert_eq!(matching(&mut subscriptions, b"abc"), [3, 5]);
    subscriptions.stamp = u32::MAX - 1;
    for _ in 0..3 {
        assert_eq!(matching(&mut subscriptions, b"abc"), [3, 5], "also when the stamps start again");
    }
}

#[test]
fn topics_that_come_and_go_do_not_fill_the_filter() {
    let mut subscriptions = Subscriptions::default();
    for n in 0..1000 {
        subscriptions.add(format!("{n} stays").as_bytes(), pipe(0));
    }
    let admitted = subscriptions.trie.admitted();
    for n in 0..50_000 {
        let topic = format!("{n}{}", "x".repeat(n % 17));
        subscriptions.add(topic.as_bytes(), pipe(1));
        subscriptions.remove(topic.as_bytes(), pipe(1));
    }
    assert!(subscriptions.trie.admitted() < 3 * admitted, "{} of {admitted}", subscriptions.trie.admitted());
    assert_eq!(matching(&mut subscriptions, b"999 stays"), [0]);
}

#[test]
fn one_pipe_subscribing_twice_is_one_subscription() {
    let mut subscriptions = Subscriptions::default();
    assert_eq!(subscriptions.add(b"a", pipe(0)), Added { first: true, new: true });
    assert_eq!(subscriptions.add(b"a", pipe(0)), Added { first: false, new: false });
    assert_eq!(subscriptions.add(b"a", pipe(1)), Added { first: false, new: true });
    assert_eq!(subscriptions.remove(b"a", pipe(0)), Removed::Shared);
    assert_eq!(subscriptions.remove(b"a", pipe(0)), Removed::Unknown);
    assert_eq!(subscriptions.remove(b"a", pipe(1)), Removed::Last);
    assert_eq!(subscriptions.remove(b"a", pipe(1)), Removed::Unknown);
    assert_eq!(subscriptions.len(), 0);
}

#[test]
fn a_slot_that_is_used_again_inherits_nothing() {
    let mut subscriptions = Subscriptions::default();
    let (old, new) = (PipeId::new(0, 0), PipeId::new(0, 1));
    subscriptions.add(b"a", old);
    subscriptions.add(b"b", new);
    assert_eq!(subscriptions.len(), 1);
    let mut found = Vec::new();
    subscriptions.matches(b"a", &mut found);
    subscriptions.matches(b"b", &mut found);
    assert_eq!(found, [new]);
    subscriptions.remove_all(old, None);
    assert_eq!(subscriptions.remove(b"b", old), Removed::Unknown);
    assert_eq!(subscriptions.len(), 1);
}

#[test]
fn prefixes_of_any_length_are_held_and_leave_nothing_behind() {
    let mut subscriptions = Subscriptions::default();
    let long = vec![b'x'; 100_000];
    subscriptions.add(b"", pipe(9));
    for len in [100_000, 256, 46, 24, 23, 22, 1, 5000] {
        subscriptions.add(&long[..len], pipe(0));
    }
    assert_eq!(matching(&mut subscriptions, &long[..4999]), [0, 9]);
    assert!(subscriptions.any(&long));
    let mut count = 0;
    subscriptions.remove_all(
        pipe(0),
        Some(&mut |prefix, last| {
            assert!(last && long.starts_with(prefix));
            count += 1;
        }),
    );
    assert_eq!((count, subscriptions.trie.size()), (8, 1));
}

#[test]
fn a_deep_trie_is_walked_and_dropped_without_recursion() {
    let mut subscriptions = Subscriptions::default();
    let long = vec![0; 20_000];
    for len in 0..long.len() {
        subscriptions.add(&long[..len], pipe(0));
    }
    assert_eq!(matching(&mut subscriptions, &long), [0]);
    assert_eq!(subscriptions.len(), 20_000);
}

#[test]
fn a_popular_prefix_finds_all_its_holders_whatever_their_numbers() {
    let mut subscriptions = Subscriptions::default();
    let crowd: Vec<u32> = (0..200).chain((5_000..1_000_000).step_by(9_999)).collect();
    for (n, &slot) in crowd.iter().enumerate() {
        assert_eq!(subscriptions.add(b"news", pipe(slot)).first, n == 0);
        assert_eq!(matching(&mut subscriptions, b"newspaper").len(), n + 1);
    }
    for (n, &slot) in crowd.iter().enumerate().rev() {
        let expected = if n == 0 { Removed::Last } else { Removed::Shared };
        assert_eq!(subscriptions.remove(b"news", pipe(slot)), expected);
        assert_eq!(matching(&mut subscriptions, b"newspaper").len(), n);
    }
}

#[test]
fn subscribing_and_cancelling_for_ever_takes_no_more_memory() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.add(b"kept", pipe(0));
    for n in 0..10_000_u32 {
        subscriptions.add(&n.to_be_bytes(), pipe(0));
        subscriptions.remove(&n.to_be_bytes(), pipe(0));
    }
    assert_eq!(subscriptions.trie.size(), 2);
    assert!(subscriptions.held[0].nodes.len() < 40);
    let mut left = Vec::new();
    subscriptions.each(pipe(0), |prefix| left.push(prefix.to_vec()));
    assert_eq!(left, [b"kept"]);
}

#[test]
fn what_is_given_up_gives_memory_back_and_what_stays_is_still_known() {
    let mut subscriptions = Subscriptions::default();
    let prefix = |n: u32| format!("{n:06}/and so on, for longer than one step");
    subscriptions.add(b"", pipe(2));
    for n in 0..10_000 {
        subscriptions.add(prefix(n).as_bytes(), pipe(n % 2));
        subscriptions.add(prefix(n).as_bytes(), pipe(2));
    }
    let large = subscriptions.trie.room();
    for n in (0..10_000).filter(|n| n % 1000 != 0) {
        subscriptions.remove(prefix(n).as_bytes(), pipe(n % 2));
        subscriptions.remove(prefix(n).as_bytes(), pipe(2));
    }
    assert!(subscriptions.trie.room() * 50 < large, "{} of {large}", subscriptions.trie.room());
    for n in 0..10_000 {
        let expected: &[_] = if n % 1000 == 0 { &[0, 2] } else { &[2] };
        assert_eq!(matching(&mut subscriptions, prefix(n).as_bytes()), expected);
    }
    let mut left = 0;
    subscriptions.each(pipe(2), |_| left += 1);
    assert_eq!(left, 11);
    subscriptions.remove_all(pipe(2), None);
    subscriptions.remove_all(pipe(0), None);
    assert_eq!((subscriptions.len(), subscriptions.trie.size()), (0, 1));
}

#[test]
fn wide_and_narrow_nodes_find_their_own() {
    let mut subscriptions = Subscriptions::default();
    let prefixes = || (0..=u16::MAX).map(u16::to_be_bytes);
    for (n, prefix) in (0..).zip(prefixes()) {
        subscriptions.add(&prefix, pipe(n % 1000));
    }
    for (n, prefix) in (0..).zip(prefixes()) {
        assert_eq!(matching(&mut subscriptions, &prefix), [n % 1000]);
        assert_eq!(matching(&mut subscriptions, &prefix[..1]), []);
    }
}

/// The plainest thing that could be right.
#[derive(Default)]
struct Model(BTreeMap<Vec<u8>, BTreeSet<u32>>);

impl Model {
    fn remove(&mut self, prefix: &[u8], slot: u32) -> Removed {
        let Some(holders) = self.0.get_mut(prefix) else { return Removed::Unknown };
        if !holders.remove(&slot) {
            return Removed::Unknown;
        }
        if !holders.is_empty() {
            return Removed::Shared;
        }
        self.0.remove(prefix);
        Removed::Last
    }

    fn remove_all(&mut self, slot: u32) -> BTreeMap<Vec<u8>, bool> {
        let held: Vec<_> = self
            .0
            .iter()
            .filter(|(_, holders)| holders.contains(&slot))
            .map(|(prefix, _)| prefix.clone())
            .collect();
        held.into_iter()
            .map(|prefix| {
                let last = self.remove(&prefix, slot) == Removed::Last;
                (prefix, last)
            })
            .collect()
    }

    fn holders(&self, prefix: &[u8]) -> BTreeSet<u32> {
        self.0.get(prefix).cloned().unwrap_or_default()
    }

    fn matches(&self, topic: &[u8]) -> Vec<usize> {
        let holders =
            self.0.iter().filter(|(prefix, _)| topic.starts_with(prefix)).flat_map(|(_, pipes)| pipes);
        holders.copied().collect::<BTreeSet<_>>().into_iter().map(|slot| slot as usize).collect()
    }
}

/// The pipes that hold exactly this.
fn holding(subscriptions: &Subscriptions, exactly: &[u8]) -> BTreeSet<u32> {
    let mut holders = Vec::new();
    subscriptions.holders(exactly, &mut holders);
    let slots: BTreeSet<_> = holders.iter().map(|pipe| slot_of(*pipe)).collect();
    assert_eq!(slots.len(), holders.len(), "each once");
    slots
}

/// Few letters and lengths around one step and many, so that prefixes share their starts.
fn prefix() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(0_u8..3, 0..7),
        2 => any::<u8>().prop_map(|byte| vec![0, byte]),
        1 => (0_usize..600, 0_u8..2).prop_map(|(len, end)| [vec![1; len], vec![end]].concat()),
    ]
}

proptest! {
    #[test]
    fn the_trie_agrees_with_a_map_of_sets(
        steps in prop::collection::vec((0_u8..12, prefix(), 0_u32..40), 1..300),
    ) {
        let mut subscriptions = Subscriptions::default();
        let mut model = Model::default();
        for (step, prefix, slot) in steps {
            match step {
                0..6 => {
                    let holders = model.0.entry(prefix.clone()).or_default();
                    let first = holders.is_empty();
                    let new = holders.insert(slot);
                    prop_assert_eq!(subscriptions.add(&prefix, pipe(slot)), Added { first, new });
                }
                6..9 => {
                    prop_assert_eq!(subscriptions.remove(&prefix, pipe(slot)), model.remove(&prefix, slot));
                }
                9 => {
                    let mut gone = BTreeMap::new();
                    subscriptions.remove_all(pipe(slot), Some(&mut |prefix, last| {
                        assert!(gone.insert(prefix.to_vec(), last).is_none());
                    }));
                    prop_assert_eq!(gone, model.remove_all(slot));
                }
                _ => {
                    prop_assert_eq!(matching(&mut subscriptions, &prefix), model.matches(&prefix));
                    prop_assert_eq!(subscriptions.any(&prefix), !model.matches(&prefix).is_empty());
                    prop_assert_eq!(holding(&subscriptions, &prefix), model.holders(&prefix));
                    let mut held = BTreeSet::new();
                    subscriptions.each(pipe(slot), |prefix| assert!(held.insert(prefix.to_vec())));
                    let expected = model.0.iter().filter(|(_, holders)| holders.contains(&slot));
                    prop_assert_eq!(held, expected.map(|(prefix, _)| prefix.clone()).collect());
                }
            }
            prop_assert_eq!(subscriptions.len(), model.0.len());
        }
        for slot in 0..40 {
            subscriptions.remove_all(pipe(slot), None);
        }
        prop_assert_eq!((subscriptions.len(), subscriptions.trie.size()), (0, 1));
    }
}
