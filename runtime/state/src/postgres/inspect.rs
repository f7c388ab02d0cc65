//! A look at a server, before a node stands on it. Nothing is changed.

use greenroom_contract::port::state::{Error, Result};
use sqlx::Connection;

use super::{fault::Fault, options::Options, server::Server};

/// The oldest server that the statements are made for, as `server_version_num` has it.
const OLDEST: i32 = 130_000;

/// Says where the server is and which version it has. Fails with `Unavailable` when it cannot be reached or does not let
/// us in, and with `Conflict` when it is too old or this user may not make the tables. No error tells the password.
pub async fn inspect(url: &str) -> Result<String> {
    const ASK: &str = "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
         has_database_privilege(current_database(), 'CREATE') \
             OR to_regnamespace('greenroom') IS NOT NULL AND has_schema_privilege('greenroom', 'CREATE')";
    let server = Server::new(url, &Options::default())?;
    let place = server.place.clone();
    let asked = async {
        let mut conn = server.connect().await?;
        let row = async { Ok(sqlx::query_as::<_, (i32, String, bool)>(ASK).fetch_one(&mut conn).await?) };
        let row = server.in_time(row).await?;
        drop(conn.close().await);
        Ok(row)
    };
    let (number, version, may) = asked.await.map_err(|fault: Fault| fault.into_error(&place))?;
    if number < OLDEST {
        return Err(Error::Conflict { what: format!("{place}: version {version} is too old; 13 or later is needed") });
    }
    if !may {
        let remedy = "GRANT CREATE ON DATABASE … TO …, or make the schema greenroom for it";
        return Err(Error::Conflict { what: format!("{place}: this user may not make tables: {remedy}") });
    }
    Ok(format!("{place}, version {version}"))
}
