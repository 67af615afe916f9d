//! samlgate as an operator runs it: a folder with keys and a configuration file, and the real binary as a child process.

use std::error::Error;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use samlgate::saml::keygen::GeneratedKeys;

/// What the configuration says.
pub(crate) struct Setup<'a> {
    pub(crate) public_url: &'a str,
    pub(crate) port: u16,
    pub(crate) ops_port: u16,
    pub(crate) upstream: &'a str,
    pub(crate) idp_metadata: &'a str,
    pub(crate) keys: &'a GeneratedKeys,
}

/// The child process and its folder.
pub(crate) struct Gateway {
    child: Child,
    folder: PathBuf,
    configuration: String,
}

impl Gateway {
    /// Writes the folder and starts `samlgate run`.
    pub(crate) fn start(setup: &Setup<'_>) -> Result<Self, Box<dyn Error>> {
        let binary = binary()?;
        let folder = std::env::temp_dir().join(format!("samlgate-demo-{}", std::process::id()));
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        let configuration = folder.join("samlgate.toml");
        let started = (|| -> io::Result<Child> {
            private(&folder.join("sp.key"), &setup.keys.sp_key_pem)?;
            private(&folder.join("assertion.key"), &setup.keys.assertion_key_pem)?;
            fs::write(folder.join("sp.crt"), &setup.keys.sp_certificate_pem)?;
            fs::write(folder.join("idp.xml"), setup.idp_metadata)?;
            fs::write(&configuration, toml(setup))?;
            Command::new(&binary).arg("run").arg("--config").arg(&configuration).spawn()
        })();
        match started {
            Ok(child) => Ok(Self { child, folder, configuration: configuration.display().to_string() }),
            Err(error) => {
                fs::remove_dir_all(&folder)?;
                Err(format!("can't start {}: {error}", binary.display()).into())
            }
        }
    }

    /// Where the configuration is, for who wants to read it while the demo runs.
    pub(crate) fn configuration(&self) -> &str {
        &self.configuration
    }

    /// Waits until samlgate says that it is ready.
    pub(crate) async fn ready(&mut self, ops_port: u16) -> Result<(), Box<dyn Error>> {
        let end = Instant::now() + Duration::from_secs(20);
        while !is_ready(ops_port) {
            self.still_runs()?;
            if Instant::now() > end {
                return Err("samlgate did not get ready within 20 s".into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// An error when samlgate has ended by itself.
    pub(crate) fn still_runs(&mut self) -> Result<(), Box<dyn Error>> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("samlgate ended: {status}").into()),
        }
    }

    /// Asks it to end, waits, and removes the folder.
    pub(crate) fn stop(mut self) -> Result<(), Box<dyn Error>> {
        if self.child.try_wait()?.is_none() {
            Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        }
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Gateway {
    /// Also on the way out of an error: no process and no file stays.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The binary that was built beside this example: target/PROFILE/samlgate.
fn binary() -> Result<PathBuf, Box<dyn Error>> {
    let own = std::env::current_exe()?;
    let profile = own.parent().and_then(Path::parent).ok_or("this program is not in target/*/examples")?;
    let binary = profile.join("samlgate");
    if binary.exists() { Ok(binary) } else { Err(format!("{} is missing: run `make demo`", binary.display()).into()) }
}

fn private(path: &Path, pem: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(pem.as_bytes())
}

fn is_ready(ops_port: u16) -> bool {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, ops_port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn toml(setup: &Setup<'_>) -> String {
    let Setup { public_url, port, ops_port, upstream, .. } = setup;
    format!(
        r#"# samlgate in front of the demo's dashboard. An operator's own file looks like this one.
public_url = "{public_url}"

[listen]
address = "127.0.0.1:{port}"
ops_address = "127.0.0.1:{ops_port}"

[upstream]
url = "{upstream}"

[sp]
keys = [{{ key = "sp.key", certificate = "sp.crt" }}]

[[idp]]
id = "demo"
metadata_file = "idp.xml"

[identity.email]
from = ["mail"]

[identity.name]
from = ["displayName"]

[identity.role]
from = ["groups"]
map = {{ "Dashboard Admins" = "admin", "Dashboard Editors" = "editor", "Everyone" = "viewer" }}
allowed = ["admin", "editor", "viewer"]
required = true

[headers.assertion]
key = "assertion.key"

# First match decides; what matches none of these needs a login.
[[access]]
path = "/status"
allow = "anyone"

[[access]]
path = "/admin/**"
roles = ["admin"]

[logout]
return_to = "/status"

[log]
format = "text"
"#
    )
}
