//! `samlgate healthcheck`, for container health checks.

use std::process::ExitCode;

use super::ops_client::ask;
use super::{say, say_error};
use crate::config::Config;

pub(super) fn run(config: &Config) -> ExitCode {
    let Some(address) = config.listen.ops_address else {
        say_error("listen.ops_address is \"off\", so nobody can be asked");
        return ExitCode::FAILURE;
    };
    match ask(address, "GET", "/readyz") {
        Ok(answer) if answer.status == 200 => say("ready"),
        Ok(answer) => {
            say_error(&format!("not ready: {}", answer.body));
            ExitCode::FAILURE
        }
        Err(error) => {
            say_error(&format!("no answer from {address}: {error}"));
            ExitCode::FAILURE
        }
    }
}
