use wharf::{Effects, Event};

#[derive(wharf::Events)]
enum In {
    #[event("order.placed")]
    Placed,
    #[timer("unpaid")]
    Unpaid,
}

#[wharf::handler]
fn event_by_value(event: Event, input: In) -> wharf::Result {
    Ok(Effects::new())
}

#[wharf::handler]
fn state_by_value(event: &Event, input: In, state: Option<u32>) -> wharf::Result {
    Ok(Effects::new())
}

#[wharf::handler]
fn nothing_returned(event: &Event, input: In) {}

#[wharf::handler]
fn one_argument(event: &Event) -> wharf::Result {
    Ok(Effects::new())
}

#[wharf::handler]
async fn asynchronous(event: &Event, input: In) -> wharf::Result {
    Ok(Effects::new())
}

#[wharf::handler]
fn generic<T>(event: &Event, input: In) -> wharf::Result {
    Ok(Effects::new())
}

#[wharf::handler]
struct NoFunction;

#[wharf::handler(retries = 3)]
fn with_settings(event: &Event, input: In) -> wharf::Result {
    Ok(Effects::new())
}

fn main() {}
