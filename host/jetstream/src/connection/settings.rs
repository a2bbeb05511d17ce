//! Where the broker is and how to be let in.

use crate::error::Error;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// Everything needed to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// URLs such as `nats://127.0.0.1:4222`; at least one.
    pub servers: Vec<String>,
    pub auth: Auth,
    pub tls: Tls,
    /// Shown by the broker for each connection, followed by its purpose.
    pub name: String,
    /// First tokens of reply subjects; None: the client's `_INBOX`. With one,
    /// an account can confine what a host may subscribe to.
    pub inbox_prefix: Option<String>,
}

/// How the broker recognises this process. Printing it shows no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Nothing, or what the server's URL holds.
    #[default]
    None,
    /// A file with a user JWT and its seed.
    Credentials(PathBuf),
    User {
        user: String,
        password: String,
    },
    Token(String),
    /// A file with an nkey seed.
    Nkey(PathBuf),
}

/// TLS of the connection; it is used when the broker or the URL asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// PEM files of this client's certificate and key; both or neither.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Refuse a connection without TLS.
    pub required: bool,
    /// Begin with TLS before the broker says anything.
    pub first: bool,
}

impl Settings {
    /// Plain settings for one server.
    pub fn new(name: impl Into<String>, server: impl Into<String>) -> Self {
        Self {
            servers: vec![server.into()],
            auth: Auth::None,
            tls: Tls::default(),
            name: name.into(),
            inbox_prefix: None,
        }
    }

    /// Reads the context `context` of the NATS command line from
    /// `$XDG_CONFIG_HOME/nats/context`, else `~/.config/nats/context`.
    ///
    /// # Errors
    /// Names the file: when it is missing, unreadable, or sets something that
    /// would have no effect here.
    pub fn from_context(name: impl Into<String>, context: &str) -> Result<Self, Error> {
        let file = context_folder().join(format!("{context}.json"));
        if context.is_empty() || context.contains(['/', '\\']) {
            let reason = "a context's name has no slashes and is not empty".to_owned();
            return Err(Error::File { file, reason });
        }
        Self::from_context_file(name, &file)
    }

    /// Reads a context from its file.
    ///
    /// # Errors
    /// As [`Settings::from_context`].
    pub fn from_context_file(name: impl Into<String>, file: &Path) -> Result<Self, Error> {
        let fault = |reason: String| Error::File {
            file: file.to_owned(),
            reason,
        };
        let text = std::fs::read(file).map_err(|error| fault(error.to_string()))?;
        let context: Context =
            serde_json::from_slice(&text).map_err(|error| fault(error.to_string()))?;
        if let Some(key) = context.unsupported() {
            return Err(Error::ContextKey {
                file: file.to_owned(),
                key: key.to_owned(),
            });
        }
        let servers = context.servers();
        if servers.is_empty() {
            return Err(fault("the context has no `url`".to_owned()));
        }
        let certificate = match (path(&context.cert), path(&context.key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(fault("`cert` and `key` belong together".to_owned())),
        };
        let tls = Tls {
            ca: path(&context.ca),
            certificate,
            required: false,
            first: context.tls_first,
        };
        let auth = context.auth().map_err(fault)?;
        let inbox_prefix = Some(context.inbox_prefix).filter(|prefix| !prefix.is_empty());
        Ok(Self {
            servers,
            auth,
            tls,
            name: name.into(),
            inbox_prefix,
        })
    }

    /// The servers for messages, without what a URL may hold of secrets.
    pub(super) fn servers_shown(&self) -> String {
        let shown: Vec<_> = self
            .servers
            .iter()
            .map(|server| without_secrets(server))
            .collect();
        shown.join(", ")
    }
}

pub(super) fn without_secrets(server: &str) -> String {
    match server.rsplit_once('@') {
        None => server.to_owned(),
        Some((before, host)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{host}"),
            None => host.to_owned(),
        },
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Credentials(file) => f.debug_tuple("Credentials").field(file).finish(),
            Self::User { user, .. } => f.debug_struct("User").field("user", user).finish(),
            Self::Token(_) => f.write_str("Token"),
            Self::Nkey(file) => f.debug_tuple("Nkey").field(file).finish(),
        }
    }
}

/// The file as the NATS command line writes it: unused keys are empty texts.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Context {
    url: String,
    user: String,
    password: String,
    token: String,
    creds: String,
    nkey: String,
    ca: String,
    cert: String,
    key: String,
    tls_first: bool,
    inbox_prefix: String,
    nsc: String,
    user_jwt: String,
    user_seed: String,
    socks_proxy: String,
    jetstream_domain: String,
    jetstream_api_prefix: String,
    windows_cert_store: String,
}

impl Context {
    fn servers(&self) -> Vec<String> {
        let parts = self.url.split(',').map(str::trim);
        parts
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The first key that is set and would be passed over in silence.
    fn unsupported(&self) -> Option<&'static str> {
        let keys = [
            ("nsc", &self.nsc),
            ("user_jwt", &self.user_jwt),
            ("user_seed", &self.user_seed),
            ("socks_proxy", &self.socks_proxy),
            ("jetstream_domain", &self.jetstream_domain),
            ("jetstream_api_prefix", &self.jetstream_api_prefix),
            ("windows_cert_store", &self.windows_cert_store),
        ];
        keys.into_iter()
            .find(|(_, value)| !value.is_empty())
            .map(|(key, _)| key)
    }

    fn auth(&self) -> Result<Auth, String> {
        let user = Auth::User {
            user: self.user.clone(),
            password: self.password.clone(),
        };
        let ways = [
            (!self.creds.is_empty(), Auth::Credentials(home(&self.creds))),
            (!self.user.is_empty(), user),
            (!self.token.is_empty(), Auth::Token(self.token.clone())),
            (!self.nkey.is_empty(), Auth::Nkey(home(&self.nkey))),
        ];
        let mut set = ways
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, auth)| auth);
        match (set.next(), set.next()) {
            (None, _) => Ok(Auth::in_addresses(&self.servers())),
            (Some(auth), None) => Ok(auth),
            (Some(_), Some(_)) => {
                Err("only one of `creds`, `user`, `token` and `nkey` may be set".to_owned())
            }
        }
    }
}

impl Auth {
    /// The user and password, or the token, of the first address that holds one:
    /// the client itself leaves them out.
    pub fn in_addresses(servers: &[String]) -> Self {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let held = servers.iter().find_map(|server| {
            let authority = server
                .split_once("://")
                .map_or(server.as_str(), |(_, rest)| rest);
            authority.rsplit_once('@').map(|(held, _)| held)
        });
        match held.map(|held| held.split_once(':').ok_or(held)) {
            None => Self::None,
            Some(Err(token)) => Self::Token(decoded(token)),
            Some(Ok((user, password))) => Self::User {
                user: decoded(user),
                password: decoded(password),
            },
        }
    }
}

fn path(text: &str) -> Option<PathBuf> {
    Some(text).filter(|text| !text.is_empty()).map(home)
}

/// `~/` is written by people, not by the shell.
fn home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

fn context_folder() -> PathBuf {
    let config = std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty());
    let config = config
        .map(PathBuf::from)
        .unwrap_or_else(|| home("~/.config"));
    config.join("nats").join("context")
}

#[cfg(test)]
mod tests;
