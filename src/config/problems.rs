//! Everything that is wrong with a configuration, at once.

use std::collections::BTreeMap;
use std::fmt;

/// One mistake: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key's path, `idp.0.metadata_file`, or a file's name.
    pub key: String,
    /// What is wrong; how to fix it. Holds no secret.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

/// All mistakes of a configuration, at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// All of them, those of the file's form first.
    pub fn all(&self) -> &[Problem] {
        &self.0
    }

    /// For what can't happen: no configuration, and nobody said why. Better refused than guessed.
    pub(super) fn unknown() -> Self {
        let what = "could not be built; please report this to the samlgate developers";
        Self(vec![Problem { key: "configuration".to_owned(), what: what.to_owned() }])
    }
}

/// One line each.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Collects what is found on the way.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
    warnings: Vec<String>,
    /// Keys whose value couldn't even be read: what follows from their absence isn't a mistake of its own.
    unreadable: Vec<String>,
    /// Which variable of the environment set a key.
    variables: BTreeMap<String, String>,
}

impl Report {
    /// Which variables of the environment set which keys: from now on messages name them.
    pub(super) fn set_by(&mut self, variables: BTreeMap<String, String>) {
        self.variables = variables;
    }

    /// A mistake in what a value means.
    pub(super) fn problem(&mut self, key: impl Into<String>, what: impl Into<String>) {
        let (key, what) = (key.into(), what.into());
        let follows = |broken: &String| is_within(&key, broken) || is_within(broken, &key);
        if !self.unreadable.iter().any(follows) {
            self.problems.push(Problem { key: self.shown(key), what });
        }
    }

    /// A key that is none. `shown` may say more than the key's path.
    pub(super) fn unknown_key(&mut self, shown: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem { key: shown.into(), what: what.into() });
    }

    /// A value that couldn't be read. `shown` may say more than the key's path.
    pub(super) fn unreadable(&mut self, key: impl Into<String>, shown: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem { key: shown.into(), what: what.into() });
        self.unreadable.push(key.into());
    }

    /// A key that is missing because it was misspelt, so that nothing is to be said of it.
    pub(super) fn meant(&mut self, key: impl Into<String>) {
        self.unreadable.push(key.into());
    }

    /// Something that works and is better done otherwise.
    pub(super) fn warning(&mut self, key: impl fmt::Display, what: impl fmt::Display) {
        let key = self.shown(key.to_string());
        self.warnings.push(format!("{key}: {what}"));
    }

    /// Takes a value out of a result; an error becomes a mistake of `key`.
    pub(super) fn take<T, E: fmt::Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(key, error.to_string());
                None
            }
        }
    }

    /// A key with the variable that set it, or something around it.
    fn shown(&self, key: String) -> String {
        let ends = key.match_indices('.').map(|(at, _)| at).chain([key.len()]);
        let set = ends.filter_map(|end| self.variables.get(key.get(..end)?)).next_back();
        set.map(|variable| format!("{key} ({variable})")).unwrap_or(key)
    }

    /// The warnings, when there was no mistake.
    pub(super) fn finish(self) -> Result<Vec<String>, Problems> {
        if self.problems.is_empty() { Ok(self.warnings) } else { Err(Problems(self.problems)) }
    }
}

/// Whether `key` is `outer` or below it.
fn is_within(key: &str, outer: &str) -> bool {
    key.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_an_unreadable_value_is_not_said_again() {
        let mut report = Report::default();
        report.unreadable("idp.0", "idp.0", "not a table");
        report.problem("idp.0.id", "required");
        report.problem("idp", "at least one");
        report.problem("idp.01", "another key");
        assert_eq!(report.finish().unwrap_err().to_string(), "idp.0: not a table\nidp.01: another key");
    }
}
