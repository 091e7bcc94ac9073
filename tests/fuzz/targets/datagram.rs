#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| zocket::fuzzing::datagram(data));
