//! What a peer is to be told between messages, until its driver takes it.

use crate::zmtp::Command;

/// The most that may wait for one peer, in bytes as it lies here: a million short prefixes, or a thousand of the longest.
/// For a peer that reads nothing we would else keep every change of mind, and a proxy those of strangers. Beyond, the
/// link is given up: the greeting of the next one says what is wanted then, and no more.
const LIMIT: usize = 64 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Commands {
    list: Vec<Command>,
    /// Of the list.
    bytes: usize,
    /// How many packets the peer was sent. The newest number says it all.
    sent: Option<u64>,
}

impl Commands {
    pub(super) const fn is_empty(&self) -> bool {
        self.list.is_empty() && self.sent.is_none()
    }

    /// Adds a command. False: with it more would wait than may, and nothing is kept.
    pub(super) fn push(&mut self, command: Command) -> bool {
        if let Command::Sent(packets) = command {
            self.sent = Some(packets);
            return true;
        }
        self.bytes += size_of::<Command>() + command.subject().len();
        self.list.push(command);
        let fits = self.bytes <= LIMIT;
        if !fits {
            self.clear();
        }
        fits
    }

    /// Moves all to the end of `into`.
    pub(super) fn take(&mut self, into: &mut Vec<Command>) {
        into.append(&mut self.list);
        into.extend(self.sent.take().map(Command::Sent));
        self.bytes = 0;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_number_of_packets_waits() {
        let mut commands = Commands::default();
        let cancel = || Command::Cancel("a".into());
        for command in [Command::Sent(1), cancel(), Command::Sent(2)] {
            assert!(commands.push(command));
        }
        let mut taken = Vec::new();
        commands.take(&mut taken);
        assert_eq!(taken, [cancel(), Command::Sent(2)]);
        assert!(commands.is_empty());
    }

    #[test]
    fn what_is_taken_makes_room() {
        let mut commands = Commands::default();
        let large = Command::Subscribe(vec![7; LIMIT / 2].into());
        for _ in 0..3 {
            assert!(commands.push(large.clone()));
            commands.take(&mut Vec::new());
        }
        assert!(commands.push(large.clone()) && !commands.push(large) && commands.is_empty());
    }
}
