//! Which versions of TLS a client may speak: 1.2 and 1.3, and nothing older.

use std::io::Read as _;

use crate::support::gateway::{Wanted, certificate};
use crate::support::raw::Raw;
use crate::support::upstream::Upstream;

/// Content types of records (RFC 5246 section 6.2.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// A ClientHello of this version with suites that every version has or had (RFC 5246 section 7.4.1.2), as one record.
fn client_hello(version: [u8; 2]) -> Vec<u8> {
    let with_length = |octets: &[u8]| [&u16::try_from(octets.len()).unwrap().to_be_bytes(), octets].concat();
    let suites = [[0xc0, 0x2b], [0xc0, 0x2f], [0xc0, 0x09], [0xc0, 0x13], [0x00, 0x2f], [0x00, 0x0a]].concat();
    let extension = |kind: u8, list: &[u8]| [&[0, kind][..], &with_length(list)].concat();
    let extensions = [
        extension(10, &with_length(&[0, 0x1d, 0, 0x17])), // X25519, P-256
        extension(11, &[1, 0]),                           // points aren't compressed
        extension(13, &with_length(&[4, 3, 8, 4, 4, 1])), // ECDSA and RSA with SHA-256
    ];
    let body = [&version[..], &[7; 32], &[0], &with_length(&suites), &[1, 0], &with_length(&extensions.concat())].concat();
    let handshake = [&[1, 0], &with_length(&body)[..]].concat();
    [&[HANDSHAKE, 3, 1], &with_length(&handshake)[..]].concat()
}

#[test]
fn nothing_below_1_2_is_spoken() {
    let upstream = Upstream::start();
    let directory = tempfile::tempdir().unwrap();
    let mut wanted = Wanted::before(upstream.address);
    wanted.tls = Some(certificate(directory.path()));
    let gateway = wanted.start();
    for (version, answer) in [([3, 3], HANDSHAKE), ([3, 2], ALERT), ([3, 1], ALERT), ([3, 0], ALERT), ([2, 0], ALERT)] {
        let mut raw = Raw::connect(gateway.address);
        raw.send(client_hello(version));
        let mut first = [0];
        raw.stream.read_exact(&mut first).unwrap();
        assert_eq!(first, [answer], "{version:?}");
    }
}
