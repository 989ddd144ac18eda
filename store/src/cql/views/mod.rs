//! Views: lookups, and compare-and-set.

mod cas;
mod lookup;
