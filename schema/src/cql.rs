//! The tables of the CQL store, as numbered migrations: `cql/shared` for the keyspace of all regions, `cql/region` for
//! a region's own. A released migration is never edited: a later change gets the next number.

/// One numbered step of a keyspace's schema.
pub struct Migration {
    /// From 1, without gaps.
    pub number: u32,
    /// Name, as the list of applied migrations shows it.
    pub name: &'static str,
    /// CQL with the placeholders `{shared}` and `{region}` for the keyspaces.
    pub text: &'static str,
}

/// Migrations of the keyspace that all regions share.
pub const SHARED: &[Migration] = &[
    Migration {
        number: 1,
        name: "events_and_registry",
        text: include_str!("../cql/shared/0001_events_and_registry.cql"),
    },
    Migration { number: 2, name: "audit", text: include_str!("../cql/shared/0002_audit.cql") },
    Migration { number: 3, name: "dead_letters", text: include_str!("../cql/shared/0003_dead_letters.cql") },
    Migration { number: 4, name: "resources", text: include_str!("../cql/shared/0004_resources.cql") },
    Migration { number: 5, name: "retirements", text: include_str!("../cql/shared/0005_retirements.cql") },
];

/// Migrations of a region's own keyspace.
pub const REGION: &[Migration] = &[
    Migration { number: 1, name: "views_and_changes", text: include_str!("../cql/region/0001_views_and_changes.cql") },
    Migration {
        number: 2,
        name: "denials_and_bundle",
        text: include_str!("../cql/region/0002_denials_and_bundle.cql"),
    },
];

impl Migration {
    /// The single statements, with the keyspaces' names filled in.
    pub fn statements(&self, shared: &str, region: &str) -> Vec<String> {
        let lines = self.text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        let text = text.replace("{shared}", shared).replace("{region}", region);
        text.split(';').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_every_statement_names_its_keyspace() {
        for (list, keyspace) in [(SHARED, "all_of_us"), (REGION, "xian")] {
            assert!(list.iter().map(|m| m.number).eq(1..=list.len() as u32));
            for statement in list.iter().flat_map(|m| m.statements("all_of_us", "xian")) {
                assert!(statement.contains(&format!(" {keyspace}.")), "{statement}");
                assert!(!statement.contains(['{', ';']) || statement.contains("{'class'"), "{statement}");
            }
        }
    }
}
