//! What a command is told about its place: flags, then `WHARF_*` environment
//! variables, then `wharf.toml` and `needs.toml`, then defaults.

mod secrets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use wharf_core::config::Located;
use wharf_core::needs::{self, Needs};
use wharf_core::place::{self, Nats, Place, Servers};
use wharf_jetstream::connection::{Auth, Settings, Tls};

use crate::cli::failure::Failure;
use crate::codes::Code;

pub use secrets::{handler_value, need_secret, value_variable};

/// Read when no other file is named and it exists.
const PLACE_FILE: &str = "wharf.toml";
const NEEDS_FILE: &str = "needs.toml";

/// Where the broker is and what belongs to the place.
#[derive(Debug, Clone, Default, Args)]
pub struct PlaceArgs {
    /// What belongs to the place [default: wharf.toml, when there is one].
    #[arg(long, value_name = "FILE", env = "WHARF_CONFIG")]
    pub config: Option<PathBuf>,
    /// Servers to connect to, several with commas [default: nats://127.0.0.1:4222].
    #[arg(
        long,
        value_name = "URL",
        env = "WHARF_NATS_URL",
        hide_env_values = true
    )]
    pub nats_url: Option<String>,
    /// A context of the `nats` tool, with servers and credentials.
    #[arg(long, value_name = "NAME", env = "WHARF_NATS_CONTEXT")]
    pub nats_context: Option<String>,
    /// A file with a user JWT and its seed.
    #[arg(long, value_name = "FILE", env = "WHARF_CREDS")]
    pub creds: Option<PathBuf>,
}

/// A place, read and merged.
#[derive(Debug, Clone)]
pub struct Setting {
    /// None: there is no `wharf.toml`, and all is default.
    pub file: Option<Located<Place>>,
    pub connection: Settings,
}

impl Setting {
    pub fn place(&self) -> Place {
        self.file
            .as_ref()
            .map(|file| file.value.clone())
            .unwrap_or_default()
    }
}

impl PlaceArgs {
    /// Reads the place. `name` is what the broker shows for the connections.
    ///
    /// # Errors
    /// The file cannot be read or has problems; settings contradict; a file of
    /// the connection cannot be used.
    pub fn load(&self, name: &str) -> Result<Setting, Failure> {
        let file = self.read()?;
        let nats = file
            .as_ref()
            .map(|file| file.value.nats.clone())
            .unwrap_or_default();
        let connection = self.connection(name, &nats)?;
        Ok(Setting { file, connection })
    }

    fn read(&self) -> Result<Option<Located<Place>>, Failure> {
        read(self.config.as_deref(), PLACE_FILE, place::read)
    }

    fn connection(&self, name: &str, nats: &Nats) -> Result<Settings, Failure> {
        let context = self.context(nats)?;
        if let Some(context) = context {
            return Settings::from_context(name, context).map_err(Failure::from);
        }
        let creds = self
            .creds
            .clone()
            .or_else(|| nats.creds.clone().map(PathBuf::from));
        let servers = self.servers(nats);
        Ok(Settings {
            auth: creds.map_or_else(|| Auth::in_addresses(&servers), Auth::Credentials),
            servers,
            tls: tls(&nats.tls),
            name: name.to_owned(),
            inbox_prefix: None,
        })
    }

    /// The context in force, when nothing speaks against it.
    fn context<'a>(&'a self, nats: &'a Nats) -> Result<Option<&'a str>, Failure> {
        let context = match (&self.nats_context, &self.nats_url, &nats.servers) {
            (Some(context), None, _) => context,
            (None, None, Servers::Context(context)) => context,
            (None, Some(_), _) | (None, None, Servers::Urls(_)) => return Ok(None),
            (Some(context), Some(_), _) => return Err(conflict(context, "--nats-url")),
        };
        match self.creds {
            Some(_) => Err(conflict(context, "--creds")),
            None => Ok(Some(context)),
        }
    }

    fn servers(&self, nats: &Nats) -> Vec<String> {
        match (&self.nats_url, &nats.servers) {
            (Some(urls), _) => urls.split(',').map(|url| url.trim().to_owned()).collect(),
            (None, Servers::Urls(urls)) => urls.iter().map(|url| url.as_str().to_owned()).collect(),
            // `context` has answered already.
            (None, Servers::Context(_)) => Vec::new(),
        }
    }
}

/// Reads where the needs are. None: no file is named, and there is none.
///
/// # Errors
/// The file cannot be read or has problems.
pub fn needs(file: Option<&Path>) -> Result<Option<Located<Needs>>, Failure> {
    read(file, NEEDS_FILE, needs::read)
}

/// Fills in the secrets.
///
/// # Errors
/// A secret has no value, or makes no header value.
pub fn resolve(
    file: &str,
    needs: &Needs,
) -> Result<BTreeMap<String, wharf_engine::Place>, Failure> {
    let mut places = BTreeMap::new();
    for (name, need) in needs {
        let auth = match &need.auth {
            None => None,
            Some(auth) => {
                let value = auth.value.resolve(need_secret).map_err(|error| {
                    let variable = auth
                        .value
                        .secrets()
                        .map(secrets::need_variable)
                        .collect::<Vec<_>>()
                        .join(", ");
                    Failure::new(Code::SecretMissing, format!("need `{name}`: {error}"))
                        .place(file)
                        .remedy(format!("set the environment variable {variable}"))
                })?;
                Some((auth.header.clone(), value))
            }
        };
        let url = need.url.as_str().to_owned();
        places.insert(
            name.clone(),
            wharf_engine::Place {
                url,
                auth,
                max_in_flight: need.max_in_flight,
            },
        );
    }
    Ok(places)
}

/// A file's text.
///
/// # Errors
/// Names the file and what the system says.
pub fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::new(Code::FileUnreadable, error.to_string()).place(path.display().to_string())
    })
}

fn read<T>(
    named: Option<&Path>,
    default: &str,
    parse: impl FnOnce(&str, &str) -> Result<Located<T>, Vec<wharf_core::config::Problem>>,
) -> Result<Option<Located<T>>, Failure> {
    let path = named.unwrap_or(Path::new(default));
    if named.is_none() && !path.is_file() {
        return Ok(None);
    }
    let text = text(path)?;
    parse(&path.display().to_string(), &text)
        .map(Some)
        .map_err(Failure::problems)
}

fn tls(tls: &place::Tls) -> Tls {
    let path = |text: &Option<String>| text.as_ref().map(PathBuf::from);
    Tls {
        ca: path(&tls.ca),
        certificate: path(&tls.cert).zip(path(&tls.key)),
        required: false,
        first: false,
    }
}

fn conflict(context: &str, other: &str) -> Failure {
    let message = format!("the NATS context `{context}` and {other} contradict");
    Failure::new(Code::ContextConflict, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nats(text: &str) -> Nats {
        place::parse("wharf.toml", text)
            .expect("the file is valid")
            .nats
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let servers =
            |args: &PlaceArgs, text: &str| args.connection("t", &nats(text)).map(|c| c.servers);
        let flag = PlaceArgs {
            nats_url: Some("nats://a:1, nats://b:2".into()),
            ..PlaceArgs::default()
        };
        let file = "[nats]\nurl = \"nats://c:3\"";
        assert_eq!(servers(&flag, file).unwrap(), ["nats://a:1", "nats://b:2"]);
        assert_eq!(
            servers(&PlaceArgs::default(), file).unwrap(),
            ["nats://c:3"]
        );
        assert_eq!(
            servers(&PlaceArgs::default(), "").unwrap(),
            ["nats://127.0.0.1:4222"]
        );
        assert_eq!(
            servers(&flag, "[nats]\ncontext = \"prod\"").unwrap(),
            ["nats://a:1", "nats://b:2"]
        );
    }

    #[test]
    fn a_context_and_an_address_or_credentials_together_are_refused() {
        let context = PlaceArgs {
            nats_context: Some("prod".into()),
            ..PlaceArgs::default()
        };
        let with_url = PlaceArgs {
            nats_url: Some("nats://a:1".into()),
            ..context.clone()
        };
        let with_creds = PlaceArgs {
            creds: Some("c".into()),
            ..context
        };
        let creds_only = PlaceArgs {
            creds: Some("c".into()),
            ..PlaceArgs::default()
        };
        for (args, file) in [
            (&with_url, ""),
            (&with_creds, ""),
            (&creds_only, "[nats]\ncontext = \"prod\""),
        ] {
            let failure = args.connection("t", &nats(file)).unwrap_err();
            assert_eq!(failure.code, Code::ContextConflict, "{args:?} {file}");
        }
    }
}
