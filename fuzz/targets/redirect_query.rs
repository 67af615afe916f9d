#![no_main]
//! See src/targets/redirect_query.rs.

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use samlgate_fuzz::Target;

fuzz_target!(init: Target::named("redirect_query").prepare(), |input: &[u8]| Target::named("redirect_query").run(input));
fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    Target::named("redirect_query").mutate(data, size, most, seed, fuzzer_mutate)
});
