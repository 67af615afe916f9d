//! Sockets to listen on: one per worker, so that the kernel spreads connections and nobody shares an accept queue.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use listenfd::ListenFd;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::settings::Address;
use super::transport::Transport;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A bound socket that belongs to no event loop yet.
#[derive(Debug)]
pub(crate) enum Bound {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Bound {
    fn as_socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(socket) => SockRef::from(socket),
            Self::Unix(socket) => SockRef::from(socket),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }
}

/// Binds `count` sockets to one address; what the address is (port 0 took a free one).
///
/// # Errors
/// When the address is in use, also by another samlgate, or not ours.
pub(crate) fn bind(address: &Address, count: usize) -> io::Result<(Vec<Bound>, Address)> {
    match address {
        Address::Tcp(address) => {
            // With SO_REUSEPORT a second process could take half of the connections unnoticed: so first without.
            let taken = tcp(*address, false)?.local_addr()?;
            let sockets = (0..count).map(|_| tcp(taken, true).map(Bound::Tcp)).collect::<io::Result<_>>()?;
            Ok((sockets, Address::Tcp(taken)))
        }
        Address::Unix(path) => {
            remove_stale(path)?;
            let first = std::os::unix::net::UnixListener::bind(path)?;
            first.set_nonblocking(true)?;
            let sockets = (0..count).map(|_| first.try_clone().map(Bound::Unix)).collect::<io::Result<_>>()?;
            Ok((sockets, address.clone()))
        }
        Address::Systemd => {
            let first = passed_on()?;
            let sockets = (0..count).map(|_| first.try_clone()).collect::<io::Result<_>>()?;
            Ok((sockets, address.clone()))
        }
    }
}

/// The one socket that this process was started with.
fn passed_on() -> io::Result<Bound> {
    let mut passed = ListenFd::from_env();
    if passed.len() != 1 {
        return Err(io::Error::other(format!("{} sockets were passed on by LISTEN_FDS, and it must be one", passed.len())));
    }
    let bound = match passed.take_tcp_listener(0) {
        Ok(socket) => socket.map(Bound::Tcp),
        Err(_) => passed.take_unix_listener(0).ok().flatten().map(Bound::Unix),
    };
    let listens = bound.filter(|bound| bound.as_socket().is_listener().unwrap_or(false));
    let bound = listens.ok_or_else(|| io::Error::other("what was passed on is no socket that listens (systemd: Accept=no)"))?;
    bound.as_socket().set_nonblocking(true)?;
    Ok(bound)
}

fn tcp(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.ip() == IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// A socket file that nobody listens on any more is left over from a crash.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// A socket in an event loop.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Hands a socket to the current event loop.
    pub(crate) fn new(bound: Bound) -> io::Result<Self> {
        Ok(match bound {
            Bound::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
            Bound::Unix(socket) => Self::Unix(UnixListener::from_std(socket)?),
        })
    }

    /// The next client: transport and address.
    pub(crate) async fn accept(&self) -> io::Result<(Transport, IpAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Transport::Tcp(stream), peer.ip().to_canonical()))
            }
            // Whoever may open the socket's file is on this machine.
            Self::Unix(listener) => Ok((Transport::Unix(listener.accept().await?.0), IpAddr::V4(Ipv4Addr::LOCALHOST))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_0_is_one_port_for_all_and_nobody_else_gets_it() {
        let any = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let (sockets, taken) = bind(&any, 3).unwrap();
        assert_eq!(sockets.len(), 3);
        assert_eq!(bind(&taken, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_stale_socket_file_is_replaced_and_a_live_one_isn_t() {
        let directory = tempfile::tempdir().unwrap();
        let address = Address::Unix(directory.path().join("s.sock"));
        let (first, _) = bind(&address, 2).unwrap();
        assert_eq!(bind(&address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(bind(&address, 1).is_ok());
        let file = directory.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(bind(&Address::Unix(file.clone()), 1).is_err());
        assert!(file.exists());
    }
}
