//! Listeners, connections, buffers, timers: everything between a socket and a codec
