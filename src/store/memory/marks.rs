//! Logouts that IdPs have asked for, against logins that race with them.

use std::collections::{BTreeMap, HashMap};

use crate::clock::Timestamp;
use crate::saml::logout::LogoutScope;
use crate::store::logout::{LogoutMark, NewLogin, is_before};

/// What a mark costs beside its texts, about.
const AROUND: usize = 320;

/// Issuer and NameID value.
type Subject = (String, String);

/// Marks, each until its time, with a bound on their memory.
///
/// Only who has an IdP's key can leave any. When there are too many all the same, those that end first become one for all users of
/// their IdP: that refuses more logins than it should, for as long, and never fewer.
pub(super) struct LogoutMarks {
    of_subject: HashMap<Subject, Vec<Kept>>,
    order: BTreeMap<(Timestamp, u64), Subject>,
    for_all: HashMap<String, ForAll>,
    next: u64,
    weight: usize,
    capacity: usize,
}

struct Kept {
    number: u64,
    mark: LogoutMark,
}

/// All of an IdP's logins up to a time are over.
struct ForAll {
    issued: Timestamp,
    until: Timestamp,
}

impl LogoutMarks {
    /// For `capacity` octets.
    pub(super) fn new(capacity: usize) -> Self {
        Self { of_subject: HashMap::new(), order: BTreeMap::new(), for_all: HashMap::new(), next: 0, weight: 0, capacity }
    }

    /// Keeps a mark; false when this very request has left it before.
    pub(super) fn keep(&mut self, mark: LogoutMark, now: Timestamp) -> bool {
        while self.order.first_key_value().is_some_and(|((until, _), _)| *until <= now) {
            self.remove_first();
        }
        self.for_all.retain(|_, all| now < all.until);
        let subject = (mark.scope.issuer.clone(), mark.scope.name_id.value.clone());
        let own = self.of_subject.entry(subject.clone()).or_default();
        if own.iter().any(|kept| kept.mark.request_id == mark.request_id) {
            return false;
        }
        self.weight = self.weight.saturating_add(weight(&mark));
        self.order.insert((mark.until, self.next), subject);
        own.push(Kept { number: self.next, mark });
        self.next += 1;
        while self.weight > self.capacity {
            let Some(mark) = self.remove_first() else { break };
            let all = ForAll { issued: mark.issued, until: mark.until };
            let all = match self.for_all.remove(&mark.scope.issuer) {
                Some(old) => ForAll { issued: old.issued.max(all.issued), until: old.until.max(all.until) },
                None => all,
            };
            self.for_all.insert(mark.scope.issuer, all);
            metrics::counter!("samlgate_logout_marks_merged_total").increment(1);
        }
        true
    }

    /// Whether a mark refuses a login.
    pub(super) fn refuse(&self, login: &NewLogin<'_>, now: Timestamp) -> bool {
        let for_all = self.for_all.get(login.issuer);
        if for_all.is_some_and(|all| now < all.until && is_before(login.issued, all.issued)) {
            return true;
        }
        let own = self.of_subject.get(&(login.issuer.to_owned(), login.name_id.value.clone()));
        own.into_iter().flatten().any(|kept| now < kept.mark.until && kept.mark.refuses(login))
    }

    fn remove_first(&mut self) -> Option<LogoutMark> {
        let ((_, number), subject) = self.order.pop_first()?;
        let own = self.of_subject.get_mut(&subject)?;
        let at = own.iter().position(|kept| kept.number == number)?;
        let mark = own.swap_remove(at).mark;
        if own.is_empty() {
            self.of_subject.remove(&subject);
        }
        self.weight = self.weight.saturating_sub(weight(&mark));
        Some(mark)
    }
}

/// Octets that a mark takes, about.
fn weight(mark: &LogoutMark) -> usize {
    let LogoutScope { issuer, name_id, session_indexes } = &mark.scope;
    let optional = [&name_id.format, &name_id.name_qualifier, &name_id.sp_name_qualifier];
    let optional: usize = optional.into_iter().flatten().map(String::len).sum();
    let indexes: usize = session_indexes.iter().map(|index| size_of::<String>() + index.len()).sum();
    AROUND + size_of::<Kept>() + mark.request_id.len() + 3 * (issuer.len() + name_id.value.len()) + optional + indexes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::{at, login_of, mark_of};

    #[test]
    fn forgets_without_leaving_anything_behind() {
        let mut marks = LogoutMarks::new(1 << 20);
        for n in 0..20 {
            assert!(marks.keep(mark_of(&format!("_{n}"), &format!("u{}", n % 3), &[], at(i64::from(n))), at(20)));
        }
        assert!(!marks.keep(mark_of("_3", "u0", &[], at(3)), at(20)));
        assert_eq!((marks.of_subject.len(), marks.order.len()), (3, 20));
        let last = mark_of("_last", "u", &[], at(10_000));
        assert!(marks.keep(last.clone(), at(10_000)));
        assert_eq!((marks.of_subject.len(), marks.order.len(), marks.weight), (1, 1, weight(&last)));
    }

    #[test]
    fn without_room_it_refuses_more_and_never_less() {
        let one = weight(&mark_of("_00", "u00", &[], at(0)));
        let mut marks = LogoutMarks::new(3 * one);
        for n in 0..10 {
            assert!(marks.keep(mark_of(&format!("_{n:02}"), &format!("u{n:02}"), &[], at(n)), at(10)));
        }
        assert_eq!((marks.order.len(), marks.for_all.len()), (3, 1));
        for n in 0..10 {
            let user = format!("name-u{n:02}");
            assert!(marks.refuse(&login_of(&user).at(at(n)).login(), at(10)), "{n}");
            assert!(!marks.refuse(&login_of(&user).at(at(n + 1).max(at(7))).login(), at(10)), "{n}: the next second");
        }
        assert!(marks.refuse(&login_of("name-stranger").at(at(6)).login(), at(10)), "merged: all of this IdP");
        assert!(!marks.refuse(&login_of("name-stranger").at(at(7)).login(), at(10)));
        assert!(!marks.refuse(&login_of("name-stranger").from("https://other.example.com/").at(at(6)).login(), at(10)));
        let later = mark_of("_", "u", &[], at(0)).until.plus(std::time::Duration::from_secs(6));
        assert!(!marks.refuse(&login_of("name-u00").at(at(6)).login(), later), "it ends as the marks would have");
        assert!(marks.keep(mark_of("_x", "u", &[], at(10_000)), at(10_000)));
        assert!(marks.for_all.is_empty());
    }

    #[test]
    fn one_that_is_too_large_alone_still_counts() {
        let mut marks = LogoutMarks::new(10);
        assert!(marks.keep(mark_of("_1", "u", &["s1"], at(5)), at(5)));
        assert_eq!((marks.order.len(), marks.weight, marks.of_subject.len()), (0, 0, 0));
        assert!(marks.refuse(&login_of("name-u").at(at(5)).login(), at(5)));
    }
}
