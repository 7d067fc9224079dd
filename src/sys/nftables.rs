//! nftables by netlink: whether a chain or a table is there, which no program need be asked.
//!
//! Invariant: nothing is changed here; the answer is of the calling thread's network namespace.

use std::io;

use nix::libc;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

/// A family of tables (linux/netfilter.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    /// IPv4 and IPv6 in one.
    Inet = 1,
    /// IPv4.
    Ip = 2,
    /// IPv6.
    Ip6 = 10,
}

// linux/netfilter/nfnetlink.h and nf_tables.h.
const SUBSYSTEM: u16 = 10 << 8;
const GET_TABLE: u16 = SUBSYSTEM | 1;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;

// linux/netlink.h.
const HEADER: usize = 16;
const REQUEST: u16 = 1;
const ERROR: u16 = 2;

/// Whether there is such a table.
///
/// # Errors
/// The kernel has no nftables, or says no.
pub fn has_table(family: Family, table: &str) -> io::Result<bool> {
    exists(GET_TABLE, family, &[(TABLE_NAME, table)])
}

/// Whether there is such a chain.
///
/// # Errors
/// The kernel has no nftables, or says no.
pub fn has_chain(family: Family, table: &str, chain: &str) -> io::Result<bool> {
    exists(
        GET_CHAIN,
        family,
        &[(CHAIN_TABLE, table), (CHAIN_NAME, chain)],
    )
}

fn exists(question: u16, family: Family, names: &[(u16, &str)]) -> io::Result<bool> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&message(question, family, names), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match refusal(&answer) {
        None => Ok(true),
        Some(libc::ENOENT) => Ok(false),
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// A request: netlink's header, netfilter's (family, version, resource), then names that end with 0.
fn message(question: u16, family: Family, names: &[(u16, &str)]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes.extend([family as u8, 0, 0, 0]);
    for (kind, name) in names {
        let length = u16::try_from(4 + name.len() + 1).unwrap_or(u16::MAX);
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[0..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&question.to_ne_bytes());
    bytes[6..8].copy_from_slice(&REQUEST.to_ne_bytes());
    bytes
}

/// The error number in an answer, if it is one.
fn refusal(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let errno = i32::from_ne_bytes(answer.get(HEADER..HEADER + 4)?.try_into().ok()?);
    (kind == ERROR).then_some(-errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_made_is_not_there() {
        // Which errors there are without the rights to ask is the kernel's affair.
        if let Ok(found) = has_chain(Family::Ip, "no-such-table", "no-such-chain") {
            assert!(!found);
        }
        if let Ok(found) = has_table(Family::Inet, "no-such-table") {
            assert!(!found);
        }
    }

    #[test]
    fn a_message_says_how_long_it_and_its_names_are() {
        let bytes = message(
            GET_CHAIN,
            Family::Ip,
            &[(CHAIN_TABLE, "nat"), (CHAIN_NAME, "CNI")],
        );
        assert_eq!(bytes.len(), 16 + 4 + 8 + 8);
        assert_eq!(bytes[0..8], [36, 0, 0, 0, 4, 10, 1, 0]);
        assert_eq!(bytes[20..28], [8, 0, 1, 0, b'n', b'a', b't', 0]);
    }

    #[test]
    fn only_an_error_is_a_refusal() {
        let mut answer = vec![0; 36];
        assert_eq!(refusal(&answer), None);
        answer[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        answer[16..20].copy_from_slice(&(-libc::ENOENT).to_ne_bytes());
        assert_eq!(refusal(&answer), Some(libc::ENOENT));
        assert_eq!(refusal(&answer[..10]), None);
    }
}
