//! Mock peers: a plain blocking TCP stream and the bytes of ZMTP written out by hand, without libzmq.
//!
//! libzmq forgives and hides; these tests see the very bytes zocket sends, for ZMTP 3.1, 3.0 and 2.0, and send it
//! bytes that no libzmq would. The expected bytes are those of wire.md 1.2 to 1.11, in the notation of its
//! transcripts: see [`bytes`].

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::ours::Ours;
use crate::within::{DEADLINE, within};

mod greeting;
mod handshake;
mod old;
mod subscribing;
mod traffic;

/// Bytes in the notation of a transcript: hex bytes, `00*7` for seven of them, `'text'` for ASCII without spaces;
/// `|` is punctuation.
fn bytes(transcript: &str) -> Vec<u8> {
    let hex =
        |text: &str| u8::from_str_radix(text, 16).unwrap_or_else(|_| panic!("`{text}` in `{transcript}`"));
    let mut bytes = Vec::new();
    for token in transcript.split_whitespace() {
        if token == "|" {
            continue;
        } else if let Some(text) = token.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            bytes.extend_from_slice(text.as_bytes());
        } else if let Some((byte, times)) = token.split_once('*') {
            bytes.extend(std::iter::repeat_n(hex(byte), times.parse().expect("a count")));
        } else {
            bytes.push(hex(token));
        }
    }
    bytes
}

/// Long enough for bytes that should not be sent to show up on loopback.
const MOMENT: Duration = Duration::from_millis(100);

/// What every peer without a routing id sends before it knows the other's version.
const SIGNATURE: &str = "FF 00*7 01 7F";
/// Minor version, mechanism NULL, as-server 0, filler: the rest of a 3.1 greeting after the major version.
const REST_31: &str = "01 'NULL' 00*16 00 00*31";
const REST_30: &str = "00 'NULL' 00*16 00 00*31";

/// A frame as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WireFrame {
    flags: u8,
    body: Vec<u8>,
}

/// The mock's end of a connection with zocket. Every read ends at the deadline.
#[derive(Debug)]
struct Peer(TcpStream);

impl Peer {
    /// Lets zocket connect to a mock.
    async fn dialled_by(ours: &Ours) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        ours.connect(&format!("tcp://{}", listener.local_addr().unwrap()));
        let (stream, _) = within("zocket to connect", listener.accept()).await.unwrap();
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        Self::new(stream)
    }

    /// Lets a mock connect to zocket.
    async fn dials(ours: &Ours) -> Self {
        let at = ours.bind("tcp://127.0.0.1:0").await;
        Self::at(&at)
    }

    /// A mock that connects to where zocket is bound.
    fn at(endpoint: &str) -> Self {
        let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
        Self::new(TcpStream::connect(address).unwrap())
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn send(&mut self, transcript: &str) {
        self.0.write_all(&bytes(transcript)).unwrap();
    }

    fn read(&mut self, len: usize, what: &str) -> Vec<u8> {
        let mut read = vec![0; len];
        if let Err(error) = self.0.read_exact(&mut read) {
            panic!("waited for {len} bytes, {what}: {error}");
        }
        read
    }

    /// Reads exactly these bytes.
    fn expect(&mut self, transcript: &str) {
        let wanted = bytes(transcript);
        let got = self.read(wanted.len(), transcript);
        assert!(got == wanted, "got {got:02X?}\nnot {wanted:02X?}\n    ({transcript})");
    }

    /// Reads one frame of ZMTP 2.0 or later.
    fn frame(&mut self) -> WireFrame {
        let flags = self.read(1, "a frame's flags")[0];
        let len = if flags & 2 == 0 {
            usize::from(self.read(1, "a short size")[0])
        } else {
            let len = self.read(8, "a long size");
            usize::try_from(u64::from_be_bytes(len.try_into().unwrap())).unwrap()
        };
        WireFrame { flags, body: self.read(len, "a frame's body") }
    }

    /// Nothing arrives for a while. The one place where only time can tell.
    fn expect_silence(&mut self, lasts: Duration) {
        self.0.set_read_timeout(Some(lasts)).unwrap();
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            got => panic!("silence was expected, not {got:?} ({byte:02X?})"),
        }
        self.0.set_read_timeout(Some(DEADLINE)).unwrap();
    }

    /// zocket closes the connection over what it was sent; what it still says before (an ERROR) is skipped.
    fn expect_close(&mut self, sent: &str) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            // A close with unread bytes of ours in the way.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("waited for zocket to close after {sent}, got {rest:02X?}, {error}"),
        }
    }

    /// Both greetings of ZMTP 3.1 or 3.0, sent and checked.
    fn greet(&mut self, rest: &str) {
        self.send(&format!("{SIGNATURE} 03"));
        self.send(rest);
        let len = self.read(10, "a signature");
        assert_eq!((len[0], len[9]), (0xFF, 0x7F), "{len:02X?}");
        self.expect("03");
        self.expect(REST_31);
    }

    /// Greets, says READY as `kind` (of no name), and skips zocket's READY.
    fn shake_hands(&mut self, rest: &str, kind: &str) {
        self.greet(rest);
        self.send(&ready(kind));
        let theirs = self.frame();
        assert!(theirs.flags == 4 && theirs.body.starts_with(b"\x05READY"), "{theirs:02X?}");
    }
}

/// A READY with one property, as a transcript.
fn ready(kind: &str) -> String {
    format!("04 {:02X} 05 'READY' 0B 'Socket-Type' 00 00 00 {:02X} '{kind}'", 22 + kind.len(), kind.len())
}
