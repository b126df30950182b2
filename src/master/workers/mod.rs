//! The worker processes of a server, and the zygotes that they are forks of.

pub mod commands;
pub mod crash;
pub mod generation;
pub mod harakiri;
pub mod recycle;
pub mod scaling;
pub mod slow_stacks;
pub mod spawn;
pub mod stack_dump;
pub mod stack_readers;
pub mod zygote;
