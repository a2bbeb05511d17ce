//! Variables that cannot be used.

use std::process::Command;

use tempfile::TempDir;

use crate::support::WHARF;

#[test]
fn a_host_refuses_to_start_with_variables_that_it_cannot_follow_and_names_them_all() {
    let folder = TempDir::new().expect("a folder");
    let output = Command::new(WHARF)
        .arg("host")
        .current_dir(folder.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("OTEL_BSP_SCHEDULE_DELAY", "5s")
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in [
        "WH0110",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "grpc",
        "OTEL_BSP_SCHEDULE_DELAY",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}
