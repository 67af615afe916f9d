//! The bodies that we read ourselves: which, how large, and how much of them at once.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Problem;

/// Largest response: 256 KiB in base64, with room for escapes.
const MAX_RESPONSE: usize = 512 * 1024;
/// Largest logout message, as it is sent: they are small, and anybody can send them.
const MAX_LOGOUT: usize = 128 * 1024;
/// Largest form of our own.
const MAX_OWN_FORM: usize = 8 * 1024;
/// How many octets of bodies are kept at once, in the whole process. While it is read, a response needs a few times its size.
const MAX_KEPT: usize = 64 * 1024 * 1024;
/// How long a body may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest body that an endpoint reads; the path is without prefix. Nothing else has its body read at all.
pub(super) fn most(method: &Method, path: &str) -> Option<usize> {
    if method != Method::POST {
        return None;
    }
    match path {
        "/acs" => Some(MAX_RESPONSE),
        "/slo" | "/slo/soap" => Some(MAX_LOGOUT),
        "/logout" | "/login" => Some(MAX_OWN_FORM),
        _ => path.strip_prefix("/acs/").filter(|idp| !idp.is_empty() && !idp.contains('/')).map(|_| MAX_RESPONSE),
    }
}

/// Room for bodies, for all requests together.
pub(super) struct Bodies {
    room: Arc<Semaphore>,
}

/// A body that is here. It takes room until it is dropped.
#[derive(Default)]
pub(super) struct Whole {
    pub(super) octets: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    pub(super) fn new() -> Self {
        Self::with_room(MAX_KEPT)
    }

    fn with_room(octets: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(octets)) }
    }

    /// Reads a body of at most `most` octets.
    ///
    /// # Errors
    /// `PayloadTooLarge`; `RequestTimeout`; `Busy` when there is no room for what arrives; `BadRequest` when it breaks off.
    pub(super) async fn read<B>(&self, body: B, most: usize) -> Result<Whole, Problem>
    where
        B: http_body::Body<Data = Bytes>,
    {
        if body.size_hint().lower() > most as u64 {
            return Err(Problem::PayloadTooLarge);
        }
        tokio::time::timeout(TIMEOUT, self.collect(body, most)).await.unwrap_or(Err(Problem::RequestTimeout))
    }

    /// Room is taken as the octets arrive: a length that is only promised takes none.
    async fn collect<B>(&self, body: B, most: usize) -> Result<Whole, Problem>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let mut body = pin!(body);
        let mut octets = BytesMut::new();
        let mut room: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::BadRequest("The request's body didn't arrive whole."))?;
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > most.saturating_sub(octets.len()) {
                return Err(Problem::PayloadTooLarge);
            }
            let size = u32::try_from(data.len()).map_err(|_| Problem::PayloadTooLarge)?;
            let more = Arc::clone(&self.room).try_acquire_many_owned(size).map_err(|_| Problem::Busy)?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            octets.extend_from_slice(&data);
            // A large body is not read in one go: others have their turn.
            tokio::task::yield_now().await;
        }
        Ok(Whole { octets: octets.freeze(), _room: room })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn body(size: usize) -> Full<Bytes> {
        Full::new(Bytes::from(vec![b'x'; size]))
    }

    #[test]
    fn few_kinds_of_posts_have_a_body() {
        for (path, expected) in [
            ("/acs", Some(MAX_RESPONSE)),
            ("/acs/corp", Some(MAX_RESPONSE)),
            ("/logout", Some(MAX_OWN_FORM)),
            ("/acs/", None),
            ("/acs/a/b", None),
            ("/acsx", None),
            ("/login", Some(MAX_OWN_FORM)),
            ("/test", None),
            ("/slo", Some(MAX_LOGOUT)),
            ("/slo/soap", Some(MAX_LOGOUT)),
            ("/slo/", None),
            ("/", None),
        ] {
            assert_eq!(most(&Method::POST, path), expected, "{path}");
            assert_eq!(most(&Method::GET, path), None, "{path}");
            assert_eq!(most(&Method::PUT, path), None, "{path}");
        }
    }

    #[tokio::test]
    async fn all_bodies_together_have_a_bound() {
        let bodies = Bodies::with_room(100);
        let first = bodies.read(body(70), 80).await.unwrap();
        assert_eq!(first.octets.len(), 70);
        assert_eq!(bodies.read(body(31), 80).await.err(), Some(Problem::Busy));
        let second = bodies.read(body(30), 80).await.unwrap();
        drop(first);
        assert_eq!(bodies.read(body(70), 80).await.map(|whole| whole.octets.len()).ok(), Some(70));
        drop(second);
        assert_eq!(bodies.room.available_permits(), 100);
    }

    #[tokio::test]
    async fn what_is_refused_gives_its_room_back() {
        let bodies = Bodies::with_room(100);
        // No length is promised, so it is found to be too large only when it arrives.
        let frames = |sizes: [usize; 2]| {
            let frames = sizes.map(|size| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(vec![b'x'; size]))));
            http_body_util::StreamBody::new(futures_util::stream::iter(frames))
        };
        assert_eq!(bodies.read(frames([50, 31]), 80).await.err(), Some(Problem::PayloadTooLarge));
        assert_eq!(bodies.read(frames([60, 60]), 200).await.err(), Some(Problem::Busy));
        assert_eq!(bodies.read(body(81), 80).await.err(), Some(Problem::PayloadTooLarge));
        assert_eq!(bodies.room.available_permits(), 100);
        assert_eq!(bodies.read(frames([50, 30]), 80).await.map(|whole| whole.octets.len()).ok(), Some(80));
    }
}
