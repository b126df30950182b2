//! Becoming the user and the group that the configuration names.

use crate::base::reason::reason;
use crate::config::Settings;
use crate::log;
use crate::sys::user::{self, User};

/// What is to become of root; `None`: nothing, or it cannot be done.
pub struct Identity {
    pub owner: Option<User>,
    pub group: Option<u32>,
}

impl Identity {
    pub fn of(settings: &Settings) -> Result<Option<Identity>, String> {
        let wrong = |option| {
            move |error| format!("{}: option \"{option}\": {}", settings.origin_of(option), reason(error))
        };
        let owner = settings.uid.as_deref().map(user::user).transpose().map_err(wrong("uid"))?;
        let group = settings.gid.as_deref().map(user::group).transpose().map_err(wrong("gid"))?;
        if owner.is_none() && group.is_none() {
            return Ok(None);
        }
        if !user::is_root() {
            log::say("uid and gid have no effect: the server was not started by root");
            return Ok(None);
        }
        Ok(Some(Identity { owner, group }))
    }

    pub fn assume(&self) -> Result<(), String> {
        user::become_user(self.owner.as_ref(), self.group)
            .map_err(|error| format!("cannot become the configured user: {}", reason(error)))
    }
}

/// With `master-as-root` each child of the master gives up root by itself, before it runs code of the application.
/// `false`: it cannot, and must not go on.
pub fn leave_to_master(settings: &Settings) -> bool {
    if !settings.master_as_root || !user::is_root() {
        return true;
    }
    let done = Identity::of(settings).and_then(|identity| identity.map_or(Ok(()), |it| it.assume()));
    done.inspect_err(|message| log::say(message)).is_ok()
}
