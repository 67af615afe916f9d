//! One snippet's command line: a token in, a verdict out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a verdict may take; a virtual machine may have to start first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which languages `tests/verify/run.sh` has made ready.
pub(crate) fn languages() -> Vec<String> {
    let names = std::env::var("SAMLGATE_SNIPPETS").expect("SAMLGATE_SNIPPETS says which languages are ready: run `make verify`");
    let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
    assert!(!names.is_empty(), "no language is here");
    names
}

/// A running snippet.
pub(crate) struct Program {
    language: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
}

impl Program {
    pub(crate) fn start(language: &str, issuer: &str, audience: &str, keys: &str) -> Self {
        let mut child = command(language)
            .args([issuer, audience, keys])
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{language}: {error}"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, output) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let input = child.stdin.take();
        Self { language: language.to_owned(), child, input, output }
    }

    /// What it says about a header's value at a point in time (seconds since the epoch).
    pub(crate) fn judge(&mut self, at: i64, token: &str) -> String {
        assert!(!token.contains('\n'), "a header has one line");
        writeln!(self.input.as_mut().unwrap(), "@{at}\n{token}").unwrap_or_else(|error| panic!("{}: {error}", self.language));
        self.output.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{} said nothing about {token:.200}", self.language))
    }

    /// Its input ends, and so does it, with nothing more to say.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success(), "{}", self.language);
        assert_eq!(self.output.recv_timeout(PATIENCE).ok(), None, "{}", self.language);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // after `end` there is nothing to kill
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(language: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (sources, built) = (root.join("examples/verify").join(language), root.join("target/verify").join(language));
    let with = |program: &str, file: &str| {
        let mut command = Command::new(program);
        command.arg(sources.join(file));
        command
    };
    match language {
        "python" => {
            let mut command = with("python3", "check.py");
            command.env("PYTHONPATH", built).env("PYTHONDONTWRITEBYTECODE", "1");
            command
        }
        "node" => with("node", "check.js"),
        "go" => Command::new(built.join("check")),
        "java" => {
            let mut command = Command::new("java");
            command.arg("-cp").arg(format!("{0}/classes:{0}/libraries/*", built.display())).arg("Check");
            command
        }
        "php" => with("php", "check.php"),
        other => panic!("no snippet in {other}"),
    }
}
