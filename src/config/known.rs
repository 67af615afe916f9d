//! Which keys there are, for the JSON schema and for "did you mean".

use schemars::Schema;
use serde_json::Value;

use super::sections::File;

/// The JSON schema of the configuration: what `samlgate schema` prints and config/schema.json holds.
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(File);
    schema.insert("title".to_owned(), "samlgate configuration".into());
    let text = serde_json::to_string_pretty(schema.as_value()).unwrap_or_default();
    text + "\n"
}

/// All keys: `sp.keys[].key`, `identity.extra.*.from`.
pub(super) fn keys() -> Vec<String> {
    let schema = schemars::schema_for!(File);
    let mut keys = Vec::new();
    collect(&schema, schema.as_value(), "", &mut keys);
    keys
}

fn collect(root: &Schema, node: &Value, at: &str, keys: &mut Vec<String>) {
    if let Some(name) = node.get("$ref").and_then(Value::as_str) {
        let target = name.strip_prefix('#').and_then(|pointer| root.as_value().pointer(pointer));
        return target.map_or((), |target| collect(root, target, at, keys));
    }
    if let Some(items) = node.get("items") {
        collect(root, items, &format!("{at}[]"), keys);
    }
    if let Some(each) = node.get("additionalProperties").filter(|each| each.is_object()) {
        collect(root, each, &format!("{at}.*"), keys);
    }
    for (name, property) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let key = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        keys.push(key.clone());
        collect(root, property, &key, keys);
    }
}

/// Where a key of exactly this name stands, when there is one place only or the shortest is meant.
pub(super) fn elsewhere(name: &str) -> Option<String> {
    let mut places: Vec<String> = keys().into_iter().filter(|key| key.rsplit('.').next() == Some(name)).collect();
    places.sort_by_key(String::len);
    places.into_iter().next()
}

/// The word that was probably meant: at most two letters off, or a third of them.
pub(super) fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).max(2);
    let near = words.map(|other| (distance(word, other), other)).min()?;
    (near.0 <= most && near.0 < near.1.chars().count()).then_some(near.1)
}

/// How many letters must be put in, taken out or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().enumerate() {
        let mut next = vec![at + 1];
        for (other, (replaced, dropped)) in b.iter().zip(row.iter().zip(row.iter().skip(1))) {
            let kept = replaced + usize::from(*other != letter);
            let added = next.last().map_or(usize::MAX, |left| left + 1);
            next.push(kept.min(dropped + 1).min(added));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use figment::Figment;
    use figment::providers::{Format as _, Toml};

    use super::*;
    use crate::config::source::DEFAULTS;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b, steps) in [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("adress", "address", 1), ("ab", "ba", 2)] {
            assert_eq!(distance(a, b), steps, "{a} {b}");
            assert_eq!(distance(b, a), steps, "{b} {a}");
        }
        assert_eq!(nearest("adress", ["key", "address"].into_iter()), Some("address"));
        assert_eq!(nearest("xy", ["ab", "cd"].into_iter()), None, "two letters off is everything of a short word");
    }

    #[test]
    fn keys_are_found_where_they_stand() {
        assert_eq!(elsewhere("public_url").as_deref(), Some("public_url"));
        assert_eq!(elsewhere("sign_requests").as_deref(), Some("sp.sign_requests"));
        assert!(keys().contains(&"idp[].metadata_file".to_owned()) && keys().contains(&"identity.extra.*.from".to_owned()));
    }

    #[test]
    fn the_schema_file_is_fresh() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schema.json");
        let stored = fs::read_to_string(&file).unwrap_or_default();
        assert!(stored == schema(), "config/schema.json is not what `samlgate schema` prints: write it anew");
    }

    #[test]
    fn default_toml_and_the_sections_say_the_same() {
        let from_file: File = Figment::from(Toml::string(DEFAULTS)).extract().unwrap();
        assert_eq!(from_file, File::default());
    }

    #[test]
    fn the_page_mentions_every_key() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        let page = fs::read_to_string(&file).unwrap_or_default();
        for key in keys() {
            let name = key.rsplit('.').next().unwrap();
            let mentioned =
                [format!("`{name}`"), format!("{name} = "), format!("`[{name}"), format!("`[[{name}"), format!(".{name}")];
            assert!(
                key == "identity" || mentioned.iter().any(|text| page.contains(text)),
                "docs/configuration.md doesn't mention {key}"
            );
        }
    }

    #[test]
    fn default_toml_mentions_every_key_in_its_section() {
        for key in keys() {
            let (section, name) = key.rsplit_once('.').unwrap_or(("", &key));
            let is_section =
                keys().iter().any(|other| other.starts_with(&format!("{key}.")) || other.starts_with(&format!("{key}[]")));
            // Every field has the keys of user; the pairs of sp.keys stand in its comment.
            let common = section.starts_with("identity.") && section != "identity.user";
            if is_section || common || section == "sp.keys[]" {
                continue;
            }
            let mut current = String::new();
            let found = DEFAULTS.lines().any(|line| {
                let line = line.trim_start_matches("# ");
                if let Some(name) = line.strip_prefix('[') {
                    current = match name.strip_prefix('[') {
                        Some(list) => format!("{}[]", list.split(']').next().unwrap()),
                        None => name.split(']').next().unwrap().to_owned(),
                    };
                }
                current == section && line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
            });
            assert!(found, "config/default.toml doesn't mention {key}");
        }
    }
}
