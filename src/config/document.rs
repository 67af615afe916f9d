//! One text of settings becomes keys and values: by the file's ending, no key twice, and no line of it in a message.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use figment::providers::{Format as _, Json, Toml, Yaml};
use figment::value::{Dict, Empty, Value};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::problems::Report;

/// How the TOML reader hands over a date or a time: a table with this one key.
const TOML_TIME: &str = "$__toml_private_datetime";

/// Reads a text by the ending of its file's name. Always a table.
pub(super) fn parse(file: &Path, text: &str, report: &mut Report) -> Option<Value> {
    let name = file.display().to_string();
    let ending = file.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    let read = match ending.as_deref() {
        Some("yaml" | "yml") => Yaml::from_str(text).map_err(|error| error.to_string()),
        Some("json") => Json::from_str(text).map_err(|error| error.to_string()),
        _ => Toml::from_str(text).map_err(|error| place(text, error.span()) + error.message()),
    };
    let read = read.map_err(|error| format!("cannot be understood: {}", error.trim_end()));
    let Document { tree, twice } = report.take(&name, read)?;
    for key in twice {
        report.problem(key, "stands there twice, of which one would be lost; make one of both");
    }
    match tree {
        Value::Dict(..) => Some(tree),
        // An empty file of YAML, or one of comments only.
        Value::Empty(..) => Some(Value::from(Dict::new())),
        _ => {
            report.problem(name, "must be a table of settings");
            None
        }
    }
}

/// Where a mistake of form is. The reader's own message would show the line, in which a secret may stand.
fn place(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else { return String::new() };
    let (line, begins) = (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |at| at + 1));
    let column = before.get(begins..).unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: ")
}

/// A whole text.
struct Document {
    tree: Value,
    /// Keys that stand twice in one table: readers of JSON and YAML take the last one and say nothing.
    twice: Vec<String>,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let twice = RefCell::default();
        let tree = Node { path: String::new(), twice: &twice }.deserialize(deserializer)?;
        Ok(Self { tree, twice: twice.into_inner() })
    }
}

/// One value, and where it stands.
struct Node<'a> {
    path: String,
    twice: &'a RefCell<Vec<String>>,
}

impl Node<'_> {
    fn below(&self, part: impl fmt::Display) -> Self {
        let path = if self.path.is_empty() { part.to_string() } else { format!("{}.{part}", self.path) };
        Node { path, twice: self.twice }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table, a list, a text, a number, true or false")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::from(Empty::Unit))
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::from(Empty::None))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list: Vec<Value> = Vec::new();
        while let Some(element) = elements.next_element_seed(self.below(list.len()))? {
            list.push(element);
        }
        Ok(Value::from(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut dict = Dict::new();
        while let Some(key) = entries.next_key::<String>()? {
            let node = self.below(&key);
            let path = node.path.clone();
            let value = entries.next_value_seed(node)?;
            if key == TOML_TIME {
                return Ok(value);
            }
            if dict.insert(key, value).is_some() {
                self.twice.borrow_mut().push(path);
            }
        }
        Ok(Value::from(dict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, text: &str) -> Result<Value, String> {
        let mut report = Report::default();
        let tree = parse(Path::new(name), text, &mut report);
        report.finish().map_err(|problems| problems.to_string())?;
        Ok(tree.unwrap())
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_in_every_form() {
        let yaml = "access:\n- path: /a\n  path: /b\nlog:\n  level: info\naccess:\n- path: /c\n";
        let json = r#"{"access": [{"path": "/a", "path": "/b"}], "access": []}"#;
        let words = "stands there twice, of which one would be lost; make one of both";
        let both = format!("access.0.path: {words}\naccess: {words}");
        assert_eq!(parsed("a.yaml", yaml).unwrap_err(), both);
        assert_eq!(parsed("a.json", json).unwrap_err(), both);
        assert!(parsed("a.toml", "prefix = \"/a\"\nprefix = \"/b\"\n").unwrap_err().contains("duplicate key"));
    }

    #[test]
    fn nothing_is_no_settings_and_anything_else_is_refused() {
        for (name, text) in [("a.yaml", ""), ("a.yml", "# nothing yet\n"), ("a.yaml", "---\n"), ("a.toml", ""), ("a.json", "{}")]
        {
            assert_eq!(parsed(name, text).unwrap().as_dict().map(Dict::len), Some(0), "{name} {text:?}");
        }
        for (name, text) in [("a.yaml", "hello"), ("a.yaml", "- 1\n"), ("a.json", "[]"), ("a.json", "7")] {
            assert_eq!(parsed(name, text).unwrap_err(), format!("{name}: must be a table of settings"), "{text:?}");
        }
    }

    #[test]
    fn endings_are_read_in_capitals_too() {
        for (name, text) in [("A.YAML", "log:\n  level: warn\n"), ("A.Json", r#"{"log": {"level": "warn"}}"#)] {
            assert_eq!(parsed(name, text).unwrap().find_ref("log.level").and_then(Value::as_str), Some("warn"), "{name}");
        }
    }

    #[test]
    fn a_mistake_of_form_is_placed_and_its_line_is_not_shown() {
        for name in ["a.toml", "a.yaml", "a.json"] {
            let error = parsed(name, "{\nkey = s3cret\" : [\n").unwrap_err();
            assert!(error.starts_with(&format!("{name}: cannot be understood: ")) && !error.contains("s3cret"), "{error}");
        }
        let error = parsed("a.toml", "prefix = \"/a\"\n[storage]\nurl = \"redis://:s3cret@h\nx = 1\n").unwrap_err();
        assert!(error.contains("line 3, column ") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_time_of_toml_is_its_text() {
        let tree = parsed("a.toml", "a = 1979-05-27\n[b]\nc = 00:01:00\n").unwrap();
        assert_eq!(tree.find_ref("a").and_then(Value::as_str), Some("1979-05-27"));
        assert_eq!(tree.find_ref("b.c").and_then(Value::as_str), Some("00:01:00"));
    }
}
