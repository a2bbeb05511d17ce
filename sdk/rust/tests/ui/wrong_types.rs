use wharf::{Effects, Event};

#[derive(wharf::Events)]
enum In {
    #[event("order.placed")]
    Placed,
    #[timer("unpaid")]
    Unpaid,
}

struct NoInput;
struct NoState;

#[wharf::handler]
fn no_input(event: &Event, input: NoInput) -> wharf::Result {
    Ok(Effects::new())
}

#[wharf::handler]
fn no_state(event: &Event, input: In, state: &mut Option<NoState>) -> wharf::Result {
    Ok(Effects::new())
}

fn main() {}
