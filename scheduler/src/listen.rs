//! Where a process listens: on this machine alone unless it is told otherwise, and known to be free before anything is begun.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use engine::{Error, Result};
use schemas::problem::Problem;
use tokio::net::TcpListener;

/// Whoever reaches a port without TLS can read and write all that the process can. So other machines reach it only with
/// TLS, or where the operator says that the network is private.
///
/// # Errors
/// `PK710`.
pub(crate) fn allowed(address: IpAddr, tls: bool, allow_plaintext: bool) -> Result<()> {
    if address.is_loopback() || tls || allow_plaintext {
        return Ok(());
    }
    let problem =
        Problem::error("PK710", format!("{address} can be reached from other machines, and nobody would have to say who they are"));
    Err(Error::configuration(
        problem.hint("set cluster.ca, cluster.cert and cluster.key; on a private network add --allow-plaintext; or listen on 127.0.0.1"),
    ))
}

/// A listener; port 0 is any free port.
///
/// # Errors
/// `PK711`: the port is taken, or the address is not one of this machine.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| taken(address, &error))
}

/// Free ports for servers that will bind them by number, as many as `wanted`, where 0 is any. Each is free on all of the
/// addresses.
///
/// # Errors
/// `PK711`.
pub(crate) fn free_ports<const N: usize>(addresses: &[IpAddr], wanted: [u16; N]) -> Result<[u16; N]> {
    // All are held until all are found, or the same port might be found twice.
    let mut held = Vec::new();
    let mut found = [0; N];
    for (found, wanted) in found.iter_mut().zip(wanted) {
        let mut port = wanted;
        for address in addresses {
            let address = SocketAddr::new(*address, port);
            let listener = std::net::TcpListener::bind(address).map_err(|error| taken(address, &error))?;
            port = listener.local_addr().map_err(|error| taken(address, &error))?.port();
            held.push(listener);
        }
        *found = port;
    }
    Ok(found)
}

fn taken(address: SocketAddr, error: &io::Error) -> Error {
    let (what, hint) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            format!("port {} is taken at {}", address.port(), address.ip()),
            "name another one, or 0 for any free port; `ss -ltnp` shows who has it".to_owned(),
        ),
        io::ErrorKind::AddrNotAvailable => (
            format!("{} is no address of this machine", address.ip()),
            "name one of this machine's, such as 127.0.0.1; 0.0.0.0 is all of them".to_owned(),
        ),
        _ => (format!("cannot listen at {address}: {error}"), "name another address or port".to_owned()),
    };
    Error::configuration(Problem::error("PK711", what).hint(hint))
}

/// The name under which others find a process that listens at `address`: as told, or the address; where that is all of this
/// machine's, the one from which `peer` would be reached.
pub(crate) fn advertised(told: Option<&str>, address: IpAddr, peer: SocketAddr) -> String {
    match told {
        Some(told) => told.to_owned(),
        None if address.is_unspecified() => in_url(outward(peer)),
        None => in_url(address),
    }
}

/// An address as it stands in a URL.
pub(crate) fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The address of this machine on the way to another. Nothing is sent: a datagram socket only looks up its route.
pub(crate) fn outward(peer: SocketAddr) -> IpAddr {
    let any = if peer.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) };
    let route = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(peer)?;
        socket.local_addr()
    });
    route.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const ALL: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    #[test]
    fn other_machines_reach_a_process_only_with_tls_or_when_told_so() {
        assert!(allowed(HERE, false, false).is_ok());
        assert!(allowed(IpAddr::V6(Ipv6Addr::LOCALHOST), false, false).is_ok());
        assert!(allowed(ALL, true, false).is_ok());
        assert!(allowed(ALL, false, true).is_ok());
        let error = allowed(ALL, false, false).unwrap_err().to_string();
        assert!(error.contains("PK710") && error.contains("--allow-plaintext"), "{error}");
    }

    #[test]
    fn free_ports_differ_and_a_taken_one_is_named() {
        let [a, b] = free_ports(&[HERE], [0, 0]).unwrap();
        assert!(a != b && a > 0 && b > 0);
        let held = std::net::TcpListener::bind((HERE, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let error = free_ports(&[HERE], [port]).unwrap_err().to_string();
        assert!(error.contains("PK711") && error.contains(&port.to_string()), "{error}");
    }

    #[test]
    fn others_are_told_an_address_that_leads_here() {
        let peer = SocketAddr::new(HERE, 50_050);
        assert_eq!(advertised(Some("scheduler"), ALL, peer), "scheduler");
        assert_eq!(advertised(None, HERE, peer), "127.0.0.1");
        assert_eq!(advertised(None, ALL, peer), "127.0.0.1");
        assert_eq!(advertised(None, IpAddr::V6(Ipv6Addr::LOCALHOST), peer), "[::1]");
    }
}
