use wharf::Effects;

#[derive(wharf::Emit)]
enum Out {
    #[emit("inventory.reserv")]
    Reserve { qty: u32 },
}

#[derive(wharf::Emit)]
#[emit("mail.wanted")]
struct Mail;

struct Plain;

fn main() {
    Effects::new().emit(Plain);
}
