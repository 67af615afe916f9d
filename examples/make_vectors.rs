//! Writes the project's own SAML cases and their manifest to tests/vectors. Run it after a change to
//! tests/it/support/vector_cases; keys and times are fixed, so only what changed differs.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a developer's tool: what goes wrong ends it")]

#[path = "../tests/it/support/fake_idp.rs"]
mod fake_idp;
#[path = "../tests/it/support/vector_cases.rs"]
mod vector_cases;

use std::path::Path;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let responses = folder.join("responses");
    let _ = std::fs::remove_dir_all(&responses);
    std::fs::create_dir_all(&responses).expect("tests/vectors can be written");
    let cases = vector_cases::all();
    for case in &cases {
        std::fs::write(folder.join(case.file()), &case.octets).expect("tests/vectors can be written");
    }
    let manifest = serde_json::json!({
        "about": "SAML responses made by FakeIdp (cargo run --example make_vectors). Each must give its expected outcome: accept, or that reason code.",
        "cases": cases.iter().map(vector_cases::Case::manifest).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&manifest).expect("JSON") + "\n";
    std::fs::write(folder.join("manifest.json"), text).expect("tests/vectors can be written");
    println!("{} cases", cases.len());
}
