//! A real libzmq 4.3.5, built from source, behind a small safe interface that blocks like libzmq does.
//!
//! The tests of this package and the benchmarks hold zocket against it: the tests want whole messages, deadlines
//! and monitor events; the benchmarks want the cheapest call libzmq has. Both are in [`libzmq`], nothing else is.
//! Only the C functions that are used are declared, by hand, in one file; all `unsafe` of the package is in that
//! module and in the build script.

pub mod libzmq;
