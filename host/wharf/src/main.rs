//! The binary `wharf`: the host, and the commands around it.
//!
//! `pipeline.rs` is what it is all about: one event, one straight line.

mod assemble;
mod attempt;
mod bundle;
mod cli;
mod clock;
mod codes;
mod config;
mod decide;
mod deploy;
mod drain;
mod entity;
mod finish;
mod handler;
mod http;
mod ordered;
mod outbox;
mod output;
mod owner;
mod park;
mod pipeline;
mod run;
mod sharing;
mod spans;
mod standing;
mod supervisor;
mod sweep;
mod unordered;
mod unpack;
mod version;
mod watchdog;
mod work;

/// An event is some hundreds of small pieces on several threads, and blocks of a
/// client's queue that are made and freed all the time: what the system's
/// allocators are slowest at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
