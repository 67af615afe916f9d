//! What ARCHITECTURE.md promises about the code's shape, read from the code itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, top to bottom. A file may name its own floor and those below.
const FLOORS: &[&[&str]] = &[
    &["main", "cli"],
    &["app"],
    &["config"],
    &["proxy"],
    &["web"],
    &["metadata"],
    &["login"],
    &["outbound"],
    &["store"],
    &["session"],
    &["access"],
    &["identity"],
    &["saml"],
    &["clock", "give_way", "token", "public_url", "return_path", "texts", "web_url"],
];

/// Longest file, tests at its end not counted.
const LONGEST: usize = 400;
/// Files that may be longer, with the reason.
const LONGER: &[(&str, usize, &str)] = &[];

/// A source file of the product.
struct Source {
    /// From the root: `src/saml/verify.rs`.
    path: String,
    /// Without comments and without what follows `#[cfg(test)]` at the margin.
    code: String,
    /// All of it.
    text: String,
}

impl Source {
    /// The first part below `src/`: `saml`.
    fn module(&self) -> &str {
        self.path.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a folder can be listed").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The product's files; those that only tests compile are left out.
fn sources() -> Vec<Source> {
    let all: Vec<Source> = files("src", ".rs").iter().map(|path| read(path)).collect();
    let only_in_tests: BTreeSet<String> = all.iter().flat_map(test_modules).collect();
    let product = |source: &Source| !only_in_tests.iter().any(|stem| source.path.starts_with(stem));
    all.into_iter().filter(product).collect()
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a source file can be read");
    let before_tests = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code = before_tests.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let path = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
    Source { path, code, text }
}

/// Paths (without ending) of the modules that a file declares for tests only.
fn test_modules(source: &Source) -> Vec<String> {
    let folder = source.path.trim_end_matches("/mod.rs").trim_end_matches(".rs").to_owned();
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]").filter_map(|pair| {
        let name = pair[1]
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ")
            .strip_prefix("mod ")?
            .strip_suffix(';')?;
        Some(format!("{folder}/{name}"))
    });
    declared.flat_map(|stem| [format!("{stem}.rs"), format!("{stem}/")]).collect()
}

/// The modules of the crate that a file names: `crate::saml::...`, and each of `crate::{a, b::c}`.
fn named_modules(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut named = BTreeSet::new();
    for start in ["crate::", "samlgate::"] {
        for (_, after) in code.match_indices(start).map(|(at, start)| (at, &code[at + start.len()..])) {
            let Some(group) = after.strip_prefix('{') else {
                named.insert(word(after));
                continue;
            };
            let mut depth = 0;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        named.insert(word(item.trim()));
                        item.clear();
                        continue;
                    }
                    _ => {}
                }
                item.push(c);
            }
            named.insert(word(item.trim()));
        }
    }
    named.remove("");
    named
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|names| names.contains(&module))
}

#[test]
fn imports_go_downward_only() {
    let mut upward = Vec::new();
    for source in sources().iter().filter(|source| source.module() != "lib") {
        let Some(own) = floor(source.module()) else { panic!("{} is on no floor", source.path) };
        for named in named_modules(&source.code) {
            if floor(&named).is_some_and(|other| other < own) {
                upward.push(format!("{} names crate::{named}", source.path));
            }
        }
    }
    assert!(upward.is_empty(), "imports go upward:\n{}", upward.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_them_all() {
    let code =
        "use crate::saml::{a, b};\nuse crate::{clock::{Clock, Timestamp}, web::cookies, token};\nfn f() -> crate::login::X {}";
    let expected = ["saml", "clock", "web", "token", "login"].map(str::to_owned);
    assert_eq!(named_modules(code), BTreeSet::from(expected));
}

/// Where a word may stand in code: what is decided there is decided nowhere else.
#[test]
fn what_belongs_to_one_file_stands_in_no_other() {
    let rules: &[(&str, &[&str])] = &[
        ("bergshamra", &["src/saml/signature.rs", "src/saml/digest.rs", "src/saml/decrypt.rs", "src/saml/enveloped.rs"]),
        ("samael", &["src/saml/second_opinion.rs", "src/saml/second_opinion/"]),
        ("use cookie::", &["src/web/cookies.rs"]),
        ("set_cookie", &["src/web/cookies.rs"]),
        // names that no identity header and no trailer may have
        ("set-cookie", &["src/web/cookies.rs", "src/config/meaning/headers.rs", "src/proxy/body.rs"]),
        ("anyhow", &["src/main.rs", "src/cli.rs", "src/cli/", "src/app.rs", "src/app/"]),
        ("systemtime::now", &["src/clock.rs"]),
        ("now_utc", &["src/clock.rs"]),
    ];
    let mut strays = Vec::new();
    for source in sources() {
        let code = source.code.to_ascii_lowercase();
        for (word, places) in rules {
            if code.contains(word) && !places.iter().any(|place| source.path.starts_with(place)) {
                strays.push(format!("{} names {word}, which belongs to {places:?}", source.path));
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

#[test]
fn files_are_short_named_after_what_they_decide_and_say_what_they_are_for() {
    let mut bad = Vec::new();
    for source in sources() {
        let lines = source.code.lines().count();
        let allowed = LONGER.iter().find(|(path, ..)| *path == source.path).map_or(LONGEST, |(_, lines, _)| *lines);
        if lines > allowed {
            bad.push(format!("{} has {lines} lines without its tests, more than {allowed}", source.path));
        }
        let stem = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        if ["util", "utils", "common", "helper", "helpers", "misc"].contains(&stem) {
            bad.push(format!("{} is named after nothing", source.path));
        }
        if !source.text.starts_with("//!") {
            bad.push(format!("{} doesn't say what it is for", source.path));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Every row of the threat model's table: a number, the attack, where the code answers, and which tests prove it
/// (`file::function`, or a file alone).
#[test]
fn the_threat_model_names_code_and_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/threat-model.md")).expect("docs/threat-model.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|--") && !line.starts_with("| #"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 45, "the threat model has only {} rows", rows.len());
    let mut bad = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let [number, attack, code, proof] = row[..] else { panic!("a row has other than four columns: {row:?}") };
        if number != (at + 1).to_string() {
            bad.push(format!("{attack}: is row {}, not {number}", at + 1));
        }
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let (places, proofs) = (quoted(code), quoted(proof));
        if places.is_empty() || proofs.is_empty() {
            bad.push(format!("{attack}: names no code or no test"));
        }
        bad.extend(
            places.iter().filter(|place| !root().join(place).exists()).map(|place| format!("{attack}: there is no {place}")),
        );
        for name in proofs {
            let there = match name.split_once("::") {
                None => root().join(&name).exists(),
                Some((file, function)) => {
                    fs::read_to_string(root().join(file)).is_ok_and(|text| text.contains(&format!("fn {function}(")))
                }
            };
            if !there {
                bad.push(format!("{attack}: there is no test {name}"));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn every_reason_code_is_documented() {
    let page = fs::read_to_string(root().join("docs/refusals.md")).expect("docs/refusals.md");
    let mut codes = BTreeSet::new();
    for source in sources() {
        if !["saml/error.rs", "saml/logout/error.rs", "saml/artifact/error.rs", "identity/", "login/", "access/rules.rs"]
            .iter()
            .any(|part| source.path[4..].starts_with(part))
        {
            continue;
        }
        for (_, function) in source.code.match_indices("fn code(&self)").map(|(at, _)| (at, &source.code[at..])) {
            let body = function.split("\n    }\n").next().unwrap_or_default();
            codes.extend(body.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
        codes.extend(source.code.split("Refusal::new(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    assert!(codes.len() > 35, "only {} reason codes found", codes.len());
    let missing: Vec<&String> = codes.iter().filter(|code| !page.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "docs/refusals.md says nothing about {missing:?}");
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut pages = files("docs", ".md");
    let at_root = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md"];
    pages.extend(at_root.iter().map(|name| root().join(name)));
    let mut broken = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !page.parent().expect("a page is in a folder").join(target).exists() {
                broken.push(format!("{} links to {link}", page.strip_prefix(root()).expect("below the root").display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
