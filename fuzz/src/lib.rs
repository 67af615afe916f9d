//! Fuzzing of samlgate: what its targets have in common. See README.md in this folder.
//!
//! A target takes octets that a stranger could send, and says (by panicking) when a promise doesn't hold: not only that nothing
//! panics, but that whatever is accepted was signed by a trusted key and says what an independent reader reads in it.

mod allocation;
mod context;
mod independent;
mod mutation;
mod seeds;
mod signing;
mod targets;

#[path = "../../tests/it/support/fake_idp.rs"]
mod fake_idp;

use std::path::Path;

/// The largest message that is read (ARCHITECTURE.md): a target's input may be a little longer.
pub const LARGEST: usize = 256 * 1024;
/// The most that a hostile message may cost (issue 4): octets beyond what was in use before.
pub const MOST_MEMORY: usize = 50 * 1024 * 1024;

/// libFuzzer's own mutation, for a buffer of which so many octets are in use.
pub type PlainMutation = fn(&mut [u8], usize, usize) -> usize;

/// Something that takes hostile octets.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its program.
    pub name: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
    /// So many octets at the front choose circumstances; what follows is XML, for mutations that know XML. `None`: plain octets.
    xml_after: Option<usize>,
}

/// All of them, in the order in which `make fuzz` runs them.
pub const ALL: [Target; 8] = [
    Target { name: "response", run: targets::response::run, seeds: targets::response::seeds, xml_after: Some(2) },
    Target { name: "resigned", run: targets::resigned::run, seeds: targets::resigned::seeds, xml_after: Some(2) },
    Target { name: "encrypted", run: targets::encrypted::run, seeds: targets::encrypted::seeds, xml_after: Some(2) },
    Target {
        name: "logout_message",
        run: targets::logout_message::run,
        seeds: targets::logout_message::seeds,
        xml_after: Some(1),
    },
    Target { name: "redirect_query", run: targets::redirect_query::run, seeds: targets::redirect_query::seeds, xml_after: None },
    Target { name: "metadata", run: targets::metadata::run, seeds: targets::metadata::seeds, xml_after: Some(1) },
    Target { name: "cookie", run: targets::cookie::run, seeds: targets::cookie::seeds, xml_after: None },
    Target { name: "return_path", run: targets::return_path::run, seeds: targets::return_path::seeds, xml_after: None },
];

impl Target {
    /// The one of a name.
    ///
    /// # Panics
    /// When there is none.
    pub fn named(name: &str) -> Self {
        *ALL.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target {name}"))
    }

    /// To be called once, first. With `SAMLGATE_FUZZ_SEEDS` in the environment this writes the seeds to that folder, and ends the
    /// process.
    pub fn prepare(self) {
        signing::silence();
        samlgate::saml::prepare().expect("the signature engines work");
        if let Some(folder) = std::env::var_os("SAMLGATE_FUZZ_SEEDS") {
            let seeds = (self.seeds)();
            seeds::write(Path::new(&folder), &seeds).expect("the corpus can be written");
            println!("{}: {} seeds", self.name, seeds.len());
            std::process::exit(0);
        }
    }

    /// One input.
    ///
    /// # Panics
    /// When a promise doesn't hold.
    pub fn run(self, input: &[u8]) {
        let (before, most) = allocation::peak_during(|| (self.run)(input));
        let more = most.saturating_sub(before);
        assert!(more <= MOST_MEMORY, "{more} octets more were in use at a time");
    }

    /// The most octets of memory that an input needed beyond what was in use before, as far as Rust allocated it.
    pub fn memory(self, input: &[u8]) -> usize {
        let (before, most) = allocation::peak_during(|| (self.run)(input));
        most.saturating_sub(before)
    }

    /// Changes an input of `size` octets in place; returns its new size.
    pub fn mutate(self, data: &mut [u8], size: usize, most: usize, seed: u32, plain: PlainMutation) -> usize {
        match self.xml_after {
            Some(front) if size > front => mutation::mutate(data, size, most, seed, front, plain),
            _ => plain(data, size, most),
        }
    }
}
