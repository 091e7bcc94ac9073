//! Which of a sender's numbers have arrived, and what became of the others.
//!
//! Numbers ascend by one from 1. What comes after a larger number is late and not delivered any more; what came before
//! is a copy. A number that is missing may still come, late; it is lost when that has taken too long, or when so many
//! came after it that nobody remembers. So each number is one of delivered, late and lost, and counted once.
//!
//! Invariant: whatever numbers come, the memory is the same, and so is the work but for a small factor.

use std::time::{Duration, Instant};

/// How many of the last numbers are told apart: more than a network holds back.
const WINDOW: u64 = 1024;

/// How long a number may be missing until it is lost: longer than networks hold a packet, and soon enough to be told.
/// It also bounds how often something is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// No sender is so far ahead of what arrived: ten million messages a second for seven minutes, all lost.
const FARTHEST: u64 = 1 << 32;

/// Messages that were not delivered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missed {
    /// They did not arrive in time.
    pub(crate) lost: u64,
    /// They arrived after later ones.
    pub(crate) late: u64,
}

impl Missed {
    pub(super) const fn add(&mut self, more: Self) {
        self.lost = self.lost.saturating_add(more.lost);
        self.late = self.late.saturating_add(more.late);
    }
}

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// To be delivered.
    Next,
    /// Late, or a copy.
    Old,
    /// Farther ahead than any sender is.
    Absurd,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    /// The largest number that is known to be used.
    top: u64,
    /// Nothing up to here is delivered any more.
    done: u64,
    /// A bit for each of the last numbers, by their remainder: it is missing.
    missing: [u64; 16],
    open: u64,
    /// What is missing up to this number is lost at this time.
    due: Option<(Instant, u64)>,
    /// Not told yet.
    missed: Missed,
}

impl Ledger {
    /// Of a sender whose next number is the one after this.
    pub(crate) const fn after(number: u64) -> Self {
        Self {
            top: number,
            done: number,
            missing: [0; 16],
            open: 0,
            due: None,
            missed: Missed { lost: 0, late: 0 },
        }
    }

    /// A message of this number arrived.
    pub(crate) fn arrived(&mut self, number: u64, now: Instant) -> Arrival {
        if !self.reach(number) {
            return Arrival::Absurd;
        }
        let was_missing = self.found(number);
        self.watch(now);
        if number > self.done {
            self.done = number;
            return Arrival::Next;
        }
        self.missed.late = self.missed.late.saturating_add(u64::from(was_missing));
        Arrival::Old
    }

    /// The sender says that its last number was this one. False: that is absurd.
    pub(crate) fn told(&mut self, last: u64, now: Instant) -> bool {
        let possible = self.reach(last);
        self.watch(now);
        possible
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due.map(|(at, _)| at)
    }

    /// What is to be told now.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Missed {
        let Some((_, last)) = self.due.filter(|(at, _)| *at <= now) else { return Missed::default() };
        self.give_up(last);
        self.due = None;
        self.watch(now);
        std::mem::take(&mut self.missed)
    }

    /// Nothing comes any more: what is to be told.
    pub(crate) fn finish(&mut self) -> Missed {
        self.give_up(self.top);
        self.due = None;
        std::mem::take(&mut self.missed)
    }

    /// Numbers up to this one are used, and missing until they arrive.
    fn reach(&mut self, number: u64) -> bool {
        let ahead = number.saturating_sub(self.top);
        if ahead > FARTHEST {
            return false;
        }
        // Those whose places are taken are lost.
        let mut lost = 0_u64;
        if ahead >= WINDOW {
            lost = ahead.saturating_sub(WINDOW).saturating_add(self.open);
            (self.missing, self.open) = ([u64::MAX; 16], WINDOW);
        } else {
            for next in self.top.saturating_add(1)..=number {
                match self.place(next) {
                    Some((word, bit)) if *word & bit == 0 => {
                        *word |= bit;
                        self.open = self.open.saturating_add(1);
                    }
                    _ => lost = lost.saturating_add(1),
                }
            }
        }
        self.missed.lost = self.missed.lost.saturating_add(lost);
        self.top = self.top.max(number);
        true
    }

    /// Whether the number was missing; it is not any more.
    fn found(&mut self, number: u64) -> bool {
        if self.top.saturating_sub(number) >= WINDOW {
            return false;
        }
        let Some((word, bit)) = self.place(number) else { return false };
        let was_missing = *word & bit != 0;
        *word &= !bit;
        self.open = self.open.saturating_sub(u64::from(was_missing));
        was_missing
    }

    /// What is missing up to this number is lost.
    fn give_up(&mut self, last: u64) {
        if self.open > 0 {
            let first = self.top.saturating_sub(WINDOW).saturating_add(1);
            let lost = (first..=last).map(|number| u64::from(self.found(number))).sum();
            self.missed.lost = self.missed.lost.saturating_add(lost);
        }
        self.done = self.done.max(last);
    }

    fn watch(&mut self, now: Instant) {
        if self.due.is_none() && self.open > 0 {
            self.due = now.checked_add(PATIENCE).map(|at| (at, self.top));
        }
    }

    fn place(&mut self, number: u64) -> Option<(&mut u64, u64)> {
        let word = usize::try_from(number.checked_rem(WINDOW)?.checked_div(64)?).ok()?;
        Some((self.missing.get_mut(word)?, 1 << (number & 63)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(missed: Missed) -> (u64, u64) {
        (missed.lost, missed.late)
    }

    #[test]
    fn whatever_order_numbers_come_in_each_is_delivered_late_or_lost_once() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut ledger, mut now) = (Ledger::after(0), Instant::now());
            let (mut delivered, mut last, mut seen, mut told) =
                (0, 0, std::collections::HashSet::new(), (0, 0));
            let mut late = 0;
            let sent = 5_000;
            for step in 1..=sent {
                let back = if random.u8(..4) == 0 { random.u64(..2_000) } else { 0 };
                let number = u64::saturating_sub(step, back).max(1);
                match ledger.arrived(number, now) {
                    Arrival::Next => {
                        assert!(number > last && seen.insert(number));
                        (last, delivered) = (number, delivered + 1);
                    }
                    Arrival::Old => late += u64::from(seen.insert(number)),
                    Arrival::Absurd => panic!("{number}"),
                }
                now += Duration::from_millis(random.u64(..5));
                let missed = ledger.handle_timeout(now);
                told = (told.0 + missed.lost, told.1 + missed.late);
            }
            assert!(ledger.told(sent, now));
            let missed = ledger.finish();
            told = (told.0 + missed.lost, told.1 + missed.late);
            assert_eq!(delivered + told.0 + told.1, sent, "seed {seed}");
            assert!(told.1 <= late && told.1 > 0, "seed {seed}: late within the window alone");
        }
    }

    #[test]
    fn what_is_missing_is_lost_after_its_time_and_late_before() {
        let now = Instant::now();
        let mut ledger = Ledger::after(0);
        assert_eq!(ledger.arrived(3, now), Arrival::Next);
        assert_eq!(ledger.poll_timeout(), Some(now + PATIENCE));
        assert_eq!(ledger.arrived(2, now), Arrival::Old);
        assert_eq!(both(ledger.handle_timeout(now)), (0, 0));
        let later = now + PATIENCE;
        assert_eq!(both(ledger.handle_timeout(later)), (1, 1), "1 did not come, 2 came late");
        assert_eq!(ledger.arrived(1, later), Arrival::Old);
        assert_eq!((both(ledger.finish()), ledger.poll_timeout()), ((0, 0), None));
    }

    #[test]
    fn a_message_is_delivered_though_its_number_was_told_before_it_came() {
        let now = Instant::now();
        let mut ledger = Ledger::after(0);
        assert!(ledger.told(2, now));
        assert_eq!(ledger.arrived(1, now), Arrival::Next);
        let later = now + PATIENCE;
        assert_eq!(both(ledger.handle_timeout(later)), (1, 0));
        assert_eq!(ledger.arrived(2, later), Arrival::Old, "it was counted");
        assert_eq!(both(ledger.finish()), (0, 0));
    }

    #[test]
    fn gaps_beyond_all_memory_are_lost_at_once_and_absurd_ones_are_nothing() {
        let now = Instant::now();
        let mut ledger = Ledger::after(7);
        assert_eq!(ledger.arrived(7 + 1_000_000, now), Arrival::Next);
        assert_eq!(both(ledger.finish()), (999_999, 0));
        for absurd in [u64::MAX, 7 + 1_000_000 + FARTHEST + 1] {
            assert_eq!(ledger.arrived(absurd, now), Arrival::Absurd);
            assert!(!ledger.told(absurd, now));
        }
        assert_eq!(ledger.arrived(0, now), Arrival::Old);
        assert_eq!((both(ledger.finish()), ledger.arrived(1_000_008, now)), ((0, 0), Arrival::Next));
    }
}
