fn main() {
    let _ = wharf::config!("form");
}
