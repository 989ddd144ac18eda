//! Tests that start a cluster of their own: they stop, pause or cut off its nodes, or need other settings.

mod expired_marks;
mod failures_and_partitions;
mod keyspace_restore;
mod node_clock_skew;
mod outage;
mod reconcile;
mod retired_region;
mod tls_and_login;
