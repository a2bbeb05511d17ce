fn main() -> Result<(), wharf::http::Error> {
    wharf::need!("gatway").get("/").send()?;
    wharf::need!("mail").get("/").send()?;
    Ok(())
}
