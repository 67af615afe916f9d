//! How work that takes milliseconds makes room for requests.

/// Lets another thread have this core, if one waits for it. Called between the parts of work that strangers can cause.
///
/// A lower priority alone says how time is shared in the long run; a thread that just began may still keep its core until the
/// scheduler's next tick, some milliseconds later, although a request is waiting. Costs less than a microsecond when nobody waits.
pub(crate) fn give_way() {
    std::thread::yield_now();
}
