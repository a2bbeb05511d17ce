//! How many of a handler's deliveries move, and how many are fetched ahead.
//!
//! More keep the host at work while the broker is, and the other way round: both
//! work through what comes in lots, and an event goes to the broker and back up
//! to twice. Fewer leave work for a host that has time. So there is a measure for
//! events that end at once, and a handler that runs few attempts at a time, as slow
//! ones do, takes few besides.

/// For [`MOVING_MAX`] and [`AHEAD_MAX`] in full: the default of `max_in_flight`.
const ATTEMPTS_USUALLY: usize = 256;
/// Events that move besides those whose attempt runs: they are being unpacked,
/// committed, published.
const MOVING_MAX: usize = 640;
/// Deliveries that wait until they can begin: what the broker sends while some
/// hundreds end.
const AHEAD_MAX: usize = 192;
/// Of both, the least: a round trip to the broker is much longer than an event.
const LEAST: usize = 16;

/// What a handler may hold of deliveries that wait for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Those that move at once, attempts included.
    pub moving: usize,
    /// Those that wait until they can move, as they came.
    pub ahead: usize,
}

impl Room {
    /// For a handler with `max_in_flight` of this.
    pub fn beside(attempts: u32) -> Self {
        let attempts = attempts as usize;
        let share = |max: usize| (attempts * max / ATTEMPTS_USUALLY).clamp(LEAST, max);
        Self {
            moving: attempts + share(MOVING_MAX),
            ahead: share(AHEAD_MAX),
        }
    }

    /// With no more than this ahead the broker is asked for others.
    pub fn few_ahead(self) -> usize {
        self.ahead / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_of_few_attempts_leaves_work_to_other_hosts() {
        let room = |moving, ahead| Room { moving, ahead };
        assert_eq!(Room::beside(1), room(1 + 16, 16));
        assert_eq!(Room::beside(8), room(8 + 20, 16));
        assert_eq!(Room::beside(64), room(64 + 160, 48));
        assert_eq!(Room::beside(256), room(256 + 640, 192));
        assert_eq!(Room::beside(10_000), room(10_000 + 640, 192));
    }
}
