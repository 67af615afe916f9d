//! samlgate: a reverse proxy that gives an unchanged web application SAML 2.0 single sign-on.
//!
//! Floors, top to bottom; each imports downward only (a test walks the imports): `app`, `config`, `proxy`, `web`,
//! `metadata`, `login`, `outbound`, `store`, `session`, `access`, `identity`, `saml`, then the ground floor. ARCHITECTURE.md draws the map.

pub mod app;
pub mod cli;
pub mod config;
pub mod proxy;
pub mod web;

pub mod login;
pub mod metadata;
pub mod outbound;
pub mod store;

pub mod access;
pub mod identity;
pub mod saml;
pub mod session;

pub mod clock;
mod give_way;
pub mod public_url;
pub mod return_path;
pub mod texts;
pub mod token;
pub mod web_url;
