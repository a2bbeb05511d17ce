#[derive(wharf::Events)]
enum In {
    #[timer("unpayed")]
    Unpaid,
}

fn main() {
    let mut effects = wharf::Effects::new();
    effects.cancel(wharf::timer!("reminder"));
    effects.cancel("unpaid");
}
