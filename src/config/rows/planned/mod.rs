//! uWSGI's options that rwsgi does not have yet: each says what will not happen.

mod settings;
mod subsystems;

use super::parts::Part;

pub const PARTS: [&[Part]; 2] = [subsystems::PARTS, settings::PARTS];
