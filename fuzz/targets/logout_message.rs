#![no_main]
//! See src/targets/logout_message.rs.

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use samlgate_fuzz::Target;

fuzz_target!(init: Target::named("logout_message").prepare(), |input: &[u8]| Target::named("logout_message").run(input));
fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    Target::named("logout_message").mutate(data, size, most, seed, fuzzer_mutate)
});
