//! A table of the database: three replicas of each row. Plain reads and writes are at LOCAL_QUORUM: a write is on two
//! replicas when it is acknowledged, a read asks two and repairs them, and of two values the one with the later
//! timestamp wins, which is the coordinator's clock. Compare-and-set is serial for each key.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::Arc;

use parking_lot::Mutex;
use yima_store::{Result, StoreError};

use crate::chance;
use crate::clock::{ms, wait};
use crate::network::{Process, REPLICAS, TIMEOUT_MS, down_for, replica_ahead, weather};

#[derive(Clone)]
struct Cell<V> {
    /// Microseconds.
    at: i64,
    value: V,
}

/// What Paxos has agreed about a key.
struct Serial<V> {
    committed: Option<Cell<V>>,
    /// Accepted by some replicas, and not committed: the next serial operation finishes it or rules it out.
    proposed: Option<V>,
}

/// A table.
pub struct Table<K, V> {
    replicas: [Mutex<BTreeMap<K, Cell<V>>>; REPLICAS],
    serial: Mutex<BTreeMap<K, Serial<V>>>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { replicas: Default::default(), serial: Mutex::default() }
    }
}

impl<K: Ord + Clone + Send + 'static, V: Clone + Send + 'static> Table<K, V> {
    /// Writes a row. After an error it may be written all the same, now or later.
    pub async fn write(self: &Arc<Self>, process: &Process, key: K, value: V) -> Result<()> {
        process.send().await?;
        let at = timestamp(coordinator()?);
        self.replicate(key, Cell { at, value }).await?;
        process.receive().await
    }

    /// The same with a timestamp of its own.
    pub async fn write_at(self: &Arc<Self>, process: &Process, key: K, value: V, at: i64) -> Result<()> {
        process.send().await?;
        self.replicate(key, Cell { at, value }).await?;
        process.receive().await
    }

    /// Brings a value to every replica, sooner or later (hints), and returns once two of them have it.
    async fn replicate(self: &Arc<Self>, key: K, cell: Cell<V>) -> Result<()> {
        let mut arrivals: [u64; REPLICAS] = std::array::from_fn(arrival);
        for (replica, arrival) in arrivals.into_iter().enumerate() {
            if arrival == 0 {
                self.put(replica, key.clone(), cell.clone());
                continue;
            }
            let (table, key, cell) = (Arc::clone(self), key.clone(), cell.clone());
            drop(tokio::spawn(async move {
                wait(arrival).await;
                table.put(replica, key, cell);
            }));
        }
        arrivals.sort_unstable();
        let second = arrivals[1];
        if second >= TIMEOUT_MS {
            wait(TIMEOUT_MS).await;
            return Err(StoreError::TimedOut);
        }
        // Afterwards, for a write that is due at the same millisecond.
        wait(if second == 0 { 0 } else { second + 1 }).await;
        Ok(())
    }

    fn put(&self, replica: usize, key: K, cell: Cell<V>) {
        let mut rows = self.replicas[replica].lock();
        match rows.get_mut(&key) {
            Some(known) if known.at >= cell.at => {}
            Some(known) => *known = cell,
            None => drop(rows.insert(key, cell)),
        }
    }

    /// The rows of a range.
    pub async fn read(
        self: &Arc<Self>,
        process: &Process,
        range: impl RangeBounds<K> + Clone + Send,
        limit: usize,
    ) -> Result<Vec<(K, V)>> {
        process.send().await?;
        let [first, second] = two_replicas()?;
        let mut merged = self.rows(first, range.clone());
        wait(chance::below(weather().delay_ms + 1)).await;
        let others = self.rows(second, range);
        for (key, cell) in &others {
            let known = merged.get(key).map(|known| known.at);
            if known.is_none_or(|at| at < cell.at) {
                merged.insert(key.clone(), cell.clone());
                self.put(first, key.clone(), cell.clone());
            }
        }
        for (key, cell) in &merged {
            if others.get(key).is_none_or(|other| other.at < cell.at) {
                self.put(second, key.clone(), cell.clone());
            }
        }
        process.receive().await?;
        Ok(merged.into_iter().take(limit).map(|(key, cell)| (key, cell.value)).collect())
    }

    fn rows(&self, replica: usize, range: impl RangeBounds<K>) -> BTreeMap<K, Cell<V>> {
        self.replicas[replica].lock().range(range).map(|(key, cell)| (key.clone(), cell.clone())).collect()
    }

    /// One row.
    pub async fn get(self: &Arc<Self>, process: &Process, key: K) -> Result<Option<V>> {
        Ok(self.read(process, key.clone()..=key, 1).await?.pop().map(|(_, value)| value))
    }

    /// Sets a row to what `decide` makes of it; `None`: it is left as it is, and the answer is `false`. After an error
    /// it may be set, now or by the next serial operation.
    pub async fn compare_and_set(
        self: &Arc<Self>,
        process: &Process,
        key: K,
        decide: impl FnOnce(Option<&V>) -> Option<V> + Send,
    ) -> Result<bool> {
        Ok(self.serially(process, key, decide).await?.0)
    }

    /// One row as Paxos has it.
    pub async fn get_serially(self: &Arc<Self>, process: &Process, key: K) -> Result<Option<V>> {
        Ok(self.serially(process, key, |_| None).await?.1)
    }

    async fn serially(
        self: &Arc<Self>,
        process: &Process,
        key: K,
        decide: impl FnOnce(Option<&V>) -> Option<V> + Send,
    ) -> Result<(bool, Option<V>)> {
        process.send().await?;
        let [node, _] = two_replicas()?;
        wait(chance::below(2 * weather().delay_ms + 1)).await;
        let (is_set, is_stuck, committed) = {
            let mut serial = self.serial.lock();
            let row = serial.entry(key.clone()).or_insert(Serial { committed: None, proposed: None });
            // A minority's proposal may be ruled out, a majority's may not.
            if let Some(proposed) = row.proposed.take().filter(|_| !chance::one_in(3)) {
                row.commit(proposed, node);
            }
            match decide(row.committed.as_ref().map(|cell| &cell.value)) {
                None => (false, false, row.committed.clone()),
                Some(next) if chance::one_in(weather().stuck) => {
                    row.proposed = Some(next);
                    (true, true, None)
                }
                Some(next) => {
                    row.commit(next, node);
                    (true, false, row.committed.clone())
                }
            }
        };
        if is_stuck {
            wait(TIMEOUT_MS).await;
            process.runs().await;
            return Err(StoreError::TimedOut);
        }
        if let Some(cell) = &committed {
            self.replicate(key, cell.clone()).await?;
        }
        process.receive().await?;
        Ok((is_set, committed.map(|cell| cell.value)))
    }
}

impl<V> Serial<V> {
    /// A ballot is later than every one before, whatever the clocks say.
    fn commit(&mut self, value: V, node: usize) {
        let before = self.committed.as_ref().map_or(i64::MIN, |cell| cell.at);
        self.committed = Some(Cell { at: timestamp(node).max(before.saturating_add(1)), value });
    }
}

/// When a replica has a write that is sent now.
fn arrival(replica: usize) -> u64 {
    let down = down_for(replica);
    let hinted = if down > 0 { chance::below(500) } else { 0 };
    let late = if chance::one_in(weather().late) { chance::below(1_500) } else { 0 };
    down + hinted + late + chance::below(weather().delay_ms + 1)
}

/// A node that is up.
fn coordinator() -> Result<usize> {
    let up: Vec<usize> = (0..REPLICAS).filter(|replica| down_for(*replica) == 0).collect();
    if up.len() < 2 && chance::one_in(2) || up.is_empty() {
        return Err(StoreError::Unavailable("no quorum".into()));
    }
    Ok(chance::pick(&up))
}

fn two_replicas() -> Result<[usize; 2]> {
    let up: Vec<usize> = (0..REPLICAS).filter(|replica| down_for(*replica) == 0).collect();
    let (Some(first), true) = (up.first(), up.len() > 1) else {
        return Err(StoreError::Unavailable("no quorum".into()));
    };
    let left_out = chance::below(REPLICAS as u64) as usize;
    let mut asked = up.iter().copied().filter(|replica| up.len() == 2 || *replica != left_out);
    let pair = [asked.next().unwrap_or(*first), asked.next().unwrap_or(*first)];
    Ok(if chance::one_in(2) { pair } else { [pair[1], pair[0]] })
}

/// A node's clock, in microseconds.
fn timestamp(node: usize) -> i64 {
    (ms() as i64 + replica_ahead(node)) * 1_000 + chance::below(1_000) as i64
}

/// The clock of one of the nodes, in milliseconds from the true one.
pub fn ahead_of_any() -> Result<i64> {
    Ok(replica_ahead(coordinator()?))
}
