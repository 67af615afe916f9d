//! The targets: what each does with hostile octets, and what must hold.

pub(crate) mod cookie;
pub(crate) mod encrypted;
pub(crate) mod logout_message;
pub(crate) mod metadata;
pub(crate) mod redirect_query;
pub(crate) mod resigned;
pub(crate) mod response;
pub(crate) mod return_path;

use samlgate::saml::both_engines::Order;

/// Which engine is asked first.
fn order(choice: u8) -> Order {
    if choice & 1 == 0 { Order::FirstThenSecond } else { Order::SecondThenFirst }
}
