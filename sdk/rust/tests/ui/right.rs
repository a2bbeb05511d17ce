use serde::{Deserialize, Serialize};
use wharf::{Effects, Emit, Event};

#[derive(wharf::Events)]
enum In {
    #[event("order.placed")]
    Placed,
    #[timer("unpaid")]
    Unpaid,
}

#[derive(wharf::Emit)]
enum Out {
    #[emit("inventory.reserve")]
    Reserve { qty: u32 },
}

#[derive(Serialize, Deserialize)]
struct Order {
    qty: u32,
}

#[wharf::handler]
fn order(event: &Event, input: In, state: &mut Option<Order>) -> wharf::Result {
    let mut effects = Effects::new();
    match input {
        In::Placed => {
            effects.emit(Out::Reserve { qty: 1 }.to(&event.key));
            effects.set(wharf::timer!("unpaid").at_ms(event.now_ms));
            *state = Some(Order { qty: 1 });
        }
        In::Unpaid => {
            wharf::need!("gateway").get("/").send()?;
            wharf::metric!("orders_total", end = "rejected").add(1.0);
            let _: String = wharf::config!("from");
            state.take().map(|order| order.qty);
        }
    }
    Ok(effects)
}

fn main() {}
