use super::*;
use std::task::Wake;

struct Count(std::sync::atomic::AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

fn ack(sequence: u64) -> Answer {
    Ok(Ack {
        stream: "S".into(),
        sequence,
        duplicate: false,
    })
}

fn poll(claim: &mut Claim) -> Poll<Answer> {
    claim.poll(&mut Context::from_waker(Waker::noop()))
}

async fn claim(window: &Arc<Window>) -> Claim {
    window.claim(Subject::from_static("a.b")).await
}

#[tokio::test]
async fn an_answer_wakes_its_waiter_and_frees_the_slot() {
    let window = Arc::new(Window::new(2));
    let mut first = claim(&window).await;
    let count = Arc::new(Count(Default::default()));
    let waker = Waker::from(count.clone());
    assert!(first.poll(&mut Context::from_waker(&waker)).is_pending());
    window.settle(vec![(first.ticket(), ack(7))]);
    assert_eq!(count.0.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(poll(&mut first), Poll::Ready(ack(7)));
    assert_eq!(window.in_use(), 0);
}

#[tokio::test]
async fn a_full_window_makes_the_next_wait() {
    let window = Arc::new(Window::new(1));
    let mut first = claim(&window).await;
    let mut second = Box::pin(claim(&window));
    assert!(futures_util::poll!(second.as_mut()).is_pending());
    window.settle(vec![(first.ticket(), ack(1))]);
    assert_eq!(poll(&mut first), Poll::Ready(ack(1)));
    assert!(futures_util::poll!(second.as_mut()).is_ready());
}

#[tokio::test]
async fn a_late_answer_does_not_reach_the_slots_next_user() {
    let window = Arc::new(Window::new(1));
    let mut first = claim(&window).await;
    let old = first.ticket();
    window.settle_all(|_| true, &PublishError::Unanswered);
    assert_eq!(poll(&mut first), Poll::Ready(Err(PublishError::Unanswered)));
    let mut second = claim(&window).await;
    assert_eq!(second.ticket().slot, old.slot);
    window.settle(vec![(old, ack(1))]);
    assert!(poll(&mut second).is_pending());
    window.settle(vec![(second.ticket(), ack(2))]);
    assert_eq!(poll(&mut second), Poll::Ready(ack(2)));
}

#[tokio::test]
async fn a_forgotten_publish_keeps_its_place_until_the_answer() {
    let window = Arc::new(Window::new(1));
    let first = claim(&window).await;
    let ticket = first.ticket();
    drop(first);
    assert_eq!(window.in_use(), 1);
    window.settle(vec![(ticket, ack(1))]);
    assert_eq!(window.in_use(), 0);
    // Answered first and dropped afterwards leaves nothing behind either.
    let second = claim(&window).await;
    window.settle(vec![(second.ticket(), ack(2))]);
    drop(second);
    assert_eq!(window.in_use(), 0);
}

#[tokio::test]
async fn a_sweep_takes_only_what_it_selects_and_the_first_answer_counts() {
    let window = Arc::new(Window::new(4));
    let mut old = claim(&window).await;
    let mut young = window.claim(Subject::from_static("x")).await;
    window.settle_all(|slot| slot.subject.as_str() == "a.b", &PublishError::Denied);
    window.settle(vec![(old.ticket(), ack(1))]);
    assert_eq!(poll(&mut old), Poll::Ready(Err(PublishError::Denied)));
    assert!(poll(&mut young).is_pending());
    window.settle(vec![(young.ticket(), ack(2))]);
    assert_eq!(poll(&mut young), Poll::Ready(ack(2)));
    assert_eq!(window.in_use(), 0);
}

#[test]
fn tickets_survive_the_subject_and_nonsense_is_no_ticket() {
    let ticket = Ticket {
        slot: 65_535,
        generation: u32::MAX,
    };
    assert_eq!(Ticket::parse(&ticket.to_string()), Some(ticket));
    for token in ["", "1", "-", "1-", "-1", "a-1", "1-99999999999"] {
        assert_eq!(Ticket::parse(token), None, "{token}");
    }
}
