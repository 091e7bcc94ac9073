//! The group of a message: what RADIO sends to, and DISH joins.
//!
//! Source: RFC 48, "Group".

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use super::Frame;

/// A group of [`Radio`](crate::Radio) and [`Dish`](crate::Dish): at most 255 bytes, none of them zero, compared as
/// a whole. As cheap to clone as a [`Frame`]; up to 22 bytes are copied with it.
///
/// Where a group is asked for, text and bytes do as well, and are checked then.
///
/// # Examples
///
/// ```
/// use zocket::{Group, GroupError};
///
/// let group = Group::new("weather")?;
/// assert_eq!(group, "weather");
/// assert_eq!(Group::new([7; 256].as_slice()), Err(GroupError::TooLong { len: 256 }));
/// # Ok::<(), GroupError>(())
/// ```
#[derive(Clone)]
pub struct Group(Frame);

/// Why something is not a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// It is longer than 255 bytes.
    #[error("the group has {len} bytes, the limit is 255")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// It has a zero byte, where libzmq takes a group to end.
    #[error("the group has a zero byte")]
    ZeroByte,
}

impl Group {
    /// The most bytes of a group.
    pub const MAX_LENGTH: usize = 255;

    /// A group of these bytes.
    ///
    /// # Errors
    ///
    /// They are more than 255, or one of them is zero.
    pub fn new(bytes: impl Into<Frame>) -> Result<Self, GroupError> {
        let frame = bytes.into();
        Self::check_length(frame.len())?;
        if frame.contains(&0) { Err(GroupError::ZeroByte) } else { Ok(Self(frame)) }
    }

    /// A frame that is known to be one.
    pub(crate) const fn from_checked(frame: Frame) -> Self {
        Self(frame)
    }

    /// Whether so many bytes can be one.
    pub(crate) const fn check_length(len: usize) -> Result<(), GroupError> {
        if len > Self::MAX_LENGTH { Err(GroupError::TooLong { len }) } else { Ok(()) }
    }

    /// Its bytes as a frame.
    #[must_use]
    pub fn into_frame(self) -> Frame {
        self.0
    }
}

impl Deref for Group {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Group {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// For people's eyes: `�` for what is not UTF-8.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(self))
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Group {
    fn eq(&self, other: &T) -> bool {
        self.0 == *other
    }
}

impl Eq for Group {}

impl Hash for Group {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Looks groups up by their bytes.
impl Borrow<[u8]> for Group {
    fn borrow(&self) -> &[u8] {
        self
    }
}

macro_rules! checked {
    ($($bytes:ty),*) => { $(
        impl TryFrom<$bytes> for Group {
            type Error = GroupError;

            fn try_from(bytes: $bytes) -> Result<Self, GroupError> {
                Self::new(bytes)
            }
        }
    )* };
}

checked!(&[u8], &str, String, Vec<u8>, Frame);

impl From<&Self> for Group {
    fn from(group: &Self) -> Self {
        group.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_up_to_255_bytes_and_no_zero() {
        for len in [0, 1, 255] {
            assert_eq!(Group::new(vec![7; len]).unwrap(), vec![7; len]);
        }
        assert_eq!(Group::new(vec![7; 256]), Err(GroupError::TooLong { len: 256 }));
        assert_eq!(Group::new("a\0b"), Err(GroupError::ZeroByte));
    }
}
