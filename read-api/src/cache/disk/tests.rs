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

fn provenance(version: u64) -> Provenance {
    Provenance { version: Version(version), generation: Generation(3), loaded_at: Time::from_secs(5) }
}

fn state() -> State {
    let position = Position { number: 5, open: true, last: 4 };
    State { epoch: 1, generations: Generations::default(), positions: [(9, position)].into() }
}

/// A directory with rows of subjects 1 to 100 and a state.
fn filled(directory: &TempDir) {
    let (disk, saved) = Disk::open(options(directory)).unwrap();
    assert_eq!(saved, None);
    for n in 1..=100 {
        disk.raise(subject(n), provenance(u64::from(n)), Some(&[n; 50])).unwrap();
    }
    disk.save(&state()).unwrap();
}

#[test]
fn rows_and_state_survive_a_restart() {
    let directory = TempDir::new().unwrap();
    filled(&directory);
    let (disk, saved) = Disk::open(options(&directory)).unwrap();
    assert_eq!(saved, Some(state()));
    let row = disk.lookup(subject(7)).unwrap().unwrap();
    assert_eq!((row.provenance.version, row.provenance.generation), (Version(7), Generation(3)));
    assert_eq!(row.view.view, Bytes::copy_from_slice(&[7; 50]));
    assert!(disk.lookup(subject(101)).unwrap().is_none());
    assert!(matches!(Disk::open(options(&directory)), Err(DiskError::InUse)));
}

#[test]
fn versions_only_rise_with_or_without_a_view() {
    let directory = TempDir::new().unwrap();
    let (disk, _) = Disk::open(options(&directory)).unwrap();
    let raise = |version, view: Option<&[u8]>| disk.raise(subject(1), provenance(version), view).unwrap().0;
    assert_eq!((raise(0, Some(b"none")), raise(5, None), disk.entries()), (0, 5, 0));
    assert_eq!((raise(2, Some(b"two")), raise(1, Some(b"one")), raise(0, Some(b"none"))), (2, 2, 2));
    assert_eq!(disk.lookup(subject(1)).unwrap().unwrap().view.view.as_ref(), b"two");
    assert_eq!(raise(3, None), 3);
    assert!(disk.lookup(subject(1)).unwrap().is_none());
    assert_eq!((raise(2, Some(b"two")), raise(3, Some(b"three"))), (3, 3));
    assert_eq!(disk.lookup(subject(1)).unwrap().unwrap().view.view.as_ref(), b"three");
}

#[test]
fn a_full_disk_updates_its_subjects_and_admits_no_new_ones() {
    let directory = TempDir::new().unwrap();
    filled(&directory);
    let (disk, _) = Disk::open(DiskOptions { max_bytes: 1, ..options(&directory) }).unwrap();
    disk.raise(subject(1), provenance(200), Some(b"new")).unwrap();
    disk.raise(subject(101), provenance(200), Some(b"new")).unwrap();
    assert_eq!(disk.lookup(subject(1)).unwrap().unwrap().provenance.version, Version(200));
    assert!(disk.lookup(subject(101)).unwrap().is_none());
}

#[test]
fn a_row_of_another_subject_or_with_a_flipped_bit_is_damaged() {
    let row = row::encode(subject(1), provenance(7), Some(b"a view"));
    assert!(row::decode(subject(1), &row).is_some_and(|row| row.is_some()));
    assert!(row::decode(subject(2), &row).is_none());
    for bit in 0..row.len() * 8 {
        let mut damaged = row.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(row::decode(subject(1), &damaged).is_none());
    }
    (0..row.len() - 1).for_each(|len| assert!(row::decode(subject(1), &row[..len]).is_none()));
}

#[test]
fn rows_without_a_state_are_not_believed() {
    let directory = TempDir::new().unwrap();
    {
        let (disk, _) = Disk::open(options(&directory)).unwrap();
        disk.raise(subject(1), provenance(1), Some(b"a view")).unwrap();
    }
    let (disk, saved) = Disk::open(options(&directory)).unwrap();
    assert!(saved.is_none() && disk.lookup(subject(1)).unwrap().is_none());
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Names the directory that a child process is to check.
const CHECKED_DIRECTORY: &str = "YIMA_TEST_CHECKED_DIRECTORY";

/// Does nothing except in the child process that [`check`] starts.
#[test]
fn rows_that_can_be_read_are_the_ones_written() {
    let Ok(path) = std::env::var(CHECKED_DIRECTORY) else { return };
    let identity = Identity { region: "xian".into(), pseudonyms: [7; 16] };
    let (disk, saved) = Disk::open(DiskOptions { path: path.into(), max_bytes: 1 << 30, identity }).unwrap();
    assert!(saved.is_none_or(|saved| saved == state()));
    for n in 1..=100 {
        if let Ok(Some(row)) = disk.lookup(subject(n)) {
            assert_eq!((row.provenance.version.0, row.view.view.as_ref()), (u64::from(n), &[n; 50][..]));
        }
    }
}

/// Runs the test above on a directory; whether it passed, or `None` if a signal ended it.
fn check(path: &Path) -> Option<bool> {
    let mut test = std::process::Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "cache::disk::tests::rows_that_can_be_read_are_the_ones_written"])
        .env(CHECKED_DIRECTORY, path);
    test.output().unwrap().status.code().map(|code| code == 0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to the files, rows that can be read are the ones written. Damage ends the process at most once.
    #[test]
    fn damage_is_never_served(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let directory = TempDir::new().unwrap();
        filled(&directory);
        let path = options(&directory).path;
        let files = files(&path);
        let damaged = file.get(&files);
        let mut bytes = fs::read(damaged).unwrap();
        // Journals are allocated in advance: only their written part matters.
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if written > 0 {
            let at = at.index(written);
            if cut { bytes.truncate(at) } else { bytes[at] ^= 0x55 }
            fs::write(damaged, bytes).unwrap();
        }
        let passed = check(&path).unwrap_or_else(|| check(&path).unwrap_or(false));
        prop_assert!(passed, "{}", damaged.display());
    }
}
