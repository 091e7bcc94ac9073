//! What the sink is told, as messages: the first frame says which of these it is.

use zocket::{Endpoint, Frame, IntoMessage, Message};

use crate::Fault;
use crate::text::Counts;

#[derive(Debug)]
pub(crate) enum Report {
    /// The ventilator hands out its work here.
    Bound(Endpoint),
    /// The ventilator has handed out everything: so many pieces.
    Sent(u64),
    /// A worker counted the piece of that number.
    Counted(u64, Counts),
}

impl IntoMessage for Report {
    fn into_message(self) -> Message {
        match self {
            Self::Bound(at) => ["bound", at.as_str()].into(),
            Self::Sent(pieces) => [Frame::from("sent"), Frame::from(&pieces.to_be_bytes())].into(),
            Self::Counted(number, counts) => {
                let lines: String = counts.iter().map(|(word, count)| format!("{word} {count}\n")).collect();
                ["counted".into(), Frame::from(&number.to_be_bytes()), lines.into()].into()
            }
        }
    }
}

impl TryFrom<&Message> for Report {
    type Error = Fault;

    fn try_from(message: &Message) -> Result<Self, Fault> {
        match message.frames() {
            [kind, at] if kind == "bound" => Ok(Self::Bound(str::from_utf8(at)?.parse()?)),
            [kind, pieces] if kind == "sent" => Ok(Self::Sent(number(pieces)?)),
            [kind, piece, lines] if kind == "counted" => {
                let mut counts = Counts::new();
                for line in str::from_utf8(lines)?.lines() {
                    let (word, count) = line.split_once(' ').ok_or("a count without a word")?;
                    counts.insert(word.into(), count.parse()?);
                }
                Ok(Self::Counted(number(piece)?, counts))
            }
            _ => Err(format!("not a report: {message:?}").into()),
        }
    }
}

/// The number in a frame.
pub(crate) fn number(frame: &Frame) -> Result<u64, Fault> {
    Ok(u64::from_be_bytes((**frame).try_into()?))
}
