use wharf::{Effects, Event};

#[derive(wharf::Events)]
enum In {
    #[event("order.confirmed")]
    Confirmed,
}

#[wharf::handler]
fn order(event: &Event, input: In, state: &mut Option<u32>) -> wharf::Result {
    Ok(Effects::new())
}

fn main() {}
