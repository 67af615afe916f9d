//! The commands, run as an operator runs them: the real binary, its output and its exit code.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::support::app::{IDP, SSO};
use super::support::fake_idp::{EMAIL, FakeIdp, OTHER, ResponseBuilder};

const CONFIG: &str = r#"
public_url = "https://app.example"
[listen]
address = "127.0.0.1:0"
ops_address = "127.0.0.1:0"
[upstream]
url = "http://127.0.0.1:9"
[sp]
keys = [{ key = "sp.key", certificate = "sp.crt" }]
[[idp]]
id = "corp"
metadata_file = "idp.xml"
idp_initiated = "accept"
[identity.role]
from = ["groups"]
allowed = ["admin", "viewer"]
required = true
"#;
const AT: &str = "2026-03-01T12:00:30Z";

pub(crate) fn samlgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samlgate"));
    command.env_clear();
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    samlgate().args(arguments).output().expect("the binary runs")
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with a good configuration.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("samlgate.toml", CONFIG);
        folder.write("idp.xml", &FakeIdp::new(IDP).metadata(SSO));
        folder.write("sp.key", include_str!("../fixtures/sp.key"));
        folder.write("sp.crt", include_str!("../fixtures/sp.crt"));
        folder
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("a file can be written");
    }

    /// The configuration with a text replaced, under a name of its own.
    pub(crate) fn changed(&self, name: &str, from: &str, to: &str) -> String {
        assert!(CONFIG.contains(from), "{from}");
        self.write(name, &CONFIG.replace(from, to));
        self.path(name)
    }
}

fn response() -> ResponseBuilder {
    FakeIdp::new(IDP).response().subject("ada@example.com", EMAIL).attribute("groups", &["staff", "admin"])
}

#[test]
fn check_prints_a_summary_of_a_good_configuration() {
    let folder = Folder::new();
    let output = run(&["check", "--config", &folder.path("samlgate.toml")]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    for part in ["https://app.example/_samlgate/metadata", "https://app.example/_samlgate/acs", IDP, "x-user"] {
        assert!(out(&output).contains(part), "{part}: {}", out(&output));
    }
    assert!(!out(&output).contains("PRIVATE"));
    assert!(out(&output).contains("SLO URL       https://app.example/_samlgate/slo"), "{}", out(&output));
    assert!(out(&output).contains("no logout service in its metadata"), "{}", out(&output));
    folder.write("idp.xml", &FakeIdp::new(IDP).metadata_with_logout("https://idp.example/sso", "https://idp.example/slo"));
    let output = run(&["check", "--config", &folder.path("samlgate.toml")]);
    assert!(out(&output).contains("logouts by Redirect or POST"), "{}", out(&output));
}

#[test]
fn check_lists_every_mistake_with_its_key() {
    let folder = Folder::new();
    folder.write(
        "bad.toml",
        r#"
public_url = "ftp://app.example/path"
[listen]
adress = "127.0.0.1:0"
[upstream]
url = "127.0.0.1"
connect_timeout = "soon"
[sp]
keys = [{ key = "missing.key", certificate = "sp.crt" }]
[[idp]]
id = "corp"
metadata_file = "missing.xml"
idp_initiated = "perhaps"
[storage]
kind = "redis"
"#,
    );
    for command in ["check", "run", "metadata", "healthcheck"] {
        let output = run(&[command, "--config", &folder.path("bad.toml")]);
        assert_eq!(output.status.code(), Some(64), "{command}: {}", err(&output));
        let listed = err(&output);
        let keys = ["public_url", "listen.adress", "upstream.url", "upstream.connect_timeout", "missing.key", "missing.xml"];
        for key in keys.iter().chain(&["idp_initiated", "storage"]) {
            assert!(listed.contains(key), "{command} doesn't say {key}: {listed}");
        }
        assert!(listed.contains("address"), "the nearest known key is named: {listed}");
        assert!(listed.contains("not available in this version"), "{listed}");
        assert_eq!(out(&output), "");
    }
}

#[test]
fn a_missing_configuration_file_is_said() {
    let output = run(&["check", "--config", "/nonexistent/samlgate.toml"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(err(&output).contains("/nonexistent/samlgate.toml"), "{}", err(&output));
}

#[test]
fn the_environment_names_the_file_and_changes_keys() {
    let folder = Folder::new();
    let output = samlgate()
        .arg("metadata")
        .env("SAMLGATE_CONFIG", folder.path("samlgate.toml"))
        .env("SAMLGATE_PUBLIC_URL", "https://other.example")
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("https://other.example/_samlgate/acs"), "{}", out(&output));
}

#[test]
fn a_wrong_command_line_is_exit_64() {
    for arguments in [&["fly"] as &[&str], &["run", "--nonsense"], &["explain"], &["explain", "--at", "yesterday", "-"], &[]] {
        assert_eq!(run(arguments).status.code(), Some(64), "{arguments:?}");
    }
    for arguments in [["--help"], ["--version"]] {
        assert_eq!(run(&arguments).status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn keygen_makes_keys_that_work_and_never_overwrites() {
    let folder = Folder::new();
    let made = folder.path("made");
    let output = run(&["keygen", "--out", &made]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    for (name, mode) in [("sp.key", 0o600), ("sp.crt", 0o644), ("assertion.key", 0o600)] {
        let file = fs::metadata(Path::new(&made).join(name)).expect(name);
        assert_eq!(file.permissions().mode() & 0o777, mode, "{name}");
    }
    // As it is printed, wherever the configuration file is.
    let pair =
        out(&output).lines().find_map(|line| line.strip_prefix("keys = [")).map(|line| line.trim_end_matches(']').to_owned());
    let pair = pair.expect("the keys' line");
    let printed = folder.changed("printed.toml", r#"{ key = "sp.key", certificate = "sp.crt" }"#, &pair);
    assert!(pair.contains(&made), "{pair}");
    let output = run(&["check", "--config", &printed]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let config = folder.changed(
        "made.toml",
        r#"key = "sp.key", certificate = "sp.crt""#,
        r#"key = "made/sp.key", certificate = "made/sp.crt""#,
    );
    let output = run(&["check", "--config", &config]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));

    let before = fs::read(Path::new(&made).join("sp.key")).expect("a key");
    for removed in ["", "sp.key", "sp.crt"] {
        if removed == "sp.crt" {
            fs::remove_file(Path::new(&made).join(removed)).expect("a certificate");
        }
        let output = run(&["keygen", "--out", &made]);
        assert_ne!(output.status.code(), Some(0));
        assert!(err(&output).contains("nothing was written"), "{}", err(&output));
        assert_eq!(fs::read(Path::new(&made).join("sp.key")).expect("a key"), before);
    }
    assert!(!Path::new(&made).join("sp.crt").exists());
}

#[test]
fn the_schema_is_json_and_knows_the_keys() {
    let output = run(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    let schema: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for key in ["public_url", "listen", "upstream", "sp", "idp", "identity", "headers", "session", "access", "log"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}

/// The verdict on a response: exit code, text and JSON.
fn explain(folder: &Folder, config: &str, response: &str, more: &[&str]) -> (Option<i32>, String, Value) {
    folder.write("response", response);
    let file = folder.path("response");
    let arguments = [&["explain", "--config", config], more, &[&file]].concat();
    let text = run(&arguments);
    let json = run(&[&arguments[..], &["--json"]].concat());
    assert_eq!(text.status.code(), json.status.code());
    let json = serde_json::from_slice(&json.stdout).unwrap_or_else(|error| panic!("{error}: {}", err(&json)));
    (text.status.code(), out(&text), json)
}

#[test]
fn explain_says_who_the_user_would_be() {
    let folder = Folder::new();
    let config = folder.path("samlgate.toml");
    let (status, text, json) = explain(&folder, &config, &response().build(), &["--at", AT]);
    assert_eq!(status, Some(0), "{text}");
    for part in ["ada@example.com", "groups", "admin"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!((&json["accepted"], &json["reason"], &json["idp"]), (&Value::Bool(true), &Value::Null, &"corp".into()));
    assert_eq!(json["subject"]["name_id"], "ada@example.com");
    assert_eq!(json["subject"]["format"], EMAIL);
    assert_eq!(json["subject"]["session_index"], "s1");
    assert_eq!(json["attributes"]["groups"], serde_json::json!(["staff", "admin"]));
    assert_eq!((&json["identity"]["user"], &json["identity"]["role"]), (&"ada@example.com".into(), &"admin".into()));
    let checks = json["checks"].as_array().expect("checks");
    assert!(checks.len() > 8 && checks.iter().all(|check| check["ok"] == true), "{checks:?}");
    assert!(checks.iter().all(|check| check["name"].is_string() && check["detail"].is_string()), "{checks:?}");
}

#[test]
fn explain_takes_what_an_operator_has_at_hand() {
    let folder = Folder::new();
    let config = folder.path("samlgate.toml");
    let base64 = response().base64();
    let body = super::support::browser::encode(&[("SAMLResponse", &base64), ("RelayState", "/x")]);
    for given in [response().build(), base64.clone(), format!("{base64}\n"), body] {
        let (status, text, _) = explain(&folder, &config, &given, &["--at", AT]);
        assert_eq!(status, Some(0), "{text}");
    }
    let mut child = samlgate()
        .args(["explain", "--config", &config, "--at", AT, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("a pipe").write_all(base64.as_bytes()).expect("it reads");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

/// What an IdP handed out for an artifact, saved by whoever looks after it.
#[test]
fn explain_takes_an_answer_to_an_artifact() {
    let folder = Folder::new();
    let config = folder.path("samlgate.toml");
    let saved = |message: &str| FakeIdp::new(IDP).artifact_response("_whatever", message).envelope();
    let (status, text, json) = explain(&folder, &config, &saved(&response().build()), &["--at", AT]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("an IdP's answer to an artifact") && json["accepted"] == true, "{text}");
    let (status, text, json) = explain(&folder, &config, &saved(&response().unsigned().build()), &["--at", AT]);
    assert_eq!((status, json["reason"].as_str()), (Some(1), Some("signature_missing")), "{text}");
    let (status, text, json) = explain(&folder, &config, &saved(""), &["--at", AT]);
    assert_eq!((status, json["reason"].as_str()), (Some(1), Some("artifact_unknown")), "{text}");
}

#[test]
fn explain_says_in_plain_words_what_is_wrong() {
    let folder = Folder::new();
    let config = folder.path("samlgate.toml");
    folder.write("other.xml", &FakeIdp::with_key(IDP, OTHER, super::support::fake_idp::Algorithm::RsaSha256).metadata(SSO));
    let other_certificate = folder.changed("certificate.toml", "idp.xml", "other.xml");
    let other_name = folder.changed("attribute.toml", r#"from = ["groups"]"#, r#"from = ["Groups"]"#);
    type Case<'a> = (&'a str, &'a str, &'a str, String, &'a [&'a str], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (
            "audience",
            "audience_mismatch",
            &config,
            response().audience(Some("https://old.example/sp")).build(),
            &["--at", AT],
            &["https://old.example/sp", "https://app.example/_samlgate/metadata"],
        ),
        (
            "clock",
            "expired",
            &config,
            response().lifetime(Duration::from_secs(60)).build(),
            &["--at", "2026-03-01T12:04:00Z"],
            &["2026-03-01T12:01:00Z", "clock"],
        ),
        (
            "clock",
            "not_yet_valid",
            &config,
            response().build(),
            &["--at", "2026-03-01T11:50:00Z"],
            &["2026-03-01T12:00:00Z", "clock"],
        ),
        ("certificate", "signature_invalid", &other_certificate, response().build(), &["--at", AT], &["certificate"]),
        ("attribute", "attribute_missing", &other_name, response().build(), &["--at", AT], &["Groups", "groups"]),
        (
            "value",
            "value_not_allowed",
            &config,
            FakeIdp::new(IDP).response().attribute("groups", &["guest"]).build(),
            &["--at", AT],
            &["guest"],
        ),
        (
            "request",
            "in_response_to_mismatch",
            &config,
            response().build(),
            &["--at", AT, "--request-id", "_1"],
            &["InResponseTo"],
        ),
        ("unsigned", "signature_missing", &config, response().unsigned().build(), &["--at", AT], &["sign"]),
        (
            "issuer",
            "unknown_issuer",
            &config,
            response().issuer("https://evil.example").build(),
            &["--at", AT],
            &["https://evil.example"],
        ),
        ("garbage", "not_xml", &config, "<Response".to_owned(), &["--at", AT], &[]),
    ];
    for (what, code, config, response, more, words) in cases {
        let (status, text, json) = explain(&folder, config, response, more);
        assert_eq!(status, Some(1), "{what}: {text}");
        assert_eq!((&json["accepted"], &json["reason"]), (&Value::Bool(false), &(*code).into()), "{what}: {text}");
        assert!(text.contains(code), "{what}: {text}");
        for word in *words {
            assert!(text.contains(word), "{what}: no {word:?} in {text}");
        }
        assert_eq!(json["identity"], Value::Null, "{what}");
    }
}

#[test]
fn explain_answers_to_a_request_by_its_id() {
    let folder = Folder::new();
    let config = folder.path("samlgate.toml");
    let solicited = response().in_response_to("_42").build();
    let (status, text, _) = explain(&folder, &config, &solicited, &["--at", AT, "--request-id", "_42"]);
    assert_eq!(status, Some(0), "{text}");
    let (status, text, json) = explain(&folder, &config, &solicited, &["--at", AT]);
    assert_eq!((status, &json["reason"]), (Some(1), &"in_response_to_mismatch".into()), "{text}");
    assert!(text.contains("--request-id _42"), "{text}");
}

#[test]
fn explain_without_a_request_id_blames_nobody() {
    let folder = Folder::new();
    let config = folder.path("samlgate.toml");
    let solicited = response().in_response_to("_42").build();
    let (_, text, json) = explain(&folder, &config, &solicited, &["--at", AT]);
    assert!(!text.contains("bookmark"), "{text}");
    assert!(json["detail"].as_str().is_some_and(|detail| detail.contains("--request-id _42")), "{json}");
    let last = json["checks"].as_array().and_then(|checks| checks.last()).expect("checks");
    assert_eq!((&last["ok"], last["detail"].as_str().map(|detail| detail.contains("bookmark"))), (&false.into(), Some(false)));
    let (_, text, _) = explain(&folder, &config, &solicited, &["--at", AT, "--request-id", "_43"]);
    assert!(text.contains("bookmark"), "{text}");
    let output = run(&["explain", "--config", &config, "--request-id", "", &folder.path("response")]);
    assert_eq!(output.status.code(), Some(64), "{}", err(&output));
}

#[test]
fn explain_shows_the_check_that_failed_however_early() {
    let folder = Folder::new();
    let config = folder.path("samlgate.toml");
    let two = format!(
        "SAMLResponse={0}&SAMLResponse={0}",
        super::support::browser::encode(&[("x", &response().base64())]).replace("x=", "")
    );
    for (input, reason, check) in [
        ("<Response", "not_xml", "form"),
        ("<a/>", "wrong_document", "structure"),
        ("!", "not_base64", "form field"),
        ("SAMLResponse=&RelayState=x", "not_base64", "form field"),
        (&two, "bad_request", "form field"),
    ] {
        let (status, text, json) = explain(&folder, &config, input, &["--at", AT]);
        assert_eq!((status, &json["reason"]), (Some(1), &reason.into()), "{text}");
        let last = json["checks"].as_array().and_then(|checks| checks.last()).unwrap_or(&Value::Null);
        assert_eq!((&last["name"], &last["ok"]), (&check.into(), &false.into()), "{text}");
    }
}

#[test]
fn explain_says_that_there_is_nothing() {
    let folder = Folder::new();
    folder.write("nothing", " \n");
    let output = run(&["explain", "--config", &folder.path("samlgate.toml"), &folder.path("nothing")]);
    assert_eq!(output.status.code(), Some(64));
    assert!(err(&output).contains("nothing is empty"), "{}", err(&output));
}

#[test]
fn explain_has_the_fields_of_an_identity_and_no_other() {
    let folder = Folder::new();
    let extra = "[identity.extra.department]\nfrom = [\"groups\"]\n[identity.role]";
    let config = folder.changed("extra.toml", "[identity.role]", extra);
    let (status, text, json) = explain(&folder, &config, &response().build(), &["--at", AT]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("department"), "{text}");
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&json["identity"]), ["email", "groups", "name", "role", "tenant", "user"]);
    assert_eq!(keys(&json), ["accepted", "attributes", "checks", "detail", "identity", "idp", "reason", "subject"]);
}

#[test]
fn a_foreign_variable_may_hold_anything() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = Folder::new();
    let not_utf_8 = std::ffi::OsStr::from_bytes(b"\xff");
    let check = |name: &str| {
        let mut command = samlgate();
        command.args(["check", "--config", &folder.path("samlgate.toml")]).env(name, not_utf_8).output().expect("the binary runs")
    };
    assert_eq!(check("FOO").status.code(), Some(0));
    let output = check("SAMLGATE_LOG__LEVEL");
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(err(&output), "SAMLGATE_LOG__LEVEL: is not UTF-8\n");
}

#[test]
fn check_and_run_agree_about_data_dir() {
    let folder = Folder::new();
    folder.write("assertion.key", "junk");
    let config = folder.changed("data.toml", "[listen]", "data_dir = \".\"\n[listen]");
    for command in ["check", "run"] {
        let output = run(&[command, "--config", &config]);
        assert_eq!(output.status.code(), Some(64), "{command}: {}", err(&output));
        assert!(err(&output).starts_with("data_dir: "), "{}", err(&output));
    }
}

#[test]
fn what_cannot_start_says_so_even_without_a_log() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let text = CONFIG.replace("ops_address = \"127.0.0.1:0\"", &format!("ops_address = \"{address}\""));
    folder.write("off.toml", &format!("{text}\n[log]\nlevel = \"off\"\n"));
    let output = run(&["run", "--config", &folder.path("off.toml")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("cannot start"), "{}", err(&output));
}

#[test]
fn explain_names_a_missing_file() {
    let folder = Folder::new();
    let output = run(&["explain", "--config", &folder.path("samlgate.toml"), "/nonexistent/response"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(err(&output).contains("/nonexistent/response"));
}

/// A running samlgate that is killed when the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn asks_for_a_login(port: u16) {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream
        .write_all(b"GET /data HTTP/1.1\r\nHost: app.example\r\nAccept: application/json\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[test]
fn run_serves_until_it_is_told_to_end() {
    for signal in ["-TERM", "-INT"] {
        let folder = Folder::new();
        let (port, ops_port) = (free_port(), free_port());
        let addresses = format!("address = \"127.0.0.1:{port}\"\nops_address = \"127.0.0.1:{ops_port}\"");
        let config = folder.changed("run.toml", "address = \"127.0.0.1:0\"\nops_address = \"127.0.0.1:0\"", &addresses);
        assert_ne!(run(&["healthcheck", "--config", &config]).status.code(), Some(0), "nobody is there yet");

        let child = samlgate().args(["run", "--config", &config]).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut running = Running(child);
        let log = BufReader::new(running.0.stderr.take().expect("a pipe"));
        let reader = std::thread::spawn(move || log.lines().map_while(Result::ok).collect::<Vec<_>>());
        let end = Instant::now() + Duration::from_secs(20);
        while run(&["healthcheck", "--config", &config]).status.code() != Some(0) {
            assert!(Instant::now() < end, "samlgate didn't get ready");
        }
        asks_for_a_login(port);

        let told = Command::new("kill").arg(signal).arg(running.0.id().to_string()).status().expect("kill runs");
        assert!(told.success());
        assert_eq!(running.0.wait().expect("it ends").code(), Some(0), "{signal}");
        let lines = reader.join().expect("the log was read");
        assert!(!lines.is_empty(), "something is logged at the start");
        for line in &lines {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(entry["level"].is_string(), "{line}");
        }
        assert!(!lines.concat().contains("PRIVATE"));
    }
}

#[test]
fn a_socket_can_be_passed_on() {
    let folder = Folder::new();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("an address").port();
    let config = folder.changed(
        "run.toml",
        "address = \"127.0.0.1:0\"\nops_address = \"127.0.0.1:0\"",
        "address = \"systemd\"\nops_address = \"off\"",
    );
    let alone = run(&["run", "--config", &config]);
    assert_eq!(alone.status.code(), Some(1));
    assert!(err(&alone).contains("0 sockets were passed on"), "{}", err(&alone));

    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).expect("it is inherited");
    let number = std::os::fd::AsRawFd::as_raw_fd(&socket);
    let command = format!("LISTEN_PID=$$ LISTEN_FDS=1 exec {} run --config {config} 3<&{number}", env!("CARGO_BIN_EXE_samlgate"));
    let child = Command::new("bash").args(["-c", &command]).stderr(Stdio::null()).spawn().expect("bash runs");
    let _running = Running(child);
    drop(socket);
    // Nobody is refused, however early.
    asks_for_a_login(port);
}

#[test]
fn an_address_that_is_taken_is_said() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let config = folder.changed("taken.toml", "ops_address = \"127.0.0.1:0\"", &format!("ops_address = \"{address}\""));
    let output = run(&["run", "--config", &config]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains(&address), "{}", err(&output));
}

#[test]
fn a_data_plane_that_cannot_go_on_ends_the_process() {
    // Eight workers take four files each (two for the event loop, one to be woken by, one to listen), everything else takes thirty. With
    // fewer, something can't begin, and what it is differs from machine to machine: often some workers listen already.
    for limit in (20..=44).step_by(2) {
        let folder = Folder::new();
        let (port, ops_port) = (free_port(), free_port());
        let addresses = format!("address = \"127.0.0.1:{port}\"\nworkers = 8\nops_address = \"127.0.0.1:{ops_port}\"");
        let config = folder.changed("run.toml", "address = \"127.0.0.1:0\"\nops_address = \"127.0.0.1:0\"", &addresses);
        let command = format!("ulimit -n {limit} && exec {} run --config {config}", env!("CARGO_BIN_EXE_samlgate"));
        let child = Command::new("sh").args(["-c", &command]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut running = Running(child.expect("sh runs"));
        let end = Instant::now() + Duration::from_secs(60);
        let status = loop {
            assert!(Instant::now() < end, "it goes on with {limit} files");
            match running.0.try_wait().expect("it can be asked") {
                Some(status) => break status,
                None => std::thread::yield_now(),
            }
        };
        let mut said = String::new();
        running.0.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        assert_eq!(status.code(), Some(1), "{limit}: {said}");
        assert!(said.contains("samlgate"), "{limit}: {said}");
    }
}
