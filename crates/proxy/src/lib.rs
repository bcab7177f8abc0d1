//! Sessions and streams: accept, rules, routing, forwarding, filters, applets
