//! What one message costs in the codec, by size: encoding, scanning a run that arrived, decoding.
//!
//! `cargo bench --features __internals --bench codec`. Runs hold at most 64 KiB, as a read does, so that nothing
//! here measures the memory bus; the largest size is a run of one.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use zocket::Message;
use zocket::internals::{Queue, Scan, encode};

const SIZES: [usize; 6] = [0, 16, 64, 256, 4096, 65_536];
const READ: usize = 64 * 1024;

/// As many messages of a size as one read brings, and the run they make.
fn run(size: usize) -> (u64, Bytes) {
    let count = (READ / (size + 9)).max(1);
    let wire = encode(&Message::from(vec![7; size]));
    (count as u64, Bytes::from(wire.repeat(count)))
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for size in SIZES {
        let message = Message::from(vec![7; size]);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(size), |b| b.iter(|| encode(black_box(&message))));
    }
}

fn scanning(c: &mut Criterion) {
    let mut group = c.benchmark_group("scan");
    for size in SIZES {
        let (count, run) = run(size);
        let mut scan = Scan::new(&run);
        assert_eq!(u64::from(scan.scan()), count, "every message is found");
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(size), |b| b.iter(|| scan.scan()));
    }
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for size in SIZES {
        let (count, run) = run(size);
        let messages = usize::try_from(count).expect("a read holds few messages");
        let mut queue = Queue::default();
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                queue.append(&run, messages);
                while let Some(message) = queue.pop() {
                    black_box(message);
                }
            });
        });
    }
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    encoding(&mut c);
    scanning(&mut c);
    decoding(&mut c);
    c.final_summary();
}
