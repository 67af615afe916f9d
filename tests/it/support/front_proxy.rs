//! nginx and Caddy in front, with the configurations that docs/forward-auth.md shows.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running front proxy. It is killed when dropped.
pub(crate) struct FrontProxy {
    pub(crate) address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Drop for FrontProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// nginx before this samlgate and this application; `None`, with a word about it, when it isn't installed.
pub(crate) fn nginx(samlgate: SocketAddr, application: SocketAddr) -> Option<FrontProxy> {
    start("using the \"epoll\"", |folder, address| {
        let documented = documented("nginx", samlgate, application).replace("listen 443 ssl;", &format!("listen {address};"));
        // TLS ends in the tests' imagination.
        let documented = documented.replace("$scheme", "https");
        let documented: String =
            documented.lines().filter(|line| !line.contains("ssl_")).map(|line| format!("{line}\n")).collect();
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", folder.join(kind).display()))
            .concat();
        let text = format!(
            "daemon off;\nmaster_process off;\nerror_log stderr notice;\npid {};\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{documented}}}\n",
            folder.join("pid").display()
        );
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(write(folder, "nginx.conf", &text));
        command
    })
}

/// Caddy, likewise.
pub(crate) fn caddy(samlgate: SocketAddr, application: SocketAddr) -> Option<FrontProxy> {
    start("serving initial configuration", |folder, address| {
        let documented = documented("caddyfile", samlgate, application);
        let site = format!("http://:{} {{\n\tbind {}", address.port(), address.ip());
        let site = documented.replace("reports.example.com {", &site);
        let text = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{site}");
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(write(folder, "Caddyfile", &text)).env("HOME", folder);
        command
    })
}

/// The block of this language in the documentation, with these addresses.
fn documented(language: &str, samlgate: SocketAddr, application: SocketAddr) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/forward-auth.md");
    let text = std::fs::read_to_string(page).unwrap();
    let after = text.split_once(&format!("```{language}\n")).expect("the documentation shows it").1;
    let block = after.split_once("```").expect("the block ends").0;
    for known in ["127.0.0.1:8080", "127.0.0.1:3000", "reports.example.com"] {
        assert!(block.contains(known), "{language} says nothing of {known}");
    }
    block.replace("127.0.0.1:8080", &samlgate.to_string()).replace("127.0.0.1:3000", &application.to_string())
}

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

/// One that nobody listens on.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts it and waits until it says that it is ready. Another test may take the port in between, so it is tried more than once.
fn start(ready: &str, configured: impl Fn(&Path, SocketAddr) -> Command) -> Option<FrontProxy> {
    let mut said = Vec::new();
    for _ in 0..3 {
        let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
        let mut command = configured(folder.path(), address);
        let mut child = match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => {
                eprintln!("SKIPPED: {:?}: {error}", command.get_program());
                return None;
            }
        };
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let front = FrontProxy { address, child, _folder: folder };
        let is_ready = lines.by_ref().any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains(ready))
        });
        if is_ready {
            // Somebody must read what it says, or it stops.
            std::thread::spawn(move || lines.for_each(drop));
            return Some(front);
        }
    }
    panic!("the front proxy doesn't start:\n{}", said.join("\n"));
}
