//! Becoming the user and the group that the configuration names.

use crate::base::reason::reason;
use crate::config::Settings;
use crate::log;
use crate::sys::owned_files::Owner;
use crate::sys::user::{self, User};
use std::io::Error;

/// What is to become of root; `None`: nothing, or it cannot be done.
pub struct Identity {
    pub owner: Option<User>,
    pub group: Option<u32>,
}

/// The value of an option that no user or group has.
fn wrong<'a>(settings: &'a Settings, option: &'a str) -> impl Fn(Error) -> String + 'a {
    move |error| {
        let (origin, reason) = (settings.origin_of(option), reason(error));
        format!("{origin}: option \"{option}\": {reason}; name one that exists, or write its number")
    }
}

/// The owner in `chown-socket`: USER, USER:GROUP or :GROUP. What is left out stays unchanged, but a USER alone stands
/// for its group, too.
pub fn socket_owner(settings: &Settings) -> Result<Owner, String> {
    let Some(text) = &settings.instance.chown_socket else { return Ok(Owner::default()) };
    let wrong = wrong(settings, "chown-socket");
    let (user, group) =
        text.split_once(':').map_or((text.as_str(), None), |(user, group)| (user, Some(group)));
    let named = |text: &&str| !text.is_empty();
    let user = Some(user).filter(named).map(user::user).transpose().map_err(&wrong)?;
    let gid = group.filter(named).map(user::group).transpose().map_err(&wrong)?;
    let own_group = user.as_ref().and_then(|user| user.name.as_ref().map(|_| user.gid));
    Ok(Owner { uid: user.map(|user| user.uid), gid: gid.or(own_group) })
}

impl Identity {
    pub fn of(settings: &Settings) -> Result<Option<Identity>, String> {
        let find = |option| wrong(settings, option);
        let owner = settings.instance.uid.as_deref().map(user::user).transpose().map_err(find("uid"))?;
        let group = settings.instance.gid.as_deref().map(user::group).transpose().map_err(find("gid"))?;
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
    if !settings.instance.master_as_root || !user::is_root() {
        return true;
    }
    let done = Identity::of(settings).and_then(|identity| identity.map_or(Ok(()), |it| it.assume()));
    done.inspect_err(|message| log::say(message)).is_ok()
}
