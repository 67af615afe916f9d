//! From keys and values to sections: every unknown key and wrong type, not only the first.

use figment::error::{Actual, Kind};
use figment::value::{Dict, Value};
use serde::Deserialize as _;

use super::known;
use super::problems::Report;
use super::sections::File;
use super::source::{KeyPath, Source};

/// Longest text that a message repeats, in octets.
const SHORT: usize = 24;

/// More mistakes than anybody reads.
const MOST: usize = 200;

/// Reads the sections. Each mistake is noted and taken out of the tree, then it is read again.
pub(super) fn sections(source: &mut Source, report: &mut Report) -> File {
    let mut tried: Vec<KeyPath> = Vec::new();
    for _ in 0..MOST {
        let error = match File::deserialize(&source.tree) {
            Ok(file) => return file,
            Err(error) => error,
        };
        let path = error.path;
        let times = tried.iter().filter(|other| **other == path).count();
        tried.push(path.clone());
        // A variable's text may look like a number and be meant as a text: SAMLGATE_SP__ENTITY_ID=42.
        let text = source.variables.get(&path).map(|(_, text)| text.clone());
        if let (0, Some(text), Kind::InvalidType(..)) = (times, &text, &error.kind) {
            replace(&mut source.tree, &path, Some(Value::from(text.clone())));
            continue;
        }
        if times <= usize::from(text.is_some()) {
            let what = describe(&error.kind, &path);
            if let (Kind::UnknownField(name, siblings), Some((_, section))) = (&error.kind, path.split_last()) {
                report.unknown_key(source.shown(&path), what);
                let near = known::nearest(name, siblings.iter().copied());
                let meant = near.map(|near| [section, &[near.to_owned()]].concat());
                if let Some(meant) = meant.filter(|meant| !source.is_given(meant)) {
                    report.meant(meant.join("."));
                }
            } else {
                report.unreadable(path.join("."), source.shown(&path), what);
            }
        }
        // In a list the others keep their positions: an empty text or table stands in.
        let in_list = path.last().is_some_and(|part| part.parse::<usize>().is_ok());
        let stand_in = match times {
            0 if in_list => Some(Value::from("")),
            1 if in_list => Some(Value::from(Dict::new())),
            _ => None,
        };
        if !replace(&mut source.tree, &path, stand_in) {
            break;
        }
    }
    File::default()
}

/// Puts another value at a path, or takes away what is there. False when nothing is there.
fn replace(tree: &mut Value, path: &[String], value: Option<Value>) -> bool {
    let Some((part, rest)) = path.split_first() else { return false };
    match tree {
        Value::Dict(_, dict) if rest.is_empty() => match value {
            Some(value) => dict.insert(part.clone(), value).is_some(),
            None => dict.remove(part).is_some(),
        },
        Value::Dict(_, dict) => dict.get_mut(part).is_some_and(|inner| replace(inner, rest, value)),
        Value::Array(_, list) => {
            let Ok(at) = part.parse::<usize>() else { return false };
            match (rest.is_empty(), value) {
                (true, Some(value)) => list.get_mut(at).map(|element| *element = value).is_some(),
                (true, None) => {
                    at < list.len() && {
                        list.remove(at);
                        true
                    }
                }
                (false, value) => list.get_mut(at).is_some_and(|inner| replace(inner, rest, value)),
            }
        }
        _ => false,
    }
}

/// What is wrong, and what to write instead.
fn describe(kind: &Kind, path: &[String]) -> String {
    match kind {
        Kind::UnknownField(name, siblings) => unknown_key(name, siblings, path),
        Kind::UnknownVariant(word, words) => {
            let list = words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
            let nearest = known::nearest(word, words.iter().copied()).map(|near| format!("; did you mean {near:?}?"));
            format!("{word:?} is not one of {list}{}", nearest.unwrap_or_default())
        }
        Kind::InvalidType(actual, wanted) | Kind::InvalidValue(actual, wanted) => {
            let found = match actual {
                // It may be a secret that was put into the wrong place.
                Actual::Str(text) if text.len() > SHORT => "a text".to_owned(),
                actual => in_words(&actual.to_string()),
            };
            format!("must be {}, not {found}", in_words(wanted))
        }
        Kind::Message(message) => message.clone(),
        other => other.to_string(),
    }
}

fn unknown_key(name: &str, siblings: &[&str], path: &[String]) -> String {
    if let Some(near) = known::nearest(name, siblings.iter().copied()) {
        return format!("unknown key; did you mean {near:?}?");
    }
    match known::elsewhere(name) {
        Some(place) if !place.contains('.') => {
            format!("unknown key; {place:?} stands at the top level: in TOML, before the first [section]")
        }
        Some(place) => format!("unknown key; did you mean {place:?}?"),
        None if path.len() == 1 => "unknown key; docs/configuration.md lists all keys".to_owned(),
        None => format!("unknown key; known here: {}", siblings.join(", ")),
    }
}

/// The words of operators instead of those of programmers.
fn in_words(text: &str) -> String {
    let plain = match text {
        "a sequence" | "sequence" => "a list",
        "a map" | "map" => "a table",
        "a string" | "string" => "a text in quotes",
        "a boolean" | "bool" => "true or false",
        "usize" | "u64" => "a whole number, 0 or more",
        "unit" => "empty",
        text if text.starts_with("struct ") => "a table",
        text => text,
    };
    plain.replace("unsigned int", "the number").replace("signed int", "the number").replace("string \"", "\"")
}
