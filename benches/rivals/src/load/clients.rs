//! Many clients of one server, each with some requests under way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::stamp::{Mark, Stamp};
use super::trips::STARTER;
use super::{Pace, Report, Start};
use crate::Outcome;
use crate::job::Job;
use crate::usage::cpu_time;

/// Requests that a client has under way.
pub(crate) const IN_FLIGHT: usize = 16;

/// The time that all clients share: it starts when each of them has had a reply.
pub(crate) struct Clients {
    strangers: AtomicUsize,
    warming: OnceLock<Instant>,
    start: OnceLock<Start>,
    pace: Pace,
}

impl Clients {
    pub(crate) fn of(job: &Job) -> Vec<Client> {
        let peers = job.cell.peers;
        let clients = Arc::new(Self {
            strangers: AtomicUsize::new(peers),
            warming: OnceLock::new(),
            start: OnceLock::new(),
            pace: job.pace,
        });
        let client = |index| Client {
            request: vec![0; job.cell.size],
            index,
            asked: 0,
            answered: 0,
            counted: 0,
            stage: Stage::Warm,
            clients: Arc::clone(&clients),
        };
        (0..u32::try_from(peers).unwrap_or(u32::MAX)).map(client).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Warm,
    /// The next request is the first that counts.
    Starting,
    Running,
    Over,
}

pub(crate) struct Client {
    request: Vec<u8>,
    index: u32,
    asked: u64,
    answered: u64,
    counted: u64,
    stage: Stage,
    clients: Arc<Clients>,
}

/// What a client does after a reply.
pub(crate) enum Next<'a> {
    Ask(&'a [u8]),
    /// Requests are still under way, and that is enough.
    Wait,
    /// All are answered. Some client then sends the server an empty request.
    Over,
}

impl Client {
    /// A request; [`IN_FLIGHT`] of them at first, then one for each reply.
    pub(crate) fn ask(&mut self) -> &[u8] {
        let first = if self.stage == Stage::Starting { STARTER } else { 0 };
        self.request[0] = first;
        if self.stage == Stage::Starting {
            self.stage = Stage::Running;
        }
        Stamp { number: self.asked, sender: self.index, mark: Mark::Plain }.put(&mut self.request);
        self.asked += 1;
        &self.request
    }

    /// A reply.
    #[inline]
    pub(crate) fn answered(&mut self, reply: &[u8]) -> Outcome<Next<'_>> {
        let due = Stamp { number: self.answered, sender: self.index, mark: Mark::Plain };
        if reply.len() != self.request.len() || Stamp::of(reply) != Some(due) {
            let (index, number) = (self.index, self.answered);
            return Err(format!("client {index}: reply {number} is not an echo").into());
        }
        if self.answered.is_multiple_of(IN_FLIGHT as u64) {
            self.look();
        }
        self.answered += 1;
        self.counted += u64::from(self.stage == Stage::Running);
        Ok(match self.stage {
            Stage::Over if self.answered < self.asked => Next::Wait,
            Stage::Over => Next::Over,
            _ => Next::Ask(self.ask()),
        })
    }

    #[cold]
    fn look(&mut self) {
        let now = Instant::now();
        let clients = &*self.clients;
        if self.answered == 0 && clients.strangers.fetch_sub(1, Ordering::AcqRel) == 1 {
            clients.warming.get_or_init(|| now + clients.pace.warm_up);
        }
        if clients.warming.get().is_none_or(|start| now < *start) {
            return;
        }
        let start = clients.start.get_or_init(|| Start { at: now, cpu: cpu_time() });
        if now >= start.at + clients.pace.run {
            self.stage = Stage::Over;
        } else if self.stage == Stage::Warm {
            self.stage = Stage::Starting;
        }
    }

    pub(crate) fn report(&self) -> Outcome<Report> {
        let start = *self.clients.start.get().ok_or("the clients ended before they were warm")?;
        Ok(Report::timed(self.answered, self.counted, start, start.at + self.clients.pace.run))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use super::*;

    #[test]
    fn clients_keep_their_requests_under_way_until_all_are_answered() {
        let mut job = Job::of("router/tcp/64x64");
        job.pace = Pace { warm_up: Duration::from_millis(2), run: Duration::from_millis(5) };
        let mut clients = Clients::of(&job);
        let mut queue = VecDeque::new();
        for (index, client) in clients.iter_mut().enumerate() {
            queue.extend((0..IN_FLIGHT).map(|_| (index, client.ask().to_vec())));
        }
        let mut starts = 0;
        while let Some((index, request)) = queue.pop_front() {
            starts += usize::from(request[0] == STARTER);
            if let Next::Ask(request) = clients[index].answered(&request).unwrap() {
                queue.push_back((index, request.to_vec()));
            }
        }
        assert_eq!(starts, 64);
        let report = clients.iter().map(Client::report).collect::<Outcome<Report>>().unwrap();
        assert_eq!(report.total, clients.iter().map(|client| client.asked).sum::<u64>());
        assert!(report.counted > 0 && report.counted < report.total, "{report:?}");
    }

    #[test]
    fn a_reply_to_another_client_is_an_error() {
        let mut clients = Clients::of(&Job::of("router/tcp/64x64"));
        let request = clients[0].ask().to_vec();
        assert!(clients[1].answered(&request).is_err());
    }
}
