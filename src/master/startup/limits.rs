//! What the kernel may give to each process.

use crate::base::reason::reason;
use crate::config::{Protocol, Settings};
use crate::log;
use crate::sys::process::{self, Resource};
use crate::worker::setup::{SPARE_DESCRIPTORS, most_connections};

/// A limit that the system refuses is named, and the server starts with what it had.
pub fn set(settings: &Settings) {
    let limits = &settings.instance.limits;
    if limits.descriptors.is_none() {
        raise_descriptor_limit(settings);
    }
    for (option, resource, value) in [
        ("max-fd", Resource::Descriptors, limits.descriptors),
        ("limit-as", Resource::AddressSpace, limits.address_space),
        ("limit-nproc", Resource::Processes, limits.processes),
    ] {
        if let Some(value) = value
            && let Err(error) = process::set_limit(resource, value)
        {
            log::say(&format!("cannot set {option} to {value}: {}", reason(error)));
        }
    }
}

fn raise_descriptor_limit(settings: &Settings) {
    match process::raise_descriptor_limit() {
        Ok(limit) => warn_of_few_descriptors(settings, limit),
        Err(error) => log::say(&format!("cannot raise the limit on open files: {}", reason(error))),
    }
}

fn warn_of_few_descriptors(settings: &Settings, limit: u64) {
    if !settings.listeners.iter().any(|listener| listener.protocol == Protocol::Http) {
        return;
    }
    let connections = settings.http.connections;
    let needed = connections as u64 + SPARE_DESCRIPTORS;
    if needed > limit {
        log::say(&format!(
            "http-connections = {connections} needs {needed} open files in each worker, and the system allows {limit}: \
             workers take only {} connections. Raise the limit (ulimit -n, LimitNOFILE=)",
            most_connections(settings)
        ));
    }
}
