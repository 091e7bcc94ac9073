//! What subscriptions cost a publisher: adding one, cancelling it, and finding who gets a message.
//!
//! `cargo bench --features __internals --bench trie`. Prefixes look like topics of a market feed, such as
//! `feed.17.trade.004217`, so that they share their starts as real ones do.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use zocket::internals::Trie;

const COUNTS: [u32; 3] = [10, 1000, 100_000];

fn topic(number: u32) -> String {
    let kind = ["trade", "quote", "status"][number as usize % 3];
    format!("feed.{}.{kind}.{number:06}", number % 97)
}

fn filled(count: u32) -> Trie {
    let mut trie = Trie::default();
    for number in 0..count {
        trie.add(topic(number).as_bytes(), number % 8);
    }
    trie
}

fn adding(c: &mut Criterion) {
    let mut group = c.benchmark_group("add");
    for count in COUNTS {
        let topics = (0..count).map(topic).collect::<Vec<_>>();
        group.throughput(Throughput::Elements(u64::from(count)));
        group.sample_size(20);
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter_batched(
                Trie::default,
                |mut trie| {
                    for topic in &topics {
                        trie.add(topic.as_bytes(), 0);
                    }
                    trie
                },
                BatchSize::LargeInput,
            );
        });
    }
}

fn coming_and_going(c: &mut Criterion) {
    let mut group = c.benchmark_group("add_remove");
    for count in COUNTS {
        let mut trie = filled(count);
        let topic = topic(count);
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                trie.add(topic.as_bytes(), 1);
                trie.remove(topic.as_bytes(), 1);
            });
        });
    }
}

fn matching(c: &mut Criterion) {
    let mut group = c.benchmark_group("match");
    for count in COUNTS {
        let mut trie = filled(count);
        let hit = format!("{} 101.25 x 300", topic(count / 2));
        let miss = "feed.5.trace.of.nobody";
        assert_eq!([trie.matches(hit.as_bytes()), trie.matches(miss.as_bytes())], [1, 0]);
        for (name, topic) in [("hit", hit.as_str()), ("miss", miss)] {
            group.bench_function(BenchmarkId::new(name, count), |b| {
                b.iter(|| trie.matches(black_box(topic.as_bytes())));
            });
        }
        // Another one each time, so that a large table is not answered out of the cache.
        let topics = (0..count).map(topic).collect::<Vec<_>>();
        let mut at = 0;
        group.bench_function(BenchmarkId::new("any", count), |b| {
            b.iter(|| {
                at = (at + 61_803) % topics.len();
                trie.matches(black_box(topics[at].as_bytes()))
            });
        });
    }
}

/// What peers might subscribe to in order to make matching dear.
fn worst_cases(c: &mut Criterion) {
    let chain = (0..1000).map(|len| vec![b'x'; len]).collect::<Vec<_>>();
    let wide = (0..=u16::MAX).map(|end| [b"x".as_slice(), &end.to_be_bytes()].concat()).collect::<Vec<_>>();
    let mut group = c.benchmark_group("worst");
    for (name, prefixes) in [("chain", chain), ("wide", wide)] {
        let mut trie = Trie::default();
        prefixes.iter().for_each(|prefix| trie.add(prefix, 0));
        let longest = vec![b'x'; 1000];
        group.bench_function(name, |b| b.iter(|| trie.matches(black_box(&longest))));
    }
}

fn fanning_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("fan_out");
    for peers in [1, 8, 64, 1024] {
        let mut trie = Trie::default();
        for peer in 0..peers {
            trie.add(b"feed.", peer);
        }
        group.throughput(Throughput::Elements(u64::from(peers)));
        group.bench_function(BenchmarkId::from_parameter(peers), |b| {
            b.iter(|| trie.matches(black_box(b"feed.1.trade")));
        });
    }
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    adding(&mut c);
    coming_and_going(&mut c);
    matching(&mut c);
    worst_cases(&mut c);
    fanning_out(&mut c);
    c.final_summary();
}
