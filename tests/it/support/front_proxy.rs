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
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let documented = documented("nginx", samlgate, application).replace("listen 443 ssl;", &format!("listen {address};"));
    // TLS ends in the tests' imagination.
    let documented: String = documented.lines().filter(|line| !line.contains("ssl_")).map(|line| format!("{line}\n")).collect();
    let documented = documented.replace("$scheme", "https");
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};\n", folder.path().join(kind).display()))
        .concat();
    let pid = folder.path().join("pid");
    let text = format!(
        "daemon off;\nmaster_process off;\nerror_log stderr notice;\npid {};\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{documented}}}\n",
        pid.display()
    );
    let file = write(folder.path(), "nginx.conf", &text);
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(file);
    start(command, folder, address, "using the \"epoll\"")
}

/// Caddy, likewise.
pub(crate) fn caddy(samlgate: SocketAddr, application: SocketAddr) -> Option<FrontProxy> {
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let port = address.port();
    let documented = documented("caddyfile", samlgate, application);
    let site = documented.replace("reports.example.com {", &format!("http://:{port} {{\n\tbind 127.0.0.1"));
    let text = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{site}");
    let file = write(folder.path(), "Caddyfile", &text);
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file).env("HOME", folder.path());
    start(command, folder, address, "serving initial configuration")
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

/// Starts it and waits until it says that it is ready.
fn start(mut command: Command, folder: TempDir, address: SocketAddr, ready: &str) -> Option<FrontProxy> {
    let mut child = match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("SKIPPED: {:?}: {error}", command.get_program());
            return None;
        }
    };
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    let mut said = Vec::new();
    let is_ready = lines.by_ref().any(|line| {
        said.push(line);
        said.last().is_some_and(|line| line.contains(ready))
    });
    assert!(is_ready, "{:?} doesn't start:\n{}", command.get_program(), said.join("\n"));
    // Somebody must read what it says, or it stops.
    std::thread::spawn(move || lines.for_each(drop));
    Some(FrontProxy { address, child, _folder: folder })
}
