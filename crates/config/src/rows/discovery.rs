//! Options of `server` about names: `init-addr`, `resolvers`, `resolve-opts`, `resolve-net`, `resolve-prefer` (manual
//! section 5.2); and `server-template` (manual section 4.2).

use super::server::{self, complain, last};
use crate::addr::Host;
use crate::cx::Cx;
use crate::model::{InitAddr, Server, Template};
use crate::row::{Does, Keyword, Sections, ServerOption};
use crate::server_option as opt;
use crate::word::{Args, Line, Word};
use std::net::IpAddr;
use std::sync::Arc;

/// The options.
pub const OPTIONS: &[ServerOption] = &[
    opt!(
        "init-addr",
        "{ last | libc | none | <ip> }[,...]",
        init_addr,
        "How the address of a name is found at the start."
    ),
    opt!("resolve-net", "<network>[,<network>]*", resolve_net, "Addresses of these networks are preferred."),
    opt!(
        "resolve-opts",
        "<option>[,<option>]*",
        resolve_opts,
        "allow-dup-ip, ignore-weight, prevent-dup-ip."
    ),
    opt!(
        "resolve-prefer",
        "<family>",
        resolve_prefer,
        "ipv4 or ipv6: addresses of this family are preferred."
    ),
    opt!(
        "resolvers",
        "<id>",
        |_, s, a| s.set.resolvers = Some(text(a.next())),
        "The 'resolvers' section that its name is looked up with at run time."
    ),
];

/// The rows of this file.
pub const ROWS: &[Keyword] = &[Keyword {
    name: "server-template",
    sections: Sections::from_bits_retain(Sections::LISTEN.bits() | Sections::BACKEND.bits()),
    args: "<prefix> <num | range> <fqdn>[:<port>] [from <origin>] [params*]",
    help: "Servers that differ in their number only.",
    negatable: false,
    does: Does::Works(template),
}];

/// Most servers of one line.
const MOST: u64 = 1_000_000;
/// Most networks of `resolve-net`.
const MOST_NETS: usize = 5;

fn text(word: Option<&Word>) -> String {
    word.map(|w| w.str().into_owned()).unwrap_or_default()
}

fn init_addr(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let word = args.next();
    let mut methods = Vec::new();
    for method in text(word).split(',').filter(|m| !m.is_empty()) {
        let method = match method {
            "last" => InitAddr::Last,
            "libc" => InitAddr::Libc,
            "none" => InitAddr::None,
            other => match other.parse::<IpAddr>() {
                Ok(_) if methods.iter().any(|m| matches!(m, InitAddr::Ip(_))) => {
                    let text =
                        format!("'init-addr' : initial address already specified, cannot add '{other}'.");
                    complain(cx, server, word, &text);
                    return;
                }
                Ok(ip) => InitAddr::Ip(ip),
                Err(_) => {
                    let text = format!(
                        "'init-addr' : unknown init-addr method '{other}', supported methods are 'libc', 'last', 'none'."
                    );
                    complain(cx, server, word, &text);
                    return;
                }
            },
        };
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    server.set.init_addr = methods;
}

fn resolve_opts(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let word = args.next();
    for option in text(word).split(',').filter(|o| !o.is_empty()) {
        match option {
            "allow-dup-ip" => server.set.resolve.allow_dup = true,
            "prevent-dup-ip" => server.set.resolve.allow_dup = false,
            "ignore-weight" => server.set.resolve.ignore_weight = true,
            other => {
                let text = format!(
                    "'resolve-opts' : unknown resolve-opts option '{other}', supported methods are 'allow-dup-ip', \
                     'ignore-weight', and 'prevent-dup-ip'."
                );
                complain(cx, server, word, &text);
                return;
            }
        }
    }
}

fn resolve_prefer(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let word = args.next();
    server.set.resolve.prefer_v4 = match word.map(|w| w.text.as_slice()) {
        Some(b"ipv4") => true,
        Some(b"ipv6") => false,
        _ => {
            let text = "'resolve-prefer' expects either ipv4 or ipv6 as argument.";
            complain(cx, server, word.or(last(args)), text);
            return;
        }
    };
}

fn resolve_net(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let Some(word) = args.next().filter(|w| !w.text.is_empty()) else {
        complain(cx, server, last(args), "'resolve-net' expects a list of networks.");
        return;
    };
    let mut nets = Vec::new();
    for net in word.str().split(',') {
        if nets.len() == MOST_NETS {
            complain(cx, server, Some(word), &format!("'resolve-net' exceed {MOST_NETS} networks."));
            return;
        }
        match network(net) {
            Some(net) => nets.push(net),
            None => {
                complain(cx, server, Some(word), &format!("'resolve-net' invalid network '{net}'."));
                return;
            }
        }
    }
    server.set.resolve.nets = nets;
}

/// `10.0.0.0/8`, `fe80::/10`, or one address.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
    let ip: IpAddr = ip.parse().ok()?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |b| b.parse().ok())?;
    (bits <= most).then_some((ip, bits))
}

/// `<num>` or `<low>-<high>`
fn range(text: &str) -> Option<(u64, u64)> {
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit()).then(|| t.parse::<u64>().ok())?;
    let (low, high) = match text.split_once('-') {
        Some((low, high)) => (digits(low)?, digits(high)?),
        None => (1, digits(text)?),
    };
    (low <= high && high > 0 && high - low < MOST).then_some((low, high))
}

fn template(cx: &mut Cx<'_>, line: &Line) {
    let (Some(prefix), Some(count), Some(word)) =
        (line.word(1), line.word(2), line.word(3).filter(|w| !w.text.is_empty()))
    else {
        let text = "'server-template' expects <prefix> <nb | range> <addr>[:<port>] as arguments.";
        cx.alert(line.words.last(), text);
        return;
    };
    let name: Arc<str> = prefix.str().as_ref().into();
    if let Some(c) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.:".contains(*c)) {
        let text = format!("character '{c}' is not permitted in server-template prefix '{name}'.");
        cx.alert(Some(prefix), text);
        return;
    }
    let Some((low, high)) = range(&count.str()) else {
        let text = format!("Wrong server-template number or range arg '{}'.", count.str());
        cx.alert(Some(count), text);
        return;
    };
    let set = cx.proxy().default_server.clone();
    let mut first = Server::new(line.place(), format!("{name}{low}"), server::nowhere(), set).saying(line);
    first.template = Some(Template { prefix: name.clone(), first: true });
    match server::address_of(cx, &word.str()) {
        Ok(address) => first.address = address,
        Err(e) => {
            complain(cx, &first, Some(word), &e);
            return;
        }
    }
    if !name_of(cx, &mut first, word) || !server::options(cx, &mut first, &mut line.args(4)) {
        return;
    }
    for number in low..=high {
        let mut one = first.clone();
        one.name = format!("{name}{number}");
        if number != low {
            one.template = Some(Template { prefix: name.clone(), first: false });
            // what tells servers apart belongs to one of them
            (one.id, one.id_given, one.guid) = (0, false, None);
        }
        cx.proxy().servers.push(one);
    }
}

/// Keeps the name of a server whose address is one; false: it is no name.
pub fn name_of(cx: &mut Cx<'_>, server: &mut Server, word: &Word) -> bool {
    let Host::Name(name) = &server.address.host else { return true };
    let name = name.split_once('@').map_or(name.as_str(), |(_, bare)| bare).to_owned();
    if !is_name(&name) {
        let text = format!("Can't create DNS resolution for server '{}'", server.name);
        complain(cx, server, Some(word), &text);
        return false;
    }
    server.fqdn = Some(name);
    true
}

/// Can it be asked for: no empty label, none too long?
#[must_use]
pub fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(range("3"), Some((1, 3)));
        assert_eq!(range("0-3"), Some((0, 3)));
        assert_eq!(range("7-7"), Some((7, 7)));
        for wrong in ["", "0", "-3", "3-", "3-1", "x", "1-x", "1-99999999999", "0-0"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names() {
        assert!(is_name("a.example.com.") && is_name("_http._tcp.x") && is_name("a"));
        for wrong in ["", ".", "a..b", ".a", &"a".repeat(64), &"a.".repeat(130)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn networks() {
        assert_eq!(network("10.0.0.0/8"), Some(("10.0.0.0".parse().unwrap(), 8)));
        assert_eq!(network("::1"), Some(("::1".parse().unwrap(), 128)));
        assert!(
            network("10.0.0.0/33").is_none() && network("x/3").is_none() && network("1.2.3.4/").is_none()
        );
    }
}
