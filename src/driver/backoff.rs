//! How long to wait before dialling again: doubling, with jitter. Pure.

use std::time::Duration;

use crate::options::Reconnect;

/// The waits of one dialled connection.
#[derive(Debug)]
pub(crate) struct Backoff {
    config: Reconnect,
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new(config: Reconnect) -> Self {
        Self { config, next: config.first }
    }

    /// A handshake finished: the next failure is a new story.
    pub(crate) const fn reset(&mut self) {
        self.next = self.config.first;
    }

    /// The next wait. After a refusal it is the longest one: the peer will hardly change its mind soon.
    /// `jitter` is a random number from 0 to 1; up to half of the wait is taken off.
    pub(crate) fn wait(&mut self, refused: bool, jitter: f64) -> Duration {
        if refused {
            self.next = self.config.longest;
        }
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.config.longest);
        wait.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn waits_double_to_the_longest_and_start_again_after_a_handshake() {
        let mut backoff = Backoff::new(Reconnect::within(100 * MS, 350 * MS));
        let waits: Vec<_> = (0..4).map(|_| backoff.wait(false, 0.0)).collect();
        assert_eq!(waits, [100 * MS, 200 * MS, 350 * MS, 350 * MS]);
        backoff.reset();
        assert_eq!(backoff.wait(false, 0.0), 100 * MS);
    }

    #[test]
    fn a_refusal_waits_longest_and_jitter_takes_off_at_most_half() {
        let mut backoff = Backoff::new(Reconnect::within(100 * MS, 400 * MS));
        assert_eq!(backoff.wait(true, 1.0), 200 * MS);
        assert_eq!(backoff.wait(true, 0.5), 300 * MS);
    }
}
