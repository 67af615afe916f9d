//! Rules -> who may pass. Pure.

mod pattern;
pub mod rules;
pub mod target;

pub use rules::{Allow, Decision, Forbidden, Permit, Rule, Rules};
pub use target::{Target, TargetError};
