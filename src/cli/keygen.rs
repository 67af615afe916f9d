//! `samlgate keygen`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{USAGE, say, say_error};
use crate::clock::{Clock as _, SystemClock};
use crate::saml::keygen::generate_sp;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder to write to
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let here = arguments.out.as_path() == Path::new(".");
    let files =
        ["sp.key", "sp.crt", "assertion.key"].map(|name| if here { PathBuf::from(name) } else { arguments.out.join(name) });
    if let Some(there) = files.iter().find(|file| file.symlink_metadata().is_ok()) {
        say_error(&format!(
            "{} is there already; nothing was written. Move it away first, or give another --out.",
            there.display()
        ));
        return ExitCode::from(USAGE);
    }
    let keys = match generate_sp("samlgate", SystemClock.now()) {
        Ok(keys) => keys,
        Err(error) => {
            say_error(&format!("no keys: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let contents = [(&keys.sp_key_pem, 0o600), (&keys.sp_certificate_pem, 0o644), (&keys.assertion_key_pem, 0o600)];
    let written = fs::create_dir_all(&arguments.out)
        .map_err(|error| (arguments.out.as_path(), error))
        .and_then(|()| files.iter().zip(contents).try_for_each(|(file, (text, mode))| write(file, text, mode)));
    if let Err((file, error)) = written {
        say_error(&format!("cannot write {}: {error}", file.display()));
        return ExitCode::FAILURE;
    }
    // Names in a configuration are relative to its file, which may be anywhere.
    let [key, certificate, assertion] = files
        .map(|file| if here { file } else { fs::canonicalize(&file).unwrap_or(file) })
        .map(|file| file.display().to_string());
    let relative = if here { " (for a configuration file in this folder)" } else { "" };
    say(&format!(
        "wrote {key}, {certificate} and {assertion}{relative}\n\n[sp]\nkeys = [{{ key = {key:?}, certificate = {certificate:?} }}]\n\n\
         [headers.assertion]\nkey = {assertion:?}"
    ))
}

/// Never over a file that is there.
fn write<'f>(file: &'f Path, text: &str, mode: u32) -> Result<(), (&'f Path, io::Error)> {
    let open = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    open.and_then(|mut open| open.write_all(text.as_bytes()).and_then(|()| open.sync_all())).map_err(|error| (file, error))
}
