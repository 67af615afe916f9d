//! Rules -> who may pass. Pure.

pub mod assurance;
mod pattern;
pub mod rules;
pub mod target;

pub use assurance::{Assurance, LoginTerms, Visitor};
pub use rules::{Allow, Decision, Forbidden, Permit, Rule, Rules};
pub use target::{Target, TargetError};
