//! A gate that one side of a scenario waits at until the other opens it.
use crate::process::PATIENCE;
use std::sync::{Arc, Condvar, Mutex};

/// Closed at first; stays open once opened. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets everybody through from now on.
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until the gate is open, [`PATIENCE`] at most.
    pub fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        let _ = self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
    }
}
