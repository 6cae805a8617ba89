//! The statements. Every name is quoted as an identifier or a literal; none is ever joined into a
//! statement as it is.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use safeconduct_model::Timestamp;
use safeconduct_wire::config::{PostgresTarget, Privilege, Privileges, PrivilegesOn};

use super::ROLE_BYTES_MAX;

/// Whether every name of a configuration can be one; otherwise what is wrong.
pub(super) fn check_names(config: &PostgresTarget) -> Result<(), String> {
    let owner = config.reassign_owned_to.as_ref();
    let mut names = vec![&config.database, &config.user];
    names.extend(owner);
    for privileges in config.grants.values().flatten() {
        names.push(&privileges.schema);
        match &privileges.on {
            PrivilegesOn::Tables(tables) => names.extend(tables),
            PrivilegesOn::Columns { tables, columns } => names.extend(tables.iter().chain(columns)),
            PrivilegesOn::Sequences(sequences) => names.extend(sequences),
        }
    }
    // PostgreSQL cuts a longer name off, and would then mean another thing by it.
    let fits = |name: &str| (1..=ROLE_BYTES_MAX).contains(&name.len()) && !name.contains('\0');
    match names.into_iter().find(|name| !fits(name)) {
        Some(name) => Err(format!("`{}` cannot be a name in PostgreSQL", name.escape_debug())),
        None => Ok(()),
    }
}

/// A name, quoted.
pub(super) fn name(name: &str) -> String {
    escape_identifier(name)
}

/// A name within a schema, quoted.
fn qualified(schema: &str, inner: &str) -> String {
    format!("{}.{}", escape_identifier(schema), escape_identifier(inner))
}

/// Makes a role that can log in and nothing else.
pub(super) fn create_role(
    role: &str,
    verifier: &str,
    until: Timestamp,
    connections: u32,
) -> String {
    format!(
        "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS \
         INHERIT CONNECTION LIMIT {connections} PASSWORD {} VALID UNTIL {}",
        name(role),
        escape_literal(verifier),
        escape_literal(&until.to_string()),
    )
}

/// Makes a role's password end at another time.
pub(super) fn valid_until(role: &str, until: Timestamp) -> String {
    let until = escape_literal(&until.to_string());
    format!("ALTER ROLE {} VALID UNTIL {until}", name(role))
}

/// Gives a role its privileges, and what it needs to get at them.
pub(super) fn grants(role: &str, database: &str, privileges: &[&Privileges]) -> Vec<String> {
    let role = name(role);
    let mut statements = vec![format!("GRANT CONNECT ON DATABASE {} TO {role}", name(database))];
    for privileges in privileges {
        let schema = name(&privileges.schema);
        statements.push(format!("GRANT USAGE ON SCHEMA {schema} TO {role}"));
        let what = |columns: &str| {
            let words = privileges.privileges.iter().map(|p| format!("{}{columns}", word(*p)));
            words.collect::<Vec<_>>().join(", ")
        };
        let on = |names: &std::collections::BTreeSet<String>| {
            let names = names.iter().map(|inner| qualified(&privileges.schema, inner));
            names.collect::<Vec<_>>().join(", ")
        };
        let (what, kind, on) = match &privileges.on {
            PrivilegesOn::Tables(tables) => (what(""), "TABLE", on(tables)),
            PrivilegesOn::Columns { tables, columns } => {
                let columns: Vec<_> = columns.iter().map(|column| name(column)).collect();
                (what(&format!(" ({})", columns.join(", "))), "TABLE", on(tables))
            }
            PrivilegesOn::Sequences(sequences) => (what(""), "SEQUENCE", on(sequences)),
        };
        statements.push(format!("GRANT {what} ON {kind} {on} TO {role}"));
    }
    statements
}

/// Asks whether the role now has all of it: where one's own right does not reach, `GRANT` only
/// warns.
pub(super) fn has_all(role: &str, database: &str, privileges: &[&Privileges]) -> String {
    let role = escape_literal(role);
    let has = |function: &str, on: &[String], what: &str| {
        let on: Vec<_> = on.iter().map(|text| escape_literal(text)).collect();
        format!("has_{function}_privilege({role}, {}, '{what}')", on.join(", "))
    };
    let mut all = vec![has("database", &[database.to_owned()], "CONNECT")];
    for privileges in privileges {
        all.push(has("schema", std::slice::from_ref(&privileges.schema), "USAGE"));
        for privilege in &privileges.privileges {
            let inner = |inner: &String| qualified(&privileges.schema, inner);
            match &privileges.on {
                PrivilegesOn::Tables(tables) => {
                    all.extend(tables.iter().map(|t| has("table", &[inner(t)], word(*privilege))));
                }
                PrivilegesOn::Columns { tables, columns } => {
                    let pairs = tables
                        .iter()
                        .flat_map(|t| columns.iter().map(move |c| [inner(t), c.clone()]));
                    all.extend(pairs.map(|pair| has("column", &pair, word(*privilege))));
                }
                PrivilegesOn::Sequences(sequences) => all.extend(
                    sequences.iter().map(|s| has("sequence", &[inner(s)], word(*privilege))),
                ),
            }
        }
    }
    format!("SELECT {}", all.join(" AND "))
}

/// Ends a role's right to log in, at once and for good. The disk is not waited for here, nor in
/// what follows on this connection, up to [`drop_role`].
pub(super) fn lock_out(role: &str) -> String {
    let role = name(role);
    format!(
        "SET synchronous_commit = off; \
         ALTER ROLE {role} NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL"
    )
}

/// Drops a role, and waits until that and everything before it is on the disk: the log of
/// PostgreSQL is one, so what is written first is never lost without what follows.
pub(super) fn drop_role(role: &str) -> [String; 2] {
    ["RESET synchronous_commit".into(), format!("DROP ROLE IF EXISTS {}", name(role))]
}

/// Clears one database of a role: what it owns goes to another role, or is dropped; its
/// privileges go.
pub(super) fn clear(role: &str, owned_to: Option<&str>) -> String {
    let role = name(role);
    let reassign = owned_to
        .map(|to| format!("REASSIGN OWNED BY {role} TO {}; ", name(to)))
        .unwrap_or_default();
    format!("BEGIN; {reassign}DROP OWNED BY {role}; COMMIT")
}

/// Undoes a prepared transaction of a role, which only the role itself may. Three statements:
/// the second cannot stand in a transaction.
pub(super) fn roll_back_prepared(role: &str, id: &str) -> [String; 3] {
    let id = escape_literal(id);
    [format!("SET ROLE {}", name(role)), format!("ROLLBACK PREPARED {id}"), "RESET ROLE".into()]
}

const fn word(privilege: Privilege) -> &'static str {
    match privilege {
        Privilege::Select => "SELECT",
        Privilege::Insert => "INSERT",
        Privilege::Update => "UPDATE",
        Privilege::Delete => "DELETE",
        Privilege::Usage => "USAGE",
    }
}
