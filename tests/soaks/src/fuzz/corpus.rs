//! The corpus: small inputs of our own for each reader, kept in the repository, and public data sets, read in place.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Where inputs come from, and where those that show a fault go.
pub(crate) struct Corpus {
    directory: PathBuf,
    /// Inputs from outside the repository, each with its reader's name.
    public: Vec<(&'static str, Vec<u8>)>,
}

impl Corpus {
    /// What the repository has.
    pub(crate) fn kept() -> Self {
        Self { directory: Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"), public: Vec::new() }
    }

    /// The same with the data sets below `TEST_DATA_DIR`: FHIR resources, and codes of another kind.
    pub(crate) fn with_public_data(directory: &Path) -> Self {
        let lines = |path: &str| fs::read_to_string(directory.join(path)).unwrap_or_default();
        let mut public: Vec<(&'static str, Vec<u8>)> = Vec::new();
        for file in ["fhir-r4/Patient.ndjson", "fhir-r4/Immunization.ndjson"] {
            public.extend(lines(file).lines().map(|line| ("fhir", line.into())));
        }
        for line in lines("eu-dcc/vectors.ndjson").lines() {
            let vector: serde_json::Value = serde_json::from_str(line).expect("a test vector is JSON");
            if let Some(code) = vector["prefix"].as_str() {
                public.push(("code", code.into()));
                public.push(("foreign", code.into()));
            }
        }
        report!("{} inputs from {}", public.len(), directory.display());
        Self { public, ..Self::kept() }
    }

    /// The inputs of a reader, always in the same order.
    pub(super) fn inputs(&self, reader: &str) -> Vec<Vec<u8>> {
        let folder = self.directory.join(reader);
        let listed = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<_> = listed.map(|entry| entry.expect("a directory can be listed").path()).collect();
        paths.sort();
        let kept: Vec<_> = paths.iter().map(|path| fs::read(path).expect("a file of the corpus can be read")).collect();
        let public: Vec<_> =
            self.public.iter().filter(|(of, _)| *of == reader).map(|(_, input)| input.clone()).collect();
        // As many of the one as of the other: few of the public ones use much of a grammar.
        let of_kept = public.len().max(kept.len());
        kept.iter().cycle().take(of_kept).cloned().chain(public).collect()
    }

    /// A file of the corpus; the first time it is made. Keys, and what they have signed or sealed, are kept, so that a
    /// seed repeats every byte of a run.
    pub(super) fn once(&self, name: &str, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        let path = self.directory.join(name);
        fs::read(&path).unwrap_or_else(|_| {
            let made = make();
            fs::create_dir_all(path.parent().expect("a folder in the corpus")).expect("the corpus can be written");
            fs::write(&path, &made).expect("the corpus can be written");
            made
        })
    }

    /// Keeps an input that shows a fault.
    pub(super) fn keep(&self, reader: &str, input: &[u8]) -> PathBuf {
        let mut hash = DefaultHasher::new();
        input.hash(&mut hash);
        let path = self.directory.join(reader).join(format!("found-{:016x}", hash.finish()));
        fs::write(&path, input).expect("the corpus can be written");
        path
    }
}
