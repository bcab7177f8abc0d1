//! `show proc`

/// A process as `show proc` lists it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its pid.
    pub pid: i32,
    /// Reloads: those of the master, or those that a worker has survived.
    pub reloads: u32,
    /// Reloads of the master that failed since the last one that did not.
    pub failed: u32,
    /// Seconds since it began.
    pub uptime: u64,
    /// Its version.
    pub version: String,
    /// Descriptors of its pair of sockets.
    pub ipc: (i32, i32),
}

/// The table.
pub fn processes(master: &Listed, workers: &[Listed], debug: bool) -> String {
    let mut text = line(["#<PID>", "<type>", "<reloads>", "<uptime>", "<version>"]);
    tail(&mut text, debug, ["<ipc_fd[0]>", "<ipc_fd[1]>"]);
    let reloads = format!("{} [failed: {}]", master.reloads, master.failed);
    one(&mut text, master, "master", &reloads, debug);
    text.push_str("# workers\n");
    for w in workers.iter().filter(|w| w.reloads == 0) {
        one(&mut text, w, "worker", "0", debug);
    }
    let mut old = workers.iter().filter(|w| w.reloads > 0).peekable();
    if old.peek().is_some() {
        text.push_str("# old workers\n");
    }
    for w in old {
        one(&mut text, w, "worker", &w.reloads.to_string(), debug);
    }
    text
}

fn one(text: &mut String, p: &Listed, kind: &str, reloads: &str, debug: bool) {
    let s = p.uptime;
    let uptime = format!("{}d{:02}h{:02}m{:02}s", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
    text.push_str(&line([&p.pid.to_string(), kind, reloads, &uptime, &p.version]));
    tail(text, debug, [&p.ipc.0.to_string(), &p.ipc.1.to_string()]);
}

fn line(c: [&str; 5]) -> String {
    format!("{:<15} {:<15} {:<15} {:<15} {:<15}", c[0], c[1], c[2], c[3], c[4])
}

fn tail(text: &mut String, debug: bool, c: [&str; 2]) {
    if debug {
        text.push_str(&format!("\t\t {:<15} {:<15}", c[0], c[1]));
    }
    text.push('\n');
}
