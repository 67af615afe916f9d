#![no_main]
//! See src/targets/response.rs.

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use samlgate_fuzz::Target;

fuzz_target!(init: Target::named("response").prepare(), |input: &[u8]| Target::named("response").run(input));
fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    Target::named("response").mutate(data, size, most, seed, fuzzer_mutate)
});
