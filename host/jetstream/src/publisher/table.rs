//! The window: a table of slots, each used by one publish at a time.

use super::{Ack, PublishError};
use async_nats::Subject;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub(super) type Answer = Result<Ack, PublishError>;

/// Slot and generation, as the last token of a reply subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    slot: u32,
    generation: u32,
}

impl Ticket {
    pub(super) fn parse(token: &str) -> Option<Self> {
        let (slot, generation) = token.split_once('-')?;
        Some(Self {
            slot: slot.parse().ok()?,
            generation: generation.parse().ok()?,
        })
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.slot, self.generation)
    }
}

/// A slot in use, as the sweeps see it.
pub(super) struct InUse<'a> {
    pub(super) subject: &'a Subject,
    pub(super) sent: Instant,
}

enum Phase {
    Free,
    /// Sent, or about to be; the waker is there once somebody waits.
    Waiting(Option<Waker>),
    /// Sent, and nobody wants the answer any more.
    Abandoned,
    Answered(Answer),
}

struct Slot {
    generation: u32,
    phase: Phase,
    subject: Subject,
    sent: Instant,
}

struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

pub(super) struct Window {
    table: Mutex<Table>,
    /// One permit for each free slot.
    room: Semaphore,
    size: usize,
}

/// One slot, taken. Dropping it abandons the answer.
pub(super) struct Claim {
    window: Arc<Window>,
    ticket: Ticket,
    done: bool,
}

impl Window {
    pub(super) fn new(size: usize) -> Self {
        let slots = u32::try_from(size).expect("a window is bounded");
        let empty = |_| Slot {
            generation: 0,
            phase: Phase::Free,
            subject: Subject::from_static(""),
            sent: Instant::now(),
        };
        let table = Table {
            slots: (0..slots).map(empty).collect(),
            free: (0..slots).rev().collect(),
        };
        Self {
            table: Mutex::new(table),
            room: Semaphore::new(size),
            size,
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Keeps those items whose tickets still wait for an answer.
    pub(super) fn retain_open<T>(&self, items: &mut Vec<T>, ticket: impl Fn(&T) -> Ticket) {
        let table = self.lock();
        items.retain(|item| {
            let ticket = ticket(item);
            let slot = table.slots.get(ticket.slot as usize);
            slot.is_some_and(|slot| {
                slot.generation == ticket.generation
                    && matches!(slot.phase, Phase::Waiting(_) | Phase::Abandoned)
            })
        });
    }

    pub(super) fn in_use(&self) -> usize {
        let table = self.lock();
        table.slots.len() - table.free.len()
    }

    /// Waits for a free slot, first come, first served.
    pub(super) async fn claim(self: &Arc<Self>, subject: Subject) -> Claim {
        // The semaphore is never closed.
        let permit = self.room.acquire().await.expect("the window is open");
        permit.forget();
        let mut table = self.lock();
        let index = table.free.pop().expect("a permit stands for a free slot");
        let slot = &mut table.slots[index as usize];
        slot.phase = Phase::Waiting(None);
        slot.subject = subject;
        slot.sent = Instant::now();
        let ticket = Ticket {
            slot: index,
            generation: slot.generation,
        };
        drop(table);
        Claim {
            window: self.clone(),
            ticket,
            done: false,
        }
    }

    /// Answers for tickets; a ticket of an earlier use is passed over.
    pub(super) fn settle(&self, answers: Vec<(Ticket, Answer)>) {
        let mut wakers = Vec::with_capacity(answers.len());
        let mut table = self.lock();
        for (ticket, answer) in answers {
            let known = table.slots.get(ticket.slot as usize);
            if known.is_some_and(|slot| slot.generation == ticket.generation) {
                wakers.extend(self.close(&mut table, ticket.slot, answer));
            }
        }
        drop(table);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The same error for all slots in use that `which` selects.
    pub(super) fn settle_all(&self, which: impl Fn(InUse<'_>) -> bool, error: &PublishError) {
        let mut table = self.lock();
        let mut wakers = Vec::new();
        let open = |slot: &Slot| matches!(slot.phase, Phase::Waiting(_) | Phase::Abandoned);
        let chosen: Vec<u32> = (0u32..)
            .zip(&table.slots)
            .filter(|(_, slot)| open(slot))
            .filter(|(_, slot)| {
                which(InUse {
                    subject: &slot.subject,
                    sent: slot.sent,
                })
            })
            .map(|(index, _)| index)
            .collect();
        for index in chosen {
            wakers.extend(self.close(&mut table, index, Err(error.clone())));
        }
        drop(table);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn close(&self, table: &mut Table, index: u32, answer: Answer) -> Option<Waker> {
        let slot = &mut table.slots[index as usize];
        match mem::replace(&mut slot.phase, Phase::Free) {
            Phase::Waiting(waker) => {
                slot.phase = Phase::Answered(answer);
                waker
            }
            Phase::Abandoned => {
                self.release(table, index);
                None
            }
            // The first answer counts.
            other @ (Phase::Free | Phase::Answered(_)) => {
                slot.phase = other;
                None
            }
        }
    }

    fn release(&self, table: &mut Table, index: u32) {
        let slot = &mut table.slots[index as usize];
        slot.phase = Phase::Free;
        slot.generation = slot.generation.wrapping_add(1);
        table.free.push(index);
        self.room.add_permits(1);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing in here panics half-way, so a poisoned table is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    pub(super) fn ticket(&self) -> Ticket {
        self.ticket
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let mut table = self.window.lock();
        let slot = &mut table.slots[self.ticket.slot as usize];
        match mem::replace(&mut slot.phase, Phase::Free) {
            Phase::Answered(answer) => {
                self.window.release(&mut table, self.ticket.slot);
                drop(table);
                self.done = true;
                Poll::Ready(answer)
            }
            Phase::Waiting(waker) => {
                let waker = match waker {
                    Some(waker) if waker.will_wake(cx.waker()) => waker,
                    _ => cx.waker().clone(),
                };
                slot.phase = Phase::Waiting(Some(waker));
                Poll::Pending
            }
            Phase::Free | Phase::Abandoned => panic!("an acknowledgement is awaited once"),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut table = self.window.lock();
        let slot = &mut table.slots[self.ticket.slot as usize];
        match slot.phase {
            Phase::Answered(_) => self.window.release(&mut table, self.ticket.slot),
            Phase::Waiting(_) | Phase::Abandoned | Phase::Free => slot.phase = Phase::Abandoned,
        }
    }
}

#[cfg(test)]
mod tests;
