//! The PROXY protocol (HAProxy's, versions 1 and 2): a load balancer that only passes octets on says whose they are.

use std::io;
use std::net::IpAddr;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How version 2 begins; so long no header of version 1 is shorter either.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header of version 1.
const LONGEST_1: usize = 107;
/// Longest of version 2 that is read: addresses, and what balancers say beside.
const LONGEST_2: usize = 2048;

/// Takes the header from the front of a connection, and not an octet more: whose connection it is. `None` when the balancer speaks
/// for itself, as for its health checks.
///
/// # Errors
/// `UnexpectedEof` when the connection ends first, `InvalidData` when there is no header or a malformed one.
pub(crate) async fn take(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await?;
        let [_, _, high, low] = rest;
        header.extend(rest);
        let fixed = header.len();
        let length = fixed + usize::from(u16::from_be_bytes([high, low]));
        if length > LONGEST_2 {
            return Err(malformed());
        }
        header.resize(length, 0);
        stream.read_exact(header.get_mut(fixed..).unwrap_or_default()).await?;
    } else {
        while header.starts_with(b"PROXY ") && !header.ends_with(b"\r\n") && header.len() < LONGEST_1 {
            header.push(stream.read_u8().await?);
        }
    }
    let config = ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true };
    match ProxyHeader::parse(&header, config) {
        Ok((parsed, length)) if length == header.len() => {
            Ok(parsed.proxied_address().map(|address| address.source.ip().to_canonical()))
        }
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(octets: &[u8]) -> Result<(Option<String>, Vec<u8>), io::ErrorKind> {
        let mut stream = octets;
        let address = take(&mut stream).await.map_err(|error| error.kind())?;
        Ok((address.map(|address| address.to_string()), stream.to_vec()))
    }

    /// Version 2: command and version, family and protocol, what follows.
    fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    #[tokio::test]
    async fn a_header_says_whose_connection_it_is_and_nothing_after_it_is_lost() {
        let four = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x34, 1, 0xbb];
        let six = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 16], &[0, 1, 0, 2]].concat();
        for (header, address) in [
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 4660 443\r\n".to_vec(), Some("203.0.113.7")),
            (b"PROXY TCP6 2001:db8::7 ::1 4660 443\r\n".to_vec(), Some("2001:db8::7")),
            (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 4660 443\r\n".to_vec(), Some("203.0.113.7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (second(0x21, 0x11, &four), Some("203.0.113.7")),
            (second(0x21, 0x21, &six), Some("2001:db8::7")),
            (second(0x21, 0x11, &[&four[..], &[4, 0, 1, 0]].concat()), Some("203.0.113.7")),
            (second(0x20, 0, &[]), None),
        ] {
            let octets = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(taken(&octets).await, Ok((address.map(str::to_owned), b"GET / HTTP/1.1\r\n".to_vec())), "{header:?}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for octets in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"PROXY TCP4 203.0.113.7\r\n          ",
            b"PROXY TCP4 999.0.113.7 10.0.0.1 4660 443\r\n",
            b"proxy tcp4 203.0.113.7 10.0.0.1 4660 443\r\n",
            &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat(),
            &second(0x31, 0x11, &[0; 12]),
            &second(0x21, 0x11, &[0; 3]),
            &second(0x21, 0x11, &[0; 3000]),
        ] {
            assert_eq!(taken(octets).await.unwrap_err(), io::ErrorKind::InvalidData, "{octets:?}");
        }
        for short in [&b""[..], b"PROXY TCP4 203.0", &second(0x21, 0x11, &[0; 12])[..20]] {
            assert_eq!(taken(short).await.unwrap_err(), io::ErrorKind::UnexpectedEof, "{short:?}");
        }
    }
}
