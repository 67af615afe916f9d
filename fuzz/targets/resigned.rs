#![no_main]
//! See src/targets/resigned.rs.

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use samlgate_fuzz::Target;

fuzz_target!(init: Target::named("resigned").prepare(), |input: &[u8]| Target::named("resigned").run(input));
fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    Target::named("resigned").mutate(data, size, most, seed, fuzzer_mutate)
});
