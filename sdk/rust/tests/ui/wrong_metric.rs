fn main() {
    wharf::metric!("order_total", end = "confirmed").add(1.0);
    wharf::metric!("orders_total", end = "lost").add(1.0);
    wharf::metric!("orders_total", site = "here").add(1.0);
    wharf::metric!("orders_total").add(1.0);
    wharf::metric!("orders_total", end = "confirmed").observe(1.0);
}
