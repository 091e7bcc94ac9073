//! Messages on a stream, in ZMTP's frames: batched by the sender, cut and copied out by the receiver.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Outcome;
use crate::job::Job;
use crate::load::{Client, IN_FLIGHT, Load, Next, Report, Served, Tally};

/// Bytes of a write, at least.
const BATCH: usize = 64 * 1024;
/// Bytes of a read, at most. A frame that is larger is read into its own memory.
const READ: usize = 128 * 1024;
/// The same behind a large frame: what is read of the next one has to be copied.
const GLANCE: usize = 4 * 1024;
/// The flag of a frame whose length takes eight bytes rather than one.
const LONG: u8 = 2;

/// Writes all messages to each of the streams, a batch at a time.
pub(super) async fn send<S: AsyncWrite + Unpin>(job: &Job, streams: &mut [S]) -> Outcome<Report> {
    let (mut load, mut batch) = (Load::new(job), Vec::with_capacity(2 * BATCH));
    let mut is_over = false;
    while !is_over {
        while !is_over && batch.len() < BATCH {
            match load.draw() {
                Some(payload) => put(payload, &mut batch),
                None => is_over = true,
            }
        }
        for stream in &mut *streams {
            stream.write_all(&batch).await?;
        }
        batch.clear();
    }
    Ok(load.report())
}

#[inline]
fn put(payload: &[u8], batch: &mut Vec<u8>) {
    match u8::try_from(payload.len()) {
        Ok(len) => batch.extend_from_slice(&[0, len]),
        Err(_) => {
            batch.push(LONG);
            batch.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    batch.extend_from_slice(payload);
}

pub(super) async fn receive<S: AsyncRead + Unpin>(mut tally: Tally, stream: S) -> Outcome<Report> {
    let mut frames = Frames::new(stream);
    loop {
        while let Some(body) = frames.next()? {
            if let Some(report) = tally.take(body)? {
                return Ok(report);
            }
        }
        frames.fill().await?;
    }
}

/// Answers each message with itself, those of one read together.
pub(super) async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Outcome<Report> {
    let (mut served, mut frames, mut replies) = (Served::default(), Frames::new(stream), Vec::new());
    // The end of the stream is the good-bye.
    while frames.fill().await.is_ok() {
        while let Some(request) = frames.next()? {
            served.serve(request);
            put(request, &mut replies);
        }
        frames.stream.write_all(&replies).await?;
        replies.clear();
    }
    Ok(served.report())
}

/// Keeps a client's requests under way.
pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut client: Client, stream: S) -> Outcome<Report> {
    let (mut frames, mut requests) = (Frames::new(stream), Vec::new());
    (0..IN_FLIGHT).for_each(|_| put(client.ask(), &mut requests));
    loop {
        frames.stream.write_all(&requests).await?;
        requests.clear();
        frames.fill().await?;
        while let Some(reply) = frames.next()? {
            match client.answered(reply)? {
                Next::Ask(request) => put(request, &mut requests),
                Next::Wait => {}
                Next::Over => return client.report(),
            }
        }
    }
}

struct Frames<S> {
    stream: S,
    buffer: Vec<u8>,
    /// Where the bytes lie that were read and not cut yet.
    start: usize,
    end: usize,
    /// What is read at once.
    most: usize,
    /// The payload that was cut last.
    body: Vec<u8>,
    /// Whether `body` was read without the buffer, and has not been handed out.
    is_whole: bool,
}

impl<S: AsyncRead + Unpin> Frames<S> {
    fn new(stream: S) -> Self {
        let (buffer, body) = (vec![0; READ], Vec::new());
        Self { stream, buffer, start: 0, end: 0, most: READ, body, is_whole: false }
    }

    /// The next payload, copied out of the buffer, if it is all there.
    #[inline]
    fn next(&mut self) -> Outcome<Option<&[u8]>> {
        if std::mem::take(&mut self.is_whole) {
            return Ok(Some(&self.body));
        }
        let Some((header, len)) = self.head()? else { return Ok(None) };
        let from = self.start + header;
        if self.end - from < len {
            return Ok(None);
        }
        self.body.clear();
        self.body.extend_from_slice(&self.buffer[from..from + len]);
        self.start = from + len;
        Ok(Some(&self.body))
    }

    /// The bytes of the next frame's header and payload.
    #[inline]
    fn head(&self) -> Outcome<Option<(usize, usize)>> {
        Ok(match &self.buffer[self.start..self.end] {
            [flags, rest @ ..] if flags & LONG != 0 => match rest.first_chunk() {
                Some(len) => Some((9, usize::try_from(u64::from_be_bytes(*len))?)),
                None => None,
            },
            [_, len, ..] => Some((2, usize::from(*len))),
            _ => None,
        })
    }

    async fn fill(&mut self) -> Outcome<()> {
        if let Some((header, len)) = self.head()?
            && len > READ / 2
        {
            let part = &self.buffer[self.start + header..self.end];
            self.body.resize(len, 0);
            self.body[..part.len()].copy_from_slice(part);
            self.stream.read_exact(&mut self.body[part.len()..]).await?;
            (self.start, self.end, self.is_whole, self.most) = (0, 0, true, GLANCE);
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let most = std::mem::replace(&mut self.most, READ).max(self.end + 1).min(READ);
        match self.stream.read(&mut self.buffer[self.end..most]).await? {
            0 => Err("the stream ended before the run".into()),
            read => {
                self.end += read;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_of_all_sizes_are_cut_out_as_they_were_put_in() {
        let payloads =
            [0, 1, 255, 256, 40_000, READ / 2, READ / 2 + 1, 300_000, 3].map(|len| vec![5_u8; len]);
        let mut stream = Vec::new();
        payloads.iter().for_each(|payload| put(payload, &mut stream));
        let mut frames = Frames::new(&stream[..]);
        for payload in &payloads {
            loop {
                match frames.next().unwrap() {
                    Some(body) => break assert_eq!(body, payload),
                    None => frames.fill().await.unwrap(),
                }
            }
        }
        assert!(frames.fill().await.is_err());
    }
}
