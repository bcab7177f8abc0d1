//! Servers: balancing, slots and queues, idle connections, connecting
