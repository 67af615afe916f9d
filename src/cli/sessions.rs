//! `samlgate sessions`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::ops_client::{Answer, ask};
use super::{ConfigFile, USAGE, say, say_error};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List live sessions
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End one session, or all of a user
    Revoke {
        #[command(flatten)]
        file: ConfigFile,
        /// The session's public id, as `list` shows it
        #[arg(required_unless_present = "user", conflicts_with = "user")]
        sid: Option<String>,
        /// All sessions of this user
        #[arg(long)]
        user: Option<String>,
    },
}

#[derive(Deserialize)]
struct Listing {
    sessions: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    sid: String,
    user: String,
    role: Option<String>,
    idp: String,
    last_seen: String,
    expires: String,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (file, method, target, json) = match &arguments.action {
        Action::List { file, json } => (file, "GET", "/sessions".to_owned(), *json),
        Action::Revoke { file, sid, user } => {
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let target = match (sid, user) {
                (_, Some(user)) => format!("/sessions?user={}", encode(user)),
                (Some(sid), None) => format!("/sessions/{}", encode(sid)),
                (None, None) => return ExitCode::from(USAGE),
            };
            (file, "DELETE", target, true)
        }
    };
    let config = match file.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Some(address) = config.listen.ops_address else {
        say_error("listen.ops_address is \"off\", so nobody can be asked");
        return ExitCode::FAILURE;
    };
    match ask(address, method, &target) {
        Ok(Answer { status: 200, body }) if json => say(&body),
        Ok(Answer { status: 200, body }) => match serde_json::from_str(&body) {
            Ok(listing) => say(&table(&listing)),
            Err(error) => failed(&format!("an answer that can't be read: {error}")),
        },
        Ok(Answer { status: 404, .. }) => failed("there is no such session"),
        Ok(answer) => failed(&format!("{}: {}", answer.status, answer.body)),
        Err(error) => failed(&format!("no answer from {address}: {error}")),
    }
}

fn failed(why: &str) -> ExitCode {
    say_error(why);
    ExitCode::FAILURE
}

fn table(listing: &Listing) -> String {
    let mut text = format!("{:<24}  {:<30}  {:<12}  {:<12}  {:<20}  EXPIRES", "SESSION", "USER", "ROLE", "IDP", "LAST SEEN");
    for row in &listing.sessions {
        // Names come from an IdP: shown escaped, so that none can draw on the terminal.
        let user = row.user.escape_debug().to_string();
        let role = row.role.as_deref().unwrap_or("-").escape_debug().to_string();
        let _ =
            write!(text, "\n{:<24}  {user:<30}  {role:<12}  {:<12}  {:<20}  {}", row.sid, row.idp, row.last_seen, row.expires);
    }
    text
}
