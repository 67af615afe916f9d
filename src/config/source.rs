//! Where settings come from: the defaults, one file, the environment; the later wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::Serialized;
use figment::value::{Dict, Value};

use super::document::parse;
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
    /// Keys and values, the defaults among them.
    pub(super) tree: Value,
    /// What the file says.
    given: Value,
    /// Which variable of the environment set a key, and its text.
    pub(super) variables: BTreeMap<KeyPath, (String, String)>,
}

/// Reads file and environment. `None` when the file can't be read at all.
pub(super) fn read(
    named: Option<&Path>,
    environment: impl Iterator<Item = (OsString, OsString)>,
    report: &mut Report,
) -> Option<Source> {
    let Environment { config, settings } = Environment::of(environment, report);
    let named = named.map(Path::to_owned).or(config);
    let file = named.or_else(|| PLACES.iter().map(PathBuf::from).find(|path| path.exists()));

    let defaults = parse(Path::new("default.toml"), DEFAULTS, report)?;
    let given = match &file {
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"));
            let text = report.take(&file.display().to_string(), text)?;
            parse(file, &text, report)?
        }
        None => Value::from(Dict::new()),
    };
    let layers = Figment::from(Serialized::globals(defaults)).merge(Serialized::globals(&given));
    let tree = report.take("configuration", layers.extract::<Value>())?;
    let folder = file.as_deref().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    let mut source = Source { file, folder, tree, given, variables: BTreeMap::new() };
    source.overlay(settings, report);
    report.set_by(source.variables.iter().map(|(path, (name, _))| (path.join("."), name.clone())).collect());
    Some(source)
}

/// What the environment says to samlgate.
#[derive(Default)]
struct Environment {
    /// SAMLGATE_CONFIG.
    config: Option<PathBuf>,
    /// The other variables, by name.
    settings: BTreeMap<String, String>,
}

impl Environment {
    /// Other programs' variables may hold anything.
    fn of(variables: impl Iterator<Item = (OsString, OsString)>, report: &mut Report) -> Self {
        let mut environment = Self::default();
        for (name, text) in variables.filter(|(name, _)| name.as_encoded_bytes().starts_with(b"SAMLGATE_")) {
            if name == "SAMLGATE_CONFIG" {
                environment.config = Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty());
                continue;
            }
            match (name.into_string(), text.into_string()) {
                (Ok(name), _) if is_service_link(&name) => {}
                (Ok(name), Ok(text)) => drop(environment.settings.insert(name, text)),
                (Ok(name), Err(_)) => report.unreadable(key_path(&name).join("."), name, "is not UTF-8"),
                (Err(name), _) => report.problem(name.to_string_lossy(), "is no setting: the name is not UTF-8"),
            }
        }
        environment
    }
}

/// Which key a variable sets.
fn key_path(variable: &str) -> KeyPath {
    let name = variable.strip_prefix("SAMLGATE_").unwrap_or(variable).to_lowercase();
    name.split("__").map(str::to_owned).collect()
}

/// What a variable's text says. Anything that isn't clearly something else is a text, and stays as it is but for a line's end.
fn value_of(text: &str) -> Value {
    let text = Some(text.trim_end_matches(['\r', '\n'])).filter(|line| !line.is_empty()).unwrap_or(text);
    match text.parse::<Value>() {
        Ok(Value::String(..)) if !text.trim_start().starts_with('"') => Value::from(text),
        Ok(value) => value,
        Err(never) => match never {},
    }
}

impl Source {
    /// Lays the environment over the file.
    fn overlay(&mut self, settings: BTreeMap<String, String>, report: &mut Report) {
        let mut settings: Vec<(KeyPath, String, String)> =
            settings.into_iter().map(|(name, text)| (key_path(&name), name, text)).collect();
        // Whole lists before their members, and these in their order.
        settings.sort_by_key(|(path, ..)| -> Vec<(Option<usize>, String)> {
            path.iter().map(|part| (part.parse().ok(), part.clone())).collect()
        });
        for (path, name, text) in settings {
            if put(&mut self.tree, &path, value_of(&text)) {
                self.variables.insert(path, (name, text));
            } else {
                report.problem(name, "leads into a value that has no such part; positions in a list begin at 0 and leave no gap");
            }
        }
    }

    /// A key as messages show it: with the variable that set it.
    pub(super) fn shown(&self, path: &[String]) -> String {
        let key = path.join(".");
        let around = (1..=path.len()).rev().find_map(|length| self.variables.get(path.get(..length)?));
        // A section that is no section is there only because of a variable for something in it.
        let below = || self.variables.iter().find(|(set, _)| set.starts_with(path)).map(|(_, set)| set);
        let set = around.or_else(|| below().filter(|_| !holds(&self.given, path)));
        set.map_or(key.clone(), |(variable, _)| format!("{key} ({variable})"))
    }

    /// Whether the operator set a key, or something in it.
    pub(super) fn is_given(&self, path: &[String]) -> bool {
        holds(&self.given, path) || self.variables.keys().any(|set| set.starts_with(path) || path.starts_with(set))
    }
}

/// Whether there is something at a path.
fn holds(tree: &Value, path: &[String]) -> bool {
    let Some((part, rest)) = path.split_first() else { return true };
    match tree {
        Value::Dict(_, dict) => dict.get(part).is_some_and(|inner| holds(inner, rest)),
        Value::Array(_, list) => part.parse().ok().and_then(|at: usize| list.get(at)).is_some_and(|inner| holds(inner, rest)),
        _ => false,
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
            // In tables of the operator's own names a number is a name.
            let own_names = matches!(part.as_str(), "map" | "extra");
            let begins_list = !own_names && rest.first().is_some_and(|next| next.parse::<usize>().is_ok());
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
        let environment = variables.iter().map(|&(name, text)| (name.into(), text.into()));
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
