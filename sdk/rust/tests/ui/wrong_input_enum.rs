#[derive(wharf::Events)]
enum NoTimer {
    #[event("order.placed")]
    Placed,
}

#[derive(wharf::Events)]
enum NoName {
    #[event("order.placed")]
    Placed,
    Paid,
    #[timer("unpaid")]
    Unpaid,
}

#[derive(wharf::Events)]
enum Twice {
    #[event("order.placed")]
    Placed,
    #[event("order.placed")]
    Again,
    #[timer("unpaid")]
    Unpaid,
}

#[derive(wharf::Events)]
enum Pair {
    #[event("order.placed")]
    Placed(u32, u32),
    #[timer("unpaid")]
    Unpaid,
}

#[derive(wharf::Events)]
struct NoEnum;

fn main() {}
