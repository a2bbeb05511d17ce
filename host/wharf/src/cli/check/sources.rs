//! Which files a check looks at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wharf_core::config::{Located, Problem};
use wharf_core::needs::{self, Needs};
use wharf_core::place::{self, Place};

use super::CheckArgs;
use crate::bundle::{self, MANIFEST_FILE, Shelf};
use crate::cli::failure::Failure;
use crate::codes::Code;
use crate::config;

const PLACE_FILE: &str = "wharf.toml";
const NEEDS_FILE: &str = "needs.toml";
const HANDLERS: &str = "target/bundles";

/// Files by what they are.
#[derive(Debug, Default)]
pub struct Sources {
    folders: BTreeSet<PathBuf>,
    place: Option<PathBuf>,
    needs: Option<PathBuf>,
}

/// What the files say, and what is wrong with them.
#[derive(Debug)]
pub struct Read {
    pub shelf: Shelf,
    pub needs: Option<Located<Needs>>,
    pub place: Option<Located<Place>>,
    pub problems: Vec<Problem>,
}

impl Sources {
    /// Finds the files that the arguments name; what stands beside them counts
    /// unless another is named.
    pub fn gather(args: &CheckArgs) -> Result<Self, Failure> {
        let mut sources = Self {
            place: args.config.clone(),
            needs: args.needs.clone(),
            ..Self::default()
        };
        match args.paths.is_empty() {
            true => sources.add(&default_handlers())?,
            false => args.paths.iter().try_for_each(|path| sources.add(path))?,
        }
        let here = |name: &str| Some(PathBuf::from(name)).filter(|path| path.is_file());
        sources.place = sources.place.or_else(|| here(PLACE_FILE));
        sources.needs = sources.needs.or_else(|| here(NEEDS_FILE));
        if args.paths.is_empty() && sources.folders.is_empty() {
            let message = format!("no {MANIFEST_FILE} in {HANDLERS}, nor in a folder inside it");
            return Err(Failure::new(Code::NoBundles, message)
                .remedy("name a bundle, or a folder of bundles"));
        }
        Ok(sources)
    }

    fn add(&mut self, path: &Path) -> Result<(), Failure> {
        if path.is_dir() {
            return self.add_folder(path);
        }
        match path.file_name().and_then(|name| name.to_str()) {
            Some(MANIFEST_FILE) => {
                self.folders
                    .insert(path.parent().unwrap_or(Path::new("")).to_owned());
            }
            Some(name) if name.ends_with(PLACE_FILE) => self.place = Some(path.to_owned()),
            Some(name) if name.ends_with(NEEDS_FILE) => self.needs = Some(path.to_owned()),
            Some(_) | None => return Err(unknown(path)),
        }
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path) -> Result<(), Failure> {
        let found = bundle::folders(folder)?;
        let beside = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        let (place, needs) = (beside(PLACE_FILE), beside(NEEDS_FILE));
        if found.is_empty() && place.is_none() && needs.is_none() {
            let message = format!("no {MANIFEST_FILE}, {PLACE_FILE} or {NEEDS_FILE} in the folder");
            return Err(Failure::new(Code::NoBundles, message).place(folder.display().to_string()));
        }
        self.folders.extend(found);
        self.place = self.place.take().or(place);
        self.needs = self.needs.take().or(needs);
        Ok(())
    }

    /// Reads them all.
    pub fn read(self) -> Result<Read, Failure> {
        let (shelf, mut problems) = bundle::read_each(self.folders)?;
        let place = valid(self.place, place::read, &mut problems)?;
        let needs = valid(self.needs, needs::read, &mut problems)?;
        Ok(Read {
            shelf,
            needs,
            place,
            problems,
        })
    }
}

fn default_handlers() -> PathBuf {
    let named = std::env::var_os("WHARF_HANDLERS").filter(|value| !value.is_empty());
    named.map_or_else(|| PathBuf::from(HANDLERS), PathBuf::from)
}

fn valid<T>(
    path: Option<PathBuf>,
    parse: impl FnOnce(&str, &str) -> Result<Located<T>, Vec<Problem>>,
    problems: &mut Vec<Problem>,
) -> Result<Option<Located<T>>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let text = config::text(&path)?;
    match parse(&path.display().to_string(), &text) {
        Ok(located) => Ok(Some(located)),
        Err(found) => {
            problems.extend(found);
            Ok(None)
        }
    }
}

fn unknown(path: &Path) -> Failure {
    let place = path.display().to_string();
    if !path.exists() {
        return Failure::new(Code::NoBundles, "no such file or folder").place(place);
    }
    let remedy = format!(
        "name a folder, or a file whose name ends in {MANIFEST_FILE}, {PLACE_FILE} or {NEEDS_FILE}"
    );
    Failure::new(Code::Usage, "this file is none that can be checked")
        .place(place)
        .remedy(remedy)
}
