//! The last 16 bytes of a message: its number, who sent it, and whether something starts or ends with it.

/// The least size of a message that has a stamp.
pub(super) const STAMP: usize = 16;

/// What a message means to the receiver's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Mark {
    Plain = 0,
    /// Not a message of the run: only asks whether anybody hears.
    Probe = 1,
    /// The sender is warm: the next message counts.
    Start = 2,
    /// The sender's last message.
    End = 3,
    /// For a receiver whose clock it is: it should look at it.
    Look = 4,
}

const MARKS: [Mark; 5] = [Mark::Plain, Mark::Probe, Mark::Start, Mark::End, Mark::Look];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) number: u64,
    pub(super) sender: u32,
    pub(super) mark: Mark,
}

impl Stamp {
    #[inline]
    pub(super) fn put(self, message: &mut [u8]) {
        let bits =
            u128::from(self.number) | u128::from(self.sender) << 64 | u128::from(self.mark as u32) << 96;
        if let Some(tail) = message.last_chunk_mut::<STAMP>() {
            *tail = bits.to_le_bytes();
        }
    }

    #[inline]
    pub(super) fn of(message: &[u8]) -> Option<Self> {
        let (number, word) = message.last_chunk::<STAMP>()?.split_first_chunk()?;
        let (sender, mark) = word.split_first_chunk()?;
        let mark = u32::from_le_bytes(*mark.first_chunk()?);
        Some(Self {
            number: u64::from_le_bytes(*number),
            sender: u32::from_le_bytes(*sender),
            mark: *MARKS.get(mark as usize)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_and_what_is_none_is_not() {
        let mut message = [7; 20];
        assert_eq!(Stamp::of(&message), None, "no such mark");
        for mark in MARKS {
            let stamp = Stamp { number: u64::MAX - 5, sender: 1999, mark };
            stamp.put(&mut message);
            assert_eq!(Stamp::of(&message), Some(stamp));
        }
        assert_eq!(message[..4], [7; 4]);
        assert_eq!(Stamp::of(&message[..15]), None);
    }
}
