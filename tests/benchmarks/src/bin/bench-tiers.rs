//! The disk tier beside foyer's hybrid cache with the same rows: `bench-tiers [ROWS]`. Each step is a process of its
//! own, for its memory and for the crash: one fills the cache and aborts, the next opens and reads it.

#[macro_use]
extern crate yima_harness;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foyer::{BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder, HybridCachePolicy};
use tokio::task::JoinSet;
use yima_harness::resident_bytes;
use yima_harness::samples::subject;
use yima_read_api::cache::disk::{Disk, DiskOptions, Identity, State};
use yima_read_api::cache::freshness::Provenance;
use yima_read_api::cache::generations::{Generation, Generations};
use yima_schema::time::Time;
use yima_schema::view::Version;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bytes of a row's view.
const VIEW: usize = 300;
const READS: u64 = 200_000;
const READERS: u64 = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match &arguments[..] {
        [step, contestant, rows, path] => {
            let (rows, path) = (rows.parse().expect("a number"), PathBuf::from(path));
            match (step.as_str(), contestant.as_str()) {
                ("fill", "disk") => fill_disk(rows, &path),
                ("read", "disk") => runtime.block_on(read_disk(rows, &path)),
                ("fill", _) => runtime.block_on(fill_foyer(rows, &path)),
                _ => runtime.block_on(read_foyer(rows, &path)),
            }
        }
        _ => {
            let rows = arguments.first().map_or("1000000", String::as_str);
            for contestant in ["disk", "foyer"] {
                let directory = tempfile::TempDir::new_in(".").expect("a directory");
                for step in ["fill", "read"] {
                    let mut process = Command::new(std::env::current_exe().expect("this program"));
                    let status = process.args([step, contestant, rows]).arg(directory.path()).status();
                    assert!(status.is_ok(), "{step} {contestant}");
                }
            }
        }
    }
}

/// A view of which half compresses, as names and times do.
fn view(n: u64) -> Vec<u8> {
    let mut view = vec![b'y'; VIEW];
    let mut state = n;
    view[..VIEW / 2].fill_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    view
}

fn report(what: &str, rows: u64, start: Instant, path: &Path) {
    let seconds = start.elapsed().as_secs_f64();
    let memory = resident_megabytes();
    report!(
        "{what}: {seconds:.1} s ({:.0}/s), {:.0} bytes on disk a row, {memory:.0} MB resident",
        rows as f64 / seconds,
        on_disk(path) / rows as f64
    );
}

/// Ends the process as a crash would: nothing is flushed or closed.
fn crash() -> ! {
    std::process::abort()
}

fn disk(path: &Path) -> (Disk, Option<State>) {
    let identity = Identity { region: "bench".into(), pseudonyms: [0; 16] };
    Disk::open(DiskOptions { path: path.join("cache"), max_bytes: u64::MAX, identity })
        .expect("no other process has it open")
}

fn fill_disk(rows: u64, path: &Path) {
    let (disk, _) = disk(path);
    let start = Instant::now();
    for n in 0..rows {
        let provenance = Provenance { version: Version(1), generation: Generation(0), loaded_at: Time::MIN };
        disk.raise(subject(n), provenance, Some(&view(n))).expect("a disk with free space");
    }
    let state = State { epoch: 1, generations: Generations::default(), positions: [].into() };
    disk.save(&state).expect("a disk with free space");
    report("disk tier, filled", rows, start, path);
    crash()
}

async fn read_disk(rows: u64, path: &Path) {
    let start = Instant::now();
    let disk = Arc::new(disk(path).0);
    report("disk tier, opened after the crash", rows, start, path);
    read("disk tier", rows, move |n| {
        let disk = Arc::clone(&disk);
        async move {
            let lookup = tokio::task::spawn_blocking(move || disk.lookup(subject(n)).expect("a disk that can be read"));
            lookup.await.expect("no panic").is_some_and(|found| found.view.view == view(n))
        }
    })
    .await;
}

async fn foyer(rows: u64, path: &Path) -> HybridCache<u64, Vec<u8>> {
    // Every entry takes 4 KiB.
    let device = FsDeviceBuilder::new(path).with_capacity(rows as usize * 4_096 * 5 / 4 + (64 << 20));
    let engine = BlockEngineConfig::new(device.build().expect("a disk with free space")).with_tombstone_log(true);
    let cache = HybridCacheBuilder::new().with_policy(HybridCachePolicy::WriteOnInsertion).memory(8 << 20);
    let cache = cache.with_weighter(|_, view: &Vec<u8>| view.len()).storage().with_engine_config(engine);
    cache.build().await.expect("a cache")
}

/// Fills it at a pace at which few writes are dropped.
async fn fill_foyer(rows: u64, path: &Path) {
    let cache = foyer(rows, path).await;
    let start = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    for n in 0..rows {
        if n % 200 == 0 {
            pace.tick().await;
        }
        cache.insert(subject(n).fingerprint(), view(n));
    }
    report("foyer, filled (paced at 20,000/s)", rows, start, path);
    crash()
}

async fn read_foyer(rows: u64, path: &Path) {
    let start = Instant::now();
    let cache = foyer(rows, path).await;
    report("foyer, opened after the crash", rows, start, path);
    read("foyer", rows, move |n| {
        let cache = cache.clone();
        async move {
            let found = cache.get(&subject(n).fingerprint()).await.expect("a disk that can be read");
            found.is_some_and(|entry| *entry.value() == view(n))
        }
    })
    .await;
}

/// Reads rows at random, with `READERS` at once.
async fn read<R: Future<Output = bool> + Send + 'static>(
    what: &str,
    rows: u64,
    one: impl Fn(u64) -> R + Clone + Send + 'static,
) {
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let one = one.clone();
        readers.spawn(async move {
            let (mut times, mut found) = (Vec::new(), 0u64);
            for n in 0..READS / READERS {
                let row = (reader * READS + n).wrapping_mul(0x9e37_79b9_7f4a_7c15) % rows;
                let start = Instant::now();
                found += u64::from(one(row).await);
                times.push(start.elapsed());
            }
            (times, found)
        });
    }
    let all = readers.join_all().await;
    let found: u64 = all.iter().map(|(_, found)| found).sum();
    let mut times: Vec<Duration> = all.into_iter().flat_map(|(times, _)| times).collect();
    times.sort();
    let [p50, p99] = [50, 99].map(|percent| times[times.len() * percent / 100]);
    let memory = resident_megabytes();
    report!(
        "{what}, read at random by {READERS}: found {:.2} %, p50 {p50:?}, p99 {p99:?}, {memory:.0} MB resident",
        found as f64 * 100.0 / READS as f64
    );
}

fn on_disk(path: &Path) -> f64 {
    let entries = std::fs::read_dir(path).expect("a directory");
    entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let metadata = entry.metadata().expect("a file");
            if metadata.is_dir() { on_disk(&entry.path()) } else { metadata.blocks() as f64 * 512.0 }
        })
        .sum()
}

fn resident_megabytes() -> f64 {
    resident_bytes(std::process::id()).expect("Linux") as f64 / 1e6
}
