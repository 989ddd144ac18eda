//! Marks of other regions and of dead writers are followed here: each stream's marks by the holder of its lease.

mod feed;
pub(in crate::cql) mod leases;
pub(in crate::cql) mod positions;
pub(in crate::cql) mod unsettled;
