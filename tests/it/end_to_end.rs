//! The whole of samlgate, from a configuration file to sockets: a browser, an identity provider and an application around it.

mod endpoints;
mod idp_initiated;
mod login_flows;
mod logins_gone_wrong;
mod return_targets;
mod session_life;
