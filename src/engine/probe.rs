//! Asking a container whether it answers: a connection, a request.
//!
//! Invariant: nothing of it is left in the container but connections that are closed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;

use super::view::View;
use crate::sys::netns;

/// How long one attempt may take.
pub const ATTEMPT: Duration = Duration::from_secs(2);

/// Connects to a port of the container, from within its network namespace: on its loopback, or on
/// one of its own addresses.
///
/// # Errors
/// Nobody answers there.
pub async fn connect(view: &View, port: u16) -> io::Result<TcpStream> {
    let mut addresses = vec![
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    addresses.extend(
        view.addresses()
            .iter()
            .map(|address| address.address.addr()),
    );
    let attempt = move || {
        let mut refused = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in addresses {
            refused = TcpStream::connect_timeout(&SocketAddr::new(address, port), ATTEMPT);
            if refused.is_ok() {
                break;
            }
        }
        refused
    };
    netns::within(view.netns(), attempt).await
}

/// Whether a request is answered with a status below 400.
///
/// # Errors
/// Nobody answers, or not in HTTP.
pub async fn get(view: &View, port: u16, path: &str) -> io::Result<bool> {
    let stream = connect(view, port).await?;
    stream.set_nonblocking(true)?;
    let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(io::Error::other)?;
    let request = hyper::Request::get(path)
        .header("host", format!("localhost:{port}"))
        .header("user-agent", "netrun")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = async { sender.send_request(request).await.map_err(io::Error::other) };
    tokio::select! {
        answer = answer => Ok(answer?.status().as_u16() < 400),
        _ = connection => Ok(false),
    }
}
