//! `samlgate metadata`: what the IdP's administrator gets.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{ConfigFile, USAGE, say, say_error};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::config::Config;
use crate::saml::sp_metadata;
use crate::token::{SystemEntropy, message_id};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Sign it with the first of sp.keys, for federations and IdPs that check that
    #[arg(long)]
    sign: bool,
    /// Say until when it holds (validUntil): 30d, 12h. Whoever heeds it must get a new one before
    #[arg(long, value_name = "DURATION", value_parser = valid_for)]
    valid_for: Option<Duration>,
}

fn valid_for(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.as_secs() >= 60 => Ok(duration),
        Ok(_) => Err("too short to reach anybody".to_owned()),
        Err(_) => Err("not a duration like 30d or 12h".to_owned()),
    }
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match arguments.file.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    match written(&config, arguments, SystemClock.now()) {
        Ok(xml) => say(&xml),
        Err(why) => {
            say_error(&why);
            ExitCode::from(USAGE)
        }
    }
}

fn written(config: &Config, arguments: &Arguments, now: Timestamp) -> Result<String, String> {
    let sp = &config.service_provider;
    let valid_until = arguments.valid_for.map(|duration| now.plus(duration));
    if !arguments.sign {
        return Ok(sp_metadata::write_until(sp, valid_until));
    }
    let signed = sp_metadata::write_signed(sp, &message_id(&SystemEntropy), valid_until);
    signed.map_err(|error| format!("the metadata can't be signed: {error}"))
}
