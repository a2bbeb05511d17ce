//! What the tests of the command line share: the real binary, in a folder of
//! its own, against a real nats-server.
#![allow(dead_code, reason = "each test binary uses its own part")]

#[path = "../../../jetstream/tests/common/server.rs"]
pub mod server;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use wharf_jetstream::api::Api;
use wharf_jetstream::connection::{self, Purpose, Settings};

pub use server::Server;

/// No command takes longer, on a machine with other work to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// An ordered handler with state and a timer, and an unordered one.
pub const ORDER: &str = r#"name = "order"
stream = "SHOP"
start = "all"
timers = ["unpaid"]

[[on]]
subjects = ["shop.order.{order}.placed", "shop.order.{order}.paid"]
key = "{order}"

[emits]
"order.confirmed" = "shop.order.{key}.confirmed"

[state]
version = 2
"#;
pub const MAIL: &str = r#"name = "mail"
stream = "SHOP"
ordering = "none"
delivery = "at-least-once"

[[on]]
subjects = ["shop.order.{order}.confirmed"]
key = "{order}"
"#;

/// A folder with wharf.toml and bundles, in which the binary is run.
pub struct Place {
    folder: tempfile::TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    /// The shop's two handlers, and one stream for them.
    pub fn shop(url: &str) -> Self {
        let place = Self::empty();
        place.write("wharf.toml", wharf_toml(url));
        place.write("target/bundles/order/handler.toml", ORDER);
        place.write("target/bundles/mail/handler.toml", MAIL);
        place
    }

    pub fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder above"))
            .expect("the folder is made");
        std::fs::write(path, text).expect("the file is written");
    }

    /// Runs the binary here, without any `WHARF_*` of this process.
    pub fn wharf(&self, arguments: &[&str]) -> Run {
        run(&mut self.command(arguments))
    }

    /// A host on the bundles here, which has to give up.
    pub fn host(&self, listen: &str) -> Run {
        let always = ["host", "--handlers", "target/bundles", "-o", "json"];
        self.wharf(&[&always[..], &["--listen", listen]].concat())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.args(arguments).current_dir(self.folder.path());
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WHARF_"))
        {
            command.env_remove(name);
        }
        // A context of whoever runs the tests must not be found.
        command.env("XDG_CONFIG_HOME", self.folder.path());
        command
    }
}

/// Runs a command to its end; one that does not end fails the test.
pub fn run(command: &mut Command) -> Run {
    let piped = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the binary runs");
    let out = collect(child.stdout.take().expect("stdout is piped"));
    let err = collect(child.stderr.take().expect("stderr is piped"));
    let begun = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().expect("the command's status") {
            break status.code().unwrap_or(-1);
        }
        if begun.elapsed() > PATIENCE {
            child.kill().expect("the command is killed");
            child.wait().expect("the command's end");
            panic!(
                "it did not end within {PATIENCE:?}: {}",
                err.join().expect("its words")
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |reader: JoinHandle<String>| reader.join().expect("the output is UTF-8");
    Run {
        code,
        out: text(out),
        err: text(err),
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("the output is UTF-8");
        text
    })
}

impl Run {
    /// The envelope on stdout, which is one JSON document and nothing else.
    pub fn json(&self) -> Value {
        let document: Value =
            serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        let is_error = document.get("error").is_some();
        assert_eq!(document["ok"], Value::Bool(!is_error), "{self:?}");
        assert_eq!(self.code == 0, !is_error, "{self:?}");
        document
    }

    /// The code of the error, from the envelope.
    pub fn error_code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no error: {self:?}"))
            .to_owned()
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

pub fn wharf_toml(url: &str) -> String {
    format!(
        "[nats]\nurl = \"{url}\"\n\n[streams.SHOP]\nsubjects = [\"shop.>\"]\nmax_bytes = \"64MiB\"\n"
    )
}

/// The broker's API, to arrange and to look.
pub async fn api(server: &Server) -> Api {
    let settings = Settings::new("test", server.url());
    Api::new(
        connection::connect(&settings, &Purpose::Control)
            .await
            .expect("connected"),
    )
}

/// A file of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}
