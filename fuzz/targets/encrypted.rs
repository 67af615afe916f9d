#![no_main]
//! See src/targets/encrypted.rs.

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use samlgate_fuzz::Target;

fuzz_target!(init: Target::named("encrypted").prepare(), |input: &[u8]| Target::named("encrypted").run(input));
fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    Target::named("encrypted").mutate(data, size, most, seed, fuzzer_mutate)
});
