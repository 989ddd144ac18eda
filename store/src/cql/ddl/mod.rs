//! The schema of both keyspaces: migrations, which create it, and the check at start that it is the one this program
//! knows.

pub(in crate::cql) mod migrate;
mod migration_lease;
pub(in crate::cql) mod region_row;
pub(in crate::cql) mod replicas;
pub(in crate::cql) mod schema;
pub(in crate::cql) mod schema_changes;
