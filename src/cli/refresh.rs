//! `samlgate refresh`: the running instance looks at the IdPs' metadata now.

use std::process::ExitCode;

use super::ops_client::ask;
use super::{say, say_error};
use crate::config::Config;

pub(super) fn run(config: &Config) -> ExitCode {
    let Some(address) = config.listen.ops_address else {
        say_error("listen.ops_address is \"off\", so nobody can be asked");
        return ExitCode::FAILURE;
    };
    match ask(address, "POST", "/metadata/refresh") {
        Ok(answer) if answer.status == 202 => say(&format!("asked; {}", answer.body)),
        Ok(answer) => {
            say_error(&format!("{}: {}", answer.status, answer.body));
            ExitCode::FAILURE
        }
        Err(error) => {
            say_error(&format!("no answer from {address}: {error}"));
            ExitCode::FAILURE
        }
    }
}
