//! The server's order of groups (`curves` and `ecdhe`, manual section 5.1). The library goes by the client's; it takes the group
//! of a configuration that has no other.

use crate::hello::Hello;
use rustls::ProtocolVersion;
use rustls::crypto::SupportedKxGroup;

/// A group that a server can be made to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its number (RFC 8446 section 4.2.7).
    id: u16,
    /// TLS 1.2 can use it.
    v12: bool,
}

impl Group {
    /// What is to be known of it.
    pub(crate) fn of(group: &dyn SupportedKxGroup) -> Self {
        Self { id: group.name().into(), v12: group.usable_for_version(ProtocolVersion::TLSv1_2) }
    }
}

/// The groups that a server speaks, in its order; none: the order is left to the library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) groups: Vec<Group>,
    /// It speaks TLS 1.3.
    pub(crate) v13: bool,
    /// The client's order counts (`prefer-client-ciphers`), as far as OpenSSL goes by it: in TLS 1.2.
    pub(crate) client: bool,
}

impl Order {
    /// Which one is taken, as an index: in TLS 1.3 the first one that the client has sent a share for, else the first one that the
    /// client has, too. None: the library is to choose.
    pub(crate) fn choose(&self, hello: &Hello) -> Option<usize> {
        if self.groups.is_empty() {
            return None;
        }
        let v13 = self.v13 && hello.speaks(0x0304);
        let usable = |group: &Group| v13 || group.v12;
        let place = |id: u16| self.groups.iter().position(|g| g.id == id && usable(g));
        if v13 && let Some(at) = hello.key_shares().into_iter().find_map(place) {
            return Some(at);
        }
        if self.client && !v13 {
            return None;
        }
        let known = hello.groups();
        self.groups.iter().position(|g| usable(g) && known.contains(&g.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256: Group = Group { id: 0x17, v12: true };
    const P384: Group = Group { id: 0x18, v12: true };
    const HYBRID: Group = Group { id: 0x11ec, v12: false };

    /// A ClientHello with these groups and key shares; with TLS 1.3 if it says so.
    fn hello(v13: bool, groups: &[u16], shares: &[u16]) -> Hello {
        let numbers = |list: &[u16]| list.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
        let counted = |content: Vec<u8>| [&(content.len() as u16).to_be_bytes()[..], &content].concat();
        let shares: Vec<u8> =
            shares.iter().flat_map(|n| [&n.to_be_bytes()[..], &[0, 1, 7]].concat()).collect();
        let mut extensions = Vec::new();
        for (id, content) in [
            (10u16, counted(numbers(groups))),
            (51, counted(shares)),
            (43, vec![2, 3, if v13 { 4 } else { 3 }]),
        ] {
            extensions.extend(id.to_be_bytes());
            extensions.extend(counted(content));
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend(counted(extensions));
        Hello { body: body.into(), ..Hello::default() }
    }

    #[test]
    fn the_servers_order_counts() {
        let order = |groups: &[Group]| Order { groups: groups.to_vec(), v13: true, client: false };
        let (plain, hybrid) = (order(&[P384, P256]), order(&[HYBRID, P256]));
        assert_eq!(plain.choose(&hello(false, &[0x1d, 0x17, 0x18], &[])), Some(0));
        assert_eq!(plain.choose(&hello(true, &[0x1d, 0x17, 0x18], &[0x1d])), Some(0));
        // a share saves asking for another one
        assert_eq!(plain.choose(&hello(true, &[0x17, 0x18], &[0x17])), Some(1));
        let old = Order { v13: false, ..plain.clone() };
        assert_eq!(old.choose(&hello(true, &[0x17, 0x18], &[0x17])), Some(0));
        assert_eq!(plain.choose(&hello(true, &[0x1d], &[0x1d])), None);
        assert_eq!(hybrid.choose(&hello(false, &[0x11ec, 0x17], &[])), Some(1));
        assert_eq!(hybrid.choose(&hello(true, &[0x11ec, 0x17], &[])), Some(0));
        assert_eq!(plain.choose(&Hello::default()), None);
        let client = Order { client: true, ..plain };
        assert_eq!(client.choose(&hello(false, &[0x17, 0x18], &[])), None);
        assert_eq!(client.choose(&hello(true, &[0x1d, 0x17, 0x18], &[0x1d])), Some(0));
    }
}
