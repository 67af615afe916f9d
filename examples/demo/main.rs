//! `make demo`: three things on localhost that show what samlgate does.
//!
//! - an identity provider with a login page and a portal (`idp.rs`); it signs with another engine than samlgate verifies with,
//! - a small dashboard that has no login of its own and believes headers (`dashboard.rs`),
//! - samlgate in front of it: the real binary, with a configuration file as an operator would write it.
//!
//! Nothing of this is in the product. All keys are made at the start, kept in a temporary folder, and gone at the end.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

mod dashboard;
mod gateway;
mod html;
mod idp;
mod serve;
mod single_logout;

#[path = "../../tests/it/support/fake_idp.rs"]
mod fake_idp;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use samlgate::clock::{Clock as _, SystemClock};
use samlgate::saml::keygen::generate_sp;
use tokio::signal::unix::{SignalKind, signal};

use crate::gateway::Gateway;
use crate::idp::{Idp, ServiceProvider, USERS};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    // The application is `localhost`, the identity provider 127.0.0.1: two sites for a browser, as in real life, so that the
    // cookie rules for cross-site requests are in force.
    let (samlgate_port, ops_port) = (serve::port(8080)?, serve::port(8083)?);
    let idp_listener = serve::listen(8081)?;
    let dashboard_listener = serve::listen(8082)?;
    let application = format!("http://localhost:{samlgate_port}");
    let idp_url = format!("http://127.0.0.1:{}", idp_listener.local_addr()?.port());
    let dashboard_address = dashboard_listener.local_addr()?;

    let now = SystemClock.now();
    let idp_keys = generate_sp("demo identity provider", now)?;
    let sp_keys = generate_sp("demo service provider", now)?;
    let idp = Idp::new(
        &idp_url,
        (&idp_keys.sp_key_pem, &idp_keys.sp_certificate_pem),
        ServiceProvider {
            name: "Dashboard",
            url: application.clone(),
            entity_id: format!("{application}/_samlgate/metadata"),
            acs: format!("{application}/_samlgate/acs"),
            slo: format!("{application}/_samlgate/slo"),
            certificate: sp_keys.sp_certificate_pem.clone(),
        },
    );
    let metadata = idp.metadata();

    serve::start(idp_listener, idp::router(Arc::new(idp)))?;
    serve::start(dashboard_listener, dashboard::router(&idp_url))?;
    let mut gateway = Gateway::start(&gateway::Setup {
        public_url: &application,
        port: samlgate_port,
        ops_port,
        upstream: &format!("http://{dashboard_address}"),
        idp_metadata: &metadata,
        keys: &sp_keys,
    })?;

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let ready = tokio::select! {
        ready = gateway.ready(ops_port) => ready,
        _ = interrupt.recv() => return gateway.stop(),
        _ = terminate.recv() => return gateway.stop(),
    };
    if let Err(error) = ready {
        gateway.stop()?;
        return Err(error);
    }
    print(&application, &idp_url, gateway.configuration());

    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = tokio::time::sleep(Duration::from_millis(200)) => gateway.still_runs()?,
        }
    }
    println!("\nEnding the demo.");
    gateway.stop()
}

fn print(application: &str, idp: &str, configuration: &str) {
    println!("\n  The application      {application}/");
    println!("  A deep link          {application}/reports/q3?region=emea");
    println!("  The portal           {idp}/portal");
    println!("  A magic URL          {idp}/magic?page=/reports/q3%3Fregion%3Demea");
    println!("  A page for all       {application}/status");
    println!("  What you asserted    {application}/_samlgate/test\n");
    println!("  Users:");
    for user in USERS {
        println!("    {:<6} password {:<10} {}", user.name, user.password, user.about);
    }
    println!("\n  samlgate's configuration: {configuration}");
    println!("  Ctrl-C ends everything.\n");
}
