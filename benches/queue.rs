//! What one message costs in a pipe's queue of chunks, by size and by how many wait.
//!
//! `cargo bench --features __internals --bench queue`. Outgoing: pushed one by one, taken as chunks. Incoming:
//! appended as small runs, as a peer's trickle arrives, and popped one by one.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use zocket::Message;
use zocket::internals::{Queue, encode};

const SIZES: [usize; 4] = [16, 256, 4096, 65_536];
/// Messages that wait when the other side comes: a lone one, a burst, a full queue.
const DEPTHS: [u64; 3] = [1, 32, 1000];

fn outgoing(c: &mut Criterion) {
    let mut group = c.benchmark_group("push_take");
    for (size, depth) in cells() {
        let payload = vec![7; size];
        let mut queue = Queue::default();
        group.throughput(Throughput::Elements(depth));
        group.bench_function(BenchmarkId::new(size.to_string(), depth), |b| {
            b.iter(|| {
                for _ in 0..depth {
                    queue.push(black_box(&payload));
                }
                queue.take()
            });
        });
    }
}

fn incoming(c: &mut Criterion) {
    let mut group = c.benchmark_group("append_pop");
    for (size, depth) in cells() {
        let run = encode(&Message::from(vec![7; size]));
        let mut queue = Queue::default();
        group.throughput(Throughput::Elements(depth));
        group.bench_function(BenchmarkId::new(size.to_string(), depth), |b| {
            b.iter(|| {
                for _ in 0..depth {
                    queue.append(&run, 1);
                }
                while let Some(message) = queue.pop() {
                    black_box(message);
                }
            });
        });
    }
}

fn cells() -> impl Iterator<Item = (usize, u64)> {
    SIZES.into_iter().flat_map(|size| DEPTHS.map(|depth| (size, depth)))
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    outgoing(&mut c);
    incoming(&mut c);
    c.final_summary();
}
