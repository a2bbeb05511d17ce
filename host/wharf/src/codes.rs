//! What an operator can meet, by number. Each code has a page in `docs/errors/`
//! that says what happened, why, and what to do next.
//!
//! A number is never used for something else, and never used again. Hundreds
//! group them: 0 general, 1 configuration, 2 connection, 3 streams and
//! consumers, 4 components, 5 the host process, 6 publishing, 7 entities,
//! 8 the doctor, 9 the demo, 10 the registry.

use std::fmt;

/// How a command ends, as the process says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    Failure = 1,
    /// The command line itself is wrong.
    Usage = 2,
    /// A check found problems.
    Check = 3,
    NotFound = 4,
    /// Refused, or in conflict with what is there.
    Refused = 5,
    Unreachable = 6,
    TimedOut = 7,
    Interrupted = 130,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $exit:ident, $title:literal, $remedy:literal;)*) => {
        /// A code that errors, logs and answers carry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All codes, ascending.
            #[cfg(test)]
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as it is written, such as in the name of its page.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What happened, in a few words: the title of its page.
            #[cfg(test)]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What to do next, when nothing more exact is known.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }

            /// How a command ends that fails with it.
            pub fn exit(self) -> Exit {
                match self { $(Self::$name => Exit::$exit,)* }
            }
        }
    };
}

codes! {
    /// What no other code says.
    Unexpected = "WH0001", Failure, "something unexpected failed",
        "read the message; if it does not help, report it with the command and its output";
    Usage = "WH0002", Usage, "the command line is not understood",
        "see the command's --help";

    FileUnreadable = "WH0101", Failure, "a configuration file cannot be read",
        "check the path and its permissions";
    Problems = "WH0102", Check, "the configuration has problems",
        "correct each line that is named";
    NoBundles = "WH0103", NotFound, "no handlers found",
        "name a folder of bundles with --handlers; `./just handlers` writes target/bundles";
    ConnectionFile = "WH0104", Failure, "a file that the connection needs cannot be used",
        "check the NATS context, credentials and certificates that are named";
    ServerAddress = "WH0105", Failure, "a server's address is not understood",
        "write nats://host:4222 or tls://host:4222";
    SecretMissing = "WH0106", Check, "a secret has no value",
        "set the environment variable that is named";
    SettingMissing = "WH0107", Check, "a handler's setting has no value",
        "set the environment variable that is named";
    UnknownHandler = "WH0108", NotFound, "no such handler",
        "see which handlers there are with `wharf check`";
    ContextConflict = "WH0109", Usage, "a NATS context and other connection settings contradict",
        "name either the context or the rest; a context brings its own servers and credentials";
    TraceSettings = "WH0110", Check, "traces cannot be exported as the environment says",
        "correct or unset the OTEL_ variables that are named; docs/traces.md lists them";

    Unreachable = "WH0201", Unreachable, "the broker cannot be reached",
        "start nats-server there, or name another address with --nats-url";
    Unauthorized = "WH0202", Refused, "the broker does not accept the credentials",
        "check --creds, the context, or the user and password in the URL";
    Tls = "WH0203", Unreachable, "no secure connection to the broker",
        "check [nats.tls] in wharf.toml against the server's certificate";
    ConnectionLost = "WH0204", Unreachable, "the connection to the broker was lost",
        "look at the server, then try again";
    Unanswered = "WH0205", TimedOut, "the broker does not answer in time",
        "look at the server's load and leader, then try again";
    Denied = "WH0206", Refused, "the broker does not permit it",
        "grant the account's user what is named; `wharf doctor` lists all that Wharf needs";
    JetStreamDisabled = "WH0207", Refused, "JetStream is not enabled",
        "start nats-server with JetStream (-js, or jetstream {} in its configuration) and enable it for the account";
    ServerTooOld = "WH0208", Refused, "the server is too old",
        "upgrade nats-server to 2.12 or later";
    BrokerRefused = "WH0209", Refused, "JetStream refused a request",
        "see what it says; `wharf doctor` looks at limits and streams";
    AnswerUnknown = "WH0210", Failure, "an answer of the broker is not understood",
        "check that it is a nats-server of version 2.12 or later";

    AssetMissing = "WH0301", Refused, "a stream or consumer is missing",
        "make it with `wharf provision`";
    AssetDiffers = "WH0302", Refused, "a stream or consumer has another shape",
        "change it as named, or use another name; nothing is changed for you";
    SourceUnfit = "WH0303", Refused, "a source stream forgets events",
        "use a stream with limits retention and discard = new";
    StreamFull = "WH0304", Refused, "a stream is full",
        "raise its max_bytes, or the account's limit";
    CheckpointMissing = "WH0305", Refused, "a handler has no checkpoint",
        "make it with `wharf provision`";
    CheckpointConflict = "WH0306", Refused, "a checkpoint is of another subscription",
        "restore the old [[on]], or give the handler a new name";
    DestinationUnfit = "WH0307", Refused, "emissions would go where messages vanish",
        "emit into a stream with limits retention and without a limit of messages a subject";

    ComponentMissing = "WH0401", Check, "a bundle has no component",
        "build it with `./just handlers`; the file is handler.wasm";
    ComponentCorrupt = "WH0402", Check, "a component is not valid",
        "check that the file was copied whole, and build it again for WASI 0.2";
    ComponentIsModule = "WH0403", Check, "this is a core module, not a component",
        "build for wasm32-wasip2, or make a component with `wasm-tools component new`";
    UnknownImport = "WH0404", Check, "a component imports what no host has",
        "remove what needs the import";
    WrongWorld = "WH0405", Check, "a component is of another world",
        "build it for the world `service` of `wharf:handler`";
    ComponentTooLarge = "WH0406", Check, "a component is too large, or asks for too much",
        "build with optimisation and without debug information, or lower limits.memory";
    ComponentStart = "WH0407", Check, "a component fails when it is started",
        "look at the message: code before the first event failed, or needs more than the limits give";
    Engine = "WH0408", Failure, "the WebAssembly engine cannot be set up",
        "see the message: address space, threads, or the cache folder";

    PortInUse = "WH0501", Refused, "the port is in use",
        "free it, or choose another with --listen";
    CannotListen = "WH0502", Failure, "the address cannot be listened on",
        "choose an address of this machine with --listen";
    NeedWithoutAddress = "WH0503", Check, "nobody says where a need is",
        "add [needs.NAME] with its url to needs.toml, and name the file with --needs";

    BadKey = "WH0601", Usage, "the key cannot be used",
        "a key has 1 to 256 bytes";
    NoSubject = "WH0602", NotFound, "no handler says where this event goes",
        "name the subject with --subject";
    ManySubjects = "WH0603", Refused, "the event could go to several subjects",
        "name one with --subject";
    NotCovered = "WH0604", Refused, "no stream holds the subject",
        "add it to a stream of wharf.toml and run `wharf provision`";
    BadSubject = "WH0605", Usage, "this is no subject for events",
        "write tokens with dots between them, without wildcards and white space";
    BadEvent = "WH0606", Usage, "the event cannot be published as it is",
        "see the message: data, id, or headers";
    TooLarge = "WH0607", Refused, "the event is too large for the broker",
        "publish less, or raise max_payload of the server";
    NotAcknowledged = "WH0608", TimedOut, "it is not known whether the event was stored",
        "publish it again with the same --id: it is stored once";
    NotSettled = "WH0609", TimedOut, "the time was up before every handler had settled the event",
        "look again with `wharf entity show`, or wait longer with --wait=5m";
    EventDead = "WH0610", Failure, "a handler gave the event up",
        "see the code and message of the dead letter";
    IdConflict = "WH0611", Refused, "the id names another event already",
        "publish it with another --id";

    NoEntity = "WH0701", NotFound, "no such entity",
        "check the key; an entity without state is forgotten after `dedup.for`";
    RecordUnreadable = "WH0702", Failure, "a record cannot be read",
        "use the version of Wharf that wrote it; nothing was changed";

    NotDurable = "WH0801", Failure, "the broker may lose what it acknowledged",
        "see each line; P1 (no loss) needs three replicas and streams that forget nothing";

    Demo = "WH0901", Failure, "the demo could not run",
        "see the message; logs are in the demo's folder";
    Unbalanced = "WH0902", Failure, "the demo's books do not balance",
        "see the report's lines and the first offenders that it names";

    RegistryUnavailable = "WH1001", Unreachable, "the registry cannot be used",
        "look at the server; `wharf provision` makes the bucket and the object store";
    ObjectMissing = "WH1002", Refused, "an object of a deployment is missing",
        "deploy the bundle again";
    DigestMismatch = "WH1003", Refused, "an object is not what its name says",
        "deploy the bundle again, and find out who wrote into the object store";
    DeploymentUnreadable = "WH1004", Failure, "a deployment cannot be read",
        "use the version of Wharf that wrote it; nothing was changed";
    DeploymentConflict = "WH1005", Refused, "others keep changing the deployment",
        "see `wharf versions`, then try again";
    NotDeployed = "WH1006", NotFound, "no such handler is deployed",
        "see which there are with `wharf status`";
    VersionUnknown = "WH1007", NotFound, "no such version",
        "see which there are with `wharf versions`";
    NoWayBack = "WH1008", Refused, "there is no version to go back to",
        "see `wharf versions`; deploy another, or pause the handler";
    VersionRefused = "WH1009", Refused, "a host refused the version",
        "correct what is named and deploy again, or `wharf rollback`";
    NotConverged = "WH1010", TimedOut, "not every host has followed in time",
        "see `wharf status`, or wait longer with --timeout";
    NeedUnknown = "WH1011", NotFound, "the registry does not know the need",
        "see which there are with `wharf needs ls`; add it with `wharf needs set` or `apply`";
}

impl Code {
    /// Where its page is in the repository.
    pub fn page(self) -> String {
        format!("docs/errors/{self}.md")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(code: Code) -> String {
        let path = format!("{}/../../{}", env!("CARGO_MANIFEST_DIR"), code.page());
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn codes_ascend_and_no_title_is_used_twice() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.as_str() < b.as_str()));
        let titles: std::collections::BTreeSet<_> =
            Code::ALL.iter().map(|code| code.title()).collect();
        assert_eq!(titles.len(), Code::ALL.len());
    }

    #[test]
    fn every_page_has_the_codes_title_its_exit_code_and_all_its_parts() {
        for code in Code::ALL {
            let text = page(*code);
            let title = format!("# {code}: {}\n", code.title());
            assert!(
                text.starts_with(&title),
                "{code}: the page begins otherwise than `{}`",
                title.trim()
            );
            for part in [
                "## What happened",
                "## Why",
                "## What to do next",
                "## Example",
            ] {
                assert!(text.contains(part), "{code}: the page has no part `{part}`");
            }
            assert!(
                text.contains(&format!("error[{code}]")),
                "{code}: the example does not show the error"
            );
            let exit = format!("Exit code {}.", code.exit() as u8);
            assert!(
                text.contains(&exit),
                "{code}: the page does not say `{exit}`"
            );
        }
    }
}
