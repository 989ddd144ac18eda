use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;
use yima_schema::time::Time;

use super::*;
use crate::cache::generations::{Generation, Generations};

fn options(directory: &TempDir) -> DiskOptions {
    let identity = Identity { region: "xian".into(), pseudonyms: [7; 16] };
    DiskOptions { path: directory.path().join("cache"), max_bytes: 1 << 30, identity }
}

fn subject(n: u8) -> SubjectId {
    SubjectId::from_bytes([n; 16])
}

fn held(version: u64) -> Provenance {
    Provenance { version: Version(version), generation: Generation(3), loaded_at: Time::from_secs(5) }
}

fn state() -> State {
    let position = Position { number: 5, open: true, last: 4 };
    State { epoch: 1, generations: Generations::default(), positions: [(9, position)].into() }
}

/// A directory with rows of subjects 1 to 100 and a state.
fn filled(directory: &TempDir) {
    let (disk, state_found) = Disk::open(options(directory)).unwrap();
    assert_eq!(state_found, None);
    for n in 1..=100 {
        disk.raise(subject(n), held(u64::from(n)), Some(&[n; 50])).unwrap();
    }
    disk.save(&state()).unwrap();
}

#[test]
fn what_was_written_is_there_again() {
    let directory = TempDir::new().unwrap();
    filled(&directory);
    let (disk, found) = Disk::open(options(&directory)).unwrap();
    assert_eq!(found, Some(state()));
    let row = disk.lookup(subject(7)).unwrap().unwrap();
    assert_eq!((row.held.version, row.held.generation), (Version(7), Generation(3)));
    assert_eq!(row.view.view, Bytes::copy_from_slice(&[7; 50]));
    assert!(disk.lookup(subject(101)).unwrap().is_none());
    assert!(matches!(Disk::open(options(&directory)), Err(DiskError::InUse)));
}

#[test]
fn versions_only_rise_and_a_version_may_come_without_a_view() {
    let directory = TempDir::new().unwrap();
    let (disk, _) = Disk::open(options(&directory)).unwrap();
    let raise = |version, view: Option<&[u8]>| disk.raise(subject(1), held(version), view).unwrap().0;
    assert_eq!((raise(0, Some(b"none")), raise(5, None), disk.entries()), (0, 5, 0));
    assert_eq!((raise(2, Some(b"two")), raise(1, Some(b"one")), raise(0, Some(b"none"))), (2, 2, 2));
    assert_eq!(disk.lookup(subject(1)).unwrap().unwrap().view.view.as_ref(), b"two");
    assert_eq!(raise(3, None), 3);
    assert!(disk.lookup(subject(1)).unwrap().is_none());
    assert_eq!((raise(2, Some(b"two")), raise(3, Some(b"three"))), (3, 3));
    assert_eq!(disk.lookup(subject(1)).unwrap().unwrap().view.view.as_ref(), b"three");
}

#[test]
fn a_full_disk_takes_what_is_newer_of_whom_it_has() {
    let directory = TempDir::new().unwrap();
    filled(&directory);
    let (disk, _) = Disk::open(DiskOptions { max_bytes: 1, ..options(&directory) }).unwrap();
    disk.raise(subject(1), held(200), Some(b"new")).unwrap();
    disk.raise(subject(101), held(200), Some(b"new")).unwrap();
    assert_eq!(disk.lookup(subject(1)).unwrap().unwrap().held.version, Version(200));
    assert!(disk.lookup(subject(101)).unwrap().is_none());
}

#[test]
fn a_row_of_another_subject_or_with_another_bit_is_damaged() {
    let row = row::encode(subject(1), held(7), Some(b"a view"));
    assert!(row::decode(subject(1), &row).is_some_and(|found| found.is_some()));
    assert!(row::decode(subject(2), &row).is_none());
    for bit in 0..row.len() * 8 {
        let mut damaged = row.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(row::decode(subject(1), &damaged).is_none());
    }
    (0..row.len() - 1).for_each(|len| assert!(row::decode(subject(1), &row[..len]).is_none()));
}

#[test]
fn a_state_without_rows_or_rows_without_a_state_are_not_believed() {
    let directory = TempDir::new().unwrap();
    {
        let (disk, _) = Disk::open(options(&directory)).unwrap();
        disk.raise(subject(1), held(1), Some(b"a view")).unwrap();
    }
    let (disk, found) = Disk::open(options(&directory)).unwrap();
    assert!(found.is_none() && disk.lookup(subject(1)).unwrap().is_none());
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The directory that a process of its own is to look into.
const LOOK_INTO: &str = "YIMA_TEST_LOOK_INTO";

/// Does nothing but in a process that was started for it.
#[test]
fn what_is_found_is_what_was_written() {
    let Ok(path) = std::env::var(LOOK_INTO) else { return };
    let identity = Identity { region: "xian".into(), pseudonyms: [7; 16] };
    let (disk, found) = Disk::open(DiskOptions { path: path.into(), max_bytes: 1 << 30, identity }).unwrap();
    assert!(found.is_none_or(|found| found == state()));
    for n in 1..=100 {
        if let Ok(Some(row)) = disk.lookup(subject(n)) {
            assert_eq!((row.held.version.0, row.view.view.as_ref()), (u64::from(n), &[n; 50][..]));
        }
    }
}

/// Whether it exited of its own accord, and well.
fn look_into(path: &Path) -> Option<bool> {
    let mut test = std::process::Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "cache::disk::tests::what_is_found_is_what_was_written"]).env(LOOK_INTO, path);
    test.output().unwrap().status.code().map(|code| code == 0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to the files, what is found is what was written; if they end the process, then only once.
    #[test]
    fn damage_is_never_served(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), cut in any::<bool>()) {
        let directory = TempDir::new().unwrap();
        filled(&directory);
        let path = options(&directory).path;
        let files = files(&path);
        let damaged = file.get(&files);
        let mut bytes = fs::read(damaged).unwrap();
        // Journals are allocated in advance: only what is written of them is of interest.
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if written > 0 {
            let at = at.index(written);
            if cut { bytes.truncate(at) } else { bytes[at] ^= 0x55 }
            fs::write(damaged, bytes).unwrap();
        }
        let well = look_into(&path).unwrap_or_else(|| look_into(&path).unwrap_or(false));
        prop_assert!(well, "{}", damaged.display());
    }
}
