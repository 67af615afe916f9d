//! The commands (INTERFACE, "Commands").

mod check;
mod explain;
mod fetched;
mod healthcheck;
mod keygen;
mod metadata;
mod ops_client;
mod refresh;
mod sessions;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config};

/// Exit code for a wrong command line or configuration (sysexits: EX_USAGE).
const USAGE: u8 = 64;

/// SAML 2.0 single sign-on in front of a web application that stays as it is.
#[derive(Debug, Parser)]
#[command(name = "samlgate", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve
    Run(ConfigFile),
    /// Check the configuration as `run` does, fetch metadata as `run` does, print a summary, start nothing
    Check(ConfigFile),
    /// Print the SP metadata XML, to be given to the IdP
    Metadata(metadata::Arguments),
    /// Verify a SAML response exactly as the assertion consumer service would, and say what was checked and what failed
    Explain(explain::Arguments),
    /// Make sp.key, sp.crt (RSA 3072, self-signed, 5 years) and assertion.key (EC P-256); never overwrites
    Keygen(keygen::Arguments),
    /// Hash a password for a local user (not available in this version)
    HashPassword,
    /// Make a TOTP secret for a local user (not available in this version)
    Totp {
        /// The local user's name
        name: String,
    },
    /// Have the running instance look at the metadata of all identity providers now, through its ops address
    Refresh(ConfigFile),
    /// Show or end sessions of the running instance, through its ops address
    Sessions(sessions::Arguments),
    /// Print the JSON schema of the configuration
    Schema,
    /// Exit with 0 when the running instance is ready
    Healthcheck(ConfigFile),
}

/// Which configuration.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file; otherwise $SAMLGATE_CONFIG, ./samlgate.toml, /etc/samlgate/samlgate.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// The configuration, or the exit code after every mistake was printed.
    fn load(&self) -> Result<Config, ExitCode> {
        config::load(self.config.as_deref(), std::env::vars_os(), SystemClock.now()).map_err(|problems| {
            say_error(&problems.to_string());
            ExitCode::from(USAGE)
        })
    }
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let wrong = error.use_stderr();
            drop(error.print());
            return if wrong { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::Run(file) => with(&file, run),
        Command::Check(file) => with(&file, check::run),
        Command::Metadata(arguments) => metadata::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Keygen(arguments) => keygen::run(&arguments),
        Command::Refresh(file) => with(&file, |config| refresh::run(&config)),
        Command::Sessions(arguments) => sessions::run(&arguments),
        Command::Schema => say(&config::schema()),
        Command::Healthcheck(file) => with(&file, |config| healthcheck::run(&config)),
        Command::HashPassword | Command::Totp { .. } => {
            say_error("local users are not available in this version");
            ExitCode::from(USAGE)
        }
    }
}

fn with(file: &ConfigFile, command: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match file.load() {
        Ok(config) => command(config),
        Err(code) => code,
    }
}

fn run(config: Config) -> ExitCode {
    match crate::app::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let what = if matches!(error, crate::app::AppError::Ended(_)) { "cannot go on" } else { "cannot start" };
            say_error(&format!("samlgate {what}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a command's result. A reader that has gone (`| head`) is no reason to panic, but it is one to fail.
fn say(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn say_error(text: &str) {
    drop(writeln!(std::io::stderr(), "{}", text.trim_end()));
}
