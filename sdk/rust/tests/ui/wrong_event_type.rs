#[derive(wharf::Events)]
enum In {
    #[event("order.placd")]
    Placed,
    #[event("shipment.sent")]
    Sent,
    #[timer("unpaid")]
    Unpaid,
}

fn main() {}
