//! System calls that the standard library and rustix do not wrap: the only unsafe code of the project

pub mod reactor;

pub mod datagrams;
pub mod environment;
pub mod fd;
pub mod heap;
pub mod ktls;
pub mod localtime;
pub mod mapping;
pub mod memory;
pub mod netns;
pub mod process;
pub mod signals;
pub mod socket;
pub mod tcp;
pub mod topology;
