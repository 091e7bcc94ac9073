//! What a socket is given to send, on its way to a queue.
//!
//! Borrowed bytes are encoded straight from where they are: a message made of them only to be copied and freed
//! again cost a quarter of sending 64 bytes. Who must keep a message, or route by its frames, makes it of them.

use bytes::Bytes;

use super::{Frame, Message};

/// What can be sent: whatever becomes a [`Message`].
///
/// Text, bytes, frames, messages, arrays of what becomes a frame, and types of yours that implement it. (`From` for
/// `Message` alone does not make a type one.)
///
/// # Examples
///
/// ```
/// use zocket::{IntoMessage, Message};
///
/// struct Reading {
///     sensor: String,
///     celsius: f32,
/// }
///
/// impl IntoMessage for Reading {
///     fn into_message(self) -> Message {
///         Message::from([self.sensor, self.celsius.to_string()])
///     }
/// }
///
/// # async fn report(publisher: zocket::Pub) -> Result<(), zocket::SendError> {
/// publisher.send(Reading { sensor: "cellar".into(), celsius: 11.5 }).await
/// # }
/// ```
pub trait IntoMessage {
    /// The message.
    fn into_message(self) -> Message;

    /// The bytes of the only frame that [`into_message`](Self::into_message) would make, where making it would copy
    /// them: below 8 KiB they are then mostly encoded from where they are.
    #[inline]
    fn as_bytes(&self) -> Option<&[u8]> {
        None
    }
}

macro_rules! owned {
    ($($owned:ty),*) => { $(
        impl IntoMessage for $owned {
            fn into_message(self) -> Message {
                self.into()
            }
        }
    )* };
}

owned!(Message, Frame, Bytes, Vec<u8>, String, Vec<Frame>);

/// What an error of `send` gave back.
impl IntoMessage for Box<Message> {
    fn into_message(self) -> Message {
        *self
    }
}

impl<T: Into<Frame>, const N: usize> IntoMessage for [T; N] {
    fn into_message(self) -> Message {
        self.into()
    }
}

macro_rules! borrowed {
    ($([$($generic:tt)*] $borrowed:ty),*) => { $(
        impl<$($generic)*> IntoMessage for &$borrowed {
            fn into_message(self) -> Message {
                self.into()
            }

            #[inline]
            fn as_bytes(&self) -> Option<&[u8]> {
                Some(self.as_ref())
            }
        }
    )* };
}

borrowed!([] [u8], [const N: usize] [u8; N], [] str);

/// A message that is sent: one that is there, or the bytes of the only frame of one that nobody has made.
#[derive(Debug)]
pub(crate) enum Outgoing<'a> {
    Made(&'a mut Message),
    Bytes(&'a [u8]),
}

impl Outgoing<'_> {
    /// As [`Message::byte_len`].
    #[inline]
    pub(crate) fn byte_len(&self) -> usize {
        match self {
            Self::Made(message) => message.byte_len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// As [`Message::len`].
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Made(message) => message.len(),
            Self::Bytes(_) => 1,
        }
    }

    /// Each frame's bytes, and whether another one follows.
    pub(crate) fn each_frame(&self, mut visit: impl FnMut(&[u8], bool)) {
        match self {
            Self::Made(message) => {
                let last = message.len() - 1;
                message.frames().iter().enumerate().for_each(|(index, frame)| visit(frame, index < last));
            }
            Self::Bytes(bytes) => visit(bytes, false),
        }
    }

    /// The bytes of the first frame.
    pub(crate) fn first(&self) -> &[u8] {
        match self {
            Self::Made(message) => message.first(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// The bytes of the only frame, if there is only one.
    pub(crate) fn only(&self) -> Option<&[u8]> {
        match self {
            Self::Made(message) => match message.frames() {
                [only] => Some(only),
                _ => None,
            },
            Self::Bytes(bytes) => Some(bytes),
        }
    }

    /// The message itself.
    pub(crate) fn take(&mut self) -> Message {
        match self {
            Self::Made(message) => std::mem::take(message),
            Self::Bytes(bytes) => Message::from(*bytes),
        }
    }

    /// Runs `work` on a copy: the bytes themselves, where a copy would copy them.
    pub(crate) fn with_copy<R>(&self, work: impl FnOnce(&mut Outgoing<'_>) -> R) -> R {
        match self {
            Self::Made(message) => match message.frames() {
                [only] if only.as_shared().is_none() => work(&mut Outgoing::Bytes(only)),
                _ => work(&mut Outgoing::Made(&mut Message::clone(message))),
            },
            Self::Bytes(bytes) => work(&mut Outgoing::Bytes(bytes)),
        }
    }
}

impl<'a> From<&'a mut Message> for Outgoing<'a> {
    fn from(message: &'a mut Message) -> Self {
        Self::Made(message)
    }
}
