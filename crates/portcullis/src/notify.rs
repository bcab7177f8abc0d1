//! sd_notify: what `-Ws` tells systemd (`Type=notify`).

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with};

/// The way to systemd, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Notifier(Option<SocketAddrUnix>);

impl Notifier {
    /// The one of `NOTIFY_SOCKET`, if `wanted`.
    pub fn from_environment(wanted: bool) -> Self {
        let name = std::env::var("NOTIFY_SOCKET").ok().filter(|n| wanted && !n.is_empty());
        Self(name.and_then(|n| match n.strip_prefix('@') {
            Some(abstract_name) => SocketAddrUnix::new_abstract_name(abstract_name.as_bytes()).ok(),
            None => SocketAddrUnix::new(n.as_str()).ok(),
        }))
    }

    /// The service works.
    pub fn ready(&self) {
        self.send(&format!("READY=1\nMAINPID={}\nSTATUS=Ready.\n", std::process::id()));
    }

    /// The service works, on the configuration that it had.
    pub fn failed(&self) {
        self.send("READY=1\nSTATUS=Reload failed!\n");
    }

    /// A new configuration is being loaded.
    pub fn reloading(&self) {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = t.tv_sec * 1_000_000 + t.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nSTATUS=Reloading Configuration.\nMONOTONIC_USEC={micros}\n"));
    }

    /// The service ends.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, text: &str) {
        let Some(address) = &self.0 else { return };
        let flags = SocketFlags::CLOEXEC;
        if let Ok(fd) = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None) {
            // systemd that does not listen is systemd's matter
            let _ = sendto(&fd, text.as_bytes(), SendFlags::NOSIGNAL, address);
        }
    }
}
