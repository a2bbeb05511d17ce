//! A real collector: rotel, as `tools/rotel` brings it, read through what it
//! prints.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use wharf_demo::process::free_port;

use crate::spans::Span;
use crate::support::{SOON, until};

/// Where the collector is; none where it cannot run.
pub fn program() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = root.join(".tools/bin/rotel-agent");
    let runs = Command::new(&program).arg("--version").output();
    runs.is_ok_and(|output| output.status.success())
        .then_some(program)
}

/// A collector that prints every span. Gone with its value.
pub struct Rotel {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Rotel {
    pub async fn start(program: &Path) -> Self {
        let folder = TempDir::with_prefix_in("rotel-", env!("CARGO_TARGET_TMPDIR"));
        let folder = folder.expect("a folder");
        let (port, grpc) = (free_port().expect("a port"), free_port().expect("a port"));
        let file = |name: &str| folder.path().join(name);
        let output = File::create(file("output")).expect("a file");
        let child = Command::new(program)
            .arg("start")
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{port}")])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--exporter", "blackhole"])
            .args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"])
            .arg("--pid-file")
            .arg(file("pid"))
            .arg("--log-file")
            .arg(file("log"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a handle"))
            .stderr(output)
            .spawn()
            .expect("rotel starts");
        let rotel = Self {
            folder,
            port,
            child,
        };
        until("rotel", SOON, || async {
            let address = ("127.0.0.1", port);
            tokio::net::TcpStream::connect(address).await.ok()
        })
        .await;
        rotel
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has printed so far.
    pub fn spans(&self) -> Vec<Span> {
        let output = std::fs::read(self.folder.path().join("output")).expect("its output");
        read(&String::from_utf8_lossy(&output))
    }

    /// Waits until these spans are what `is_enough` wants.
    pub async fn until(&self, what: &str, is_enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        until(what, 2 * SOON, || async {
            let spans = self.spans();
            is_enough(&spans).then_some(spans)
        })
        .await
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `Span #0`, then a line for each field, then `-> key: Str(value)`.
fn read(output: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut within = false;
    for line in output.lines().map(str::trim) {
        if line.starts_with("Span #") {
            within = true;
            spans.push(Span::default());
        } else if line.starts_with("ResourceSpans #") || line.starts_with("ScopeSpans #") {
            within = false;
        }
        let Some(span) = spans.last_mut().filter(|_| within) else {
            continue;
        };
        if let Some(attribute) = line.strip_prefix("-> ") {
            let (key, value) = attribute.split_once(": ").expect("a key and a value");
            let inner = value.split_once('(').map_or("", |(_, rest)| rest);
            let inner = inner.strip_suffix(')').expect("a bracket behind it");
            span.attributes.insert(key.to_owned(), inner.to_owned());
            continue;
        }
        let Some((field, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim().to_owned();
        match field.trim_end() {
            "Trace ID" => span.trace = value,
            "Parent ID" => span.parent = value,
            "ID" => span.id = value,
            "Name" => span.name = value,
            "Kind" => span.kind = value.trim_start_matches("SPAN_KIND_").to_owned(),
            "Status code" if value == "STATUS_CODE_ERROR" => span.error = Some(String::new()),
            "Status message" if span.error.is_some() => span.error = Some(value),
            _ => {}
        }
    }
    spans
}
