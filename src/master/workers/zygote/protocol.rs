//! What a zygote and the master say to each other, through a socket that keeps messages apart.

use crate::shm::scoreboard::Assignment;

/// The messages of a zygote to the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The application is loaded.
    Ready,
    /// The worker with this assignment has this pid.
    Forked { assignment: Assignment, pid: i32 },
    /// The worker with this assignment could not be forked.
    NotForked { assignment: Assignment },
}

/// An assignment and a number of 32 bits.
pub const NOTICE_LEN: usize = 12;

impl Notice {
    pub fn to_bytes(self) -> [u8; NOTICE_LEN] {
        let (assignment, pid) = match self {
            Notice::Ready => (Assignment::default(), 0),
            Notice::Forked { assignment, pid } => (assignment, pid),
            Notice::NotForked { assignment } => (assignment, -1),
        };
        let mut bytes = [0; NOTICE_LEN];
        bytes[..8].copy_from_slice(&assignment.to_bytes());
        bytes[8..].copy_from_slice(&pid.to_le_bytes());
        bytes
    }

    pub fn from_bytes(bytes: [u8; NOTICE_LEN]) -> Notice {
        let [a, b, c, d, e, f, g, h, pid @ ..] = bytes;
        let assignment = Assignment::from_bytes([a, b, c, d, e, f, g, h]);
        match (assignment, i32::from_le_bytes(pid)) {
            (none, _) if none == Assignment::default() => Notice::Ready,
            (assignment, -1) => Notice::NotForked { assignment },
            (assignment, pid) => Notice::Forked { assignment, pid },
        }
    }
}

/// What the master asks a zygote for: a worker with this number, in this slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkRequest {
    pub slot: usize,
    pub id: u32,
    pub assignment: Assignment,
}

pub const REQUEST_LEN: usize = 16;

impl ForkRequest {
    pub fn to_bytes(self) -> [u8; REQUEST_LEN] {
        let mut bytes = [0; REQUEST_LEN];
        bytes[..4].copy_from_slice(&(self.slot as u32).to_le_bytes());
        bytes[4..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..].copy_from_slice(&self.assignment.to_bytes());
        bytes
    }

    pub fn from_bytes(bytes: [u8; REQUEST_LEN]) -> ForkRequest {
        let [a, b, c, d, e, f, g, h, assignment @ ..] = bytes;
        ForkRequest {
            slot: u32::from_le_bytes([a, b, c, d]) as usize,
            id: u32::from_le_bytes([e, f, g, h]),
            assignment: Assignment::from_bytes(assignment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_socket() {
        let assignment = Assignment::from_bytes([7, 0, 0, 0, 0, 1, 0, 0]);
        for notice in
            [Notice::Ready, Notice::Forked { assignment, pid: 4242 }, Notice::NotForked { assignment }]
        {
            assert_eq!(Notice::from_bytes(notice.to_bytes()), notice);
        }
        let request = ForkRequest { slot: 300, id: 5, assignment };
        assert_eq!(ForkRequest::from_bytes(request.to_bytes()), request);
    }
}
