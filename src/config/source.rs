//! Where settings come from: the defaults, one file, the environment; the later wins.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Json, Serialized, Toml, Yaml};
use figment::value::{Dict, Value};

use super::problems::Report;

/// The defaults, with their reasons.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Where a configuration file is looked for when none is named.
const PLACES: [&str; 2] = ["samlgate.toml", "/etc/samlgate/samlgate.toml"];

/// A key's path: sections, and positions in lists.
pub(super) type KeyPath = Vec<String>;

/// All settings on one heap, not yet understood.
#[derive(Debug)]
pub(super) struct Source {
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
    /// File names are relative to this folder.
    pub(super) folder: PathBuf,
    /// Keys and values.
    pub(super) tree: Value,
    /// Which variable of the environment set a key, and its text.
    pub(super) variables: BTreeMap<KeyPath, (String, String)>,
}

/// Reads file and environment. `None` when the file can't be read at all.
pub(super) fn read(
    named: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    report: &mut Report,
) -> Option<Source> {
    let mut settings: BTreeMap<String, String> = environment.filter(|(name, _)| name.starts_with("SAMLGATE_")).collect();
    let from_environment = settings.remove("SAMLGATE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let named = named.map(Path::to_owned).or(from_environment);
    let file = named.or_else(|| PLACES.iter().map(PathBuf::from).find(|path| path.exists()));

    let defaults = parse(Path::new("default.toml"), DEFAULTS, report)?;
    let mut layers = Figment::from(Serialized::globals(defaults));
    if let Some(file) = &file {
        let text = fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"));
        let text = report.take(&file.display().to_string(), text)?;
        layers = layers.merge(Serialized::globals(parse(file, &text, report)?));
    }
    let tree = report.take("configuration", layers.extract::<Value>())?;
    let folder = file.as_deref().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    let mut source = Source { file, folder, tree, variables: BTreeMap::new() };
    source.overlay(settings, report);
    Some(source)
}

/// Reads a file by its ending.
fn parse(file: &Path, text: &str, report: &mut Report) -> Option<Value> {
    let name = file.display().to_string();
    let wrong = |error: &dyn std::fmt::Display| format!("cannot be understood: {}", error.to_string().trim_end());
    match file.extension().and_then(OsStr::to_str) {
        Some("yaml" | "yml") => report.take(&name, Yaml::from_str(text).map_err(|error| wrong(&error))),
        Some("json") => report.take(&name, Json::from_str(text).map_err(|error| wrong(&error))),
        _ => report.take(&name, Toml::from_str(text).map_err(|error| wrong(&error))),
    }
}

impl Source {
    /// Lays the environment over the file.
    fn overlay(&mut self, settings: BTreeMap<String, String>, report: &mut Report) {
        let mut settings: Vec<(KeyPath, String, String)> = settings
            .into_iter()
            .filter(|(name, _)| !is_service_link(name))
            .filter_map(|(name, text)| {
                let path = name.strip_prefix("SAMLGATE_")?.to_lowercase();
                Some((path.split("__").map(str::to_owned).collect(), name, text))
            })
            .collect();
        // Whole lists before their members, and these in their order.
        settings.sort_by_key(|(path, ..)| -> Vec<(Option<usize>, String)> {
            path.iter().map(|part| (part.parse().ok(), part.clone())).collect()
        });
        for (path, name, text) in settings {
            // Anything that isn't clearly something else is a text.
            let value = text.parse::<Value>().unwrap_or_else(|_| Value::from(text.clone()));
            if put(&mut self.tree, &path, value) {
                self.variables.insert(path, (name, text));
            } else {
                report.problem(name, "leads into a value that has no such part; positions in a list begin at 0 and leave no gap");
            }
        }
    }

    /// A key as messages show it: with the variable that set it.
    pub(super) fn shown(&self, path: &[String]) -> String {
        let key = path.join(".");
        let set = (1..=path.len()).rev().find_map(|length| self.variables.get(path.get(..length)?));
        set.map_or(key.clone(), |(variable, _)| format!("{key} ({variable})"))
    }
}

/// Kubernetes tells every container of the Services around it: a Service called `samlgate` is `SAMLGATE_PORT` and the like.
/// No key of ours looks so.
fn is_service_link(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let port = |rest: &str| match rest.strip_prefix('_').map(|rest| rest.split('_').collect::<Vec<_>>()).as_deref() {
        None => rest.is_empty(),
        Some([number, "TCP" | "UDP" | "SCTP"]) => digits(number),
        Some([number, "TCP" | "UDP" | "SCTP", "PROTO" | "PORT" | "ADDR"]) => digits(number),
        Some(_) => false,
    };
    !name.contains("__")
        && (name.ends_with("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT")
            || name.match_indices("_PORT").any(|(at, found)| name.get(at + found.len()..).is_some_and(port)))
}

/// Puts a value at a path, making the tables and lists on the way.
fn put(tree: &mut Value, path: &[String], value: Value) -> bool {
    let Some((part, rest)) = path.split_first() else {
        *tree = value;
        return true;
    };
    match tree {
        Value::Dict(_, dict) => {
            let begins_list = rest.first().is_some_and(|next| next == "0");
            let empty = || if begins_list { Value::from(Vec::<Value>::new()) } else { Value::from(Dict::new()) };
            put(dict.entry(part.clone()).or_insert_with(empty), rest, value)
        }
        Value::Array(_, list) => {
            let Ok(at) = part.parse::<usize>() else { return false };
            if at == list.len() {
                list.push(Value::from(Dict::new()));
            }
            list.get_mut(at).is_some_and(|element| put(element, rest, value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(variables: &[(&str, &str)]) -> Result<Source, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        fs::write(&file, "prefix = \"/file\"\n[[idp]]\nid = \"a\"\n[listen]\nworkers = 2\n").unwrap();
        let mut report = Report::default();
        let environment = variables.iter().map(|&(name, text)| (name.to_owned(), text.to_owned()));
        let source = read(Some(&file), environment, &mut report);
        report.finish().map_err(|problems| problems.to_string())?;
        Ok(source.unwrap())
    }

    fn get(source: &Source, path: &str) -> Value {
        source.tree.find_ref(path).unwrap_or_else(|| panic!("{path}")).clone()
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let variables = [("SAMLGATE_LISTEN__WORKERS", "3"), ("SAMLGATE_LISTEN__TRUSTED_PROXIES", "[10.0.0.0/8]"), ("OTHER", "x")];
        let source = read_with(&variables).unwrap();
        assert_eq!(get(&source, "prefix").as_str(), Some("/file"));
        assert_eq!(get(&source, "listen.workers").to_u128(), Some(3));
        assert_eq!(get(&source, "listen.trusted_proxies").as_array().map(<[Value]>::len), Some(1));
        assert_eq!(get(&source, "session.lifetime").as_str(), Some("12h"));
        assert_eq!(source.shown(&["listen".to_owned(), "workers".to_owned()]), "listen.workers (SAMLGATE_LISTEN__WORKERS)");
        assert_eq!(source.shown(&["prefix".to_owned()]), "prefix");
    }

    #[test]
    fn lists_are_reached_by_position() {
        let variables = [("SAMLGATE_IDP__0__CLOCK_SKEW", "5s"), ("SAMLGATE_IDP__1__ID", "b"), ("SAMLGATE_ACCESS__0__PATH", "/x")];
        let source = read_with(&variables).unwrap();
        let idps = get(&source, "idp").into_array().unwrap();
        assert_eq!(idps[0].find_ref("id").and_then(Value::as_str), Some("a"));
        assert_eq!(idps[0].find_ref("clock_skew").and_then(Value::as_str), Some("5s"));
        assert_eq!(idps[1].find_ref("id").and_then(Value::as_str), Some("b"));
        assert_eq!(get(&source, "access").as_array().map(<[Value]>::len), Some(1));
        let error = read_with(&[("SAMLGATE_IDP__3__ID", "b")]).unwrap_err();
        assert!(error.starts_with("SAMLGATE_IDP__3__ID: "), "{error}");
    }

    #[test]
    fn services_of_kubernetes_are_not_settings() {
        for name in [
            "SAMLGATE_PORT",
            "SAMLGATE_SERVICE_HOST",
            "SAMLGATE_SERVICE_PORT",
            "SAMLGATE_SERVICE_PORT_HTTP",
            "SAMLGATE_PORT_8080_TCP",
            "SAMLGATE_PORT_8080_TCP_ADDR",
            "SAMLGATE_OPS_PORT_9090_TCP_PROTO",
        ] {
            assert!(is_service_link(name), "{name}");
        }
        for name in ["SAMLGATE_PUBLIC_URL", "SAMLGATE_PORTS", "SAMLGATE_LISTEN__PORT", "SAMLGATE_PORT_HTTP"] {
            assert!(!is_service_link(name), "{name}");
        }
    }
}
