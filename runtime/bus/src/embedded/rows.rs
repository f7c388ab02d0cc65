//! Every statement of the bus.

use greenroom_contract::{
    EventId, clock,
    event::{Event, Unreadable},
    execution::Failure,
    port::bus::{DEAD_LETTER_QUEUE, Death, Sharing},
};
use rusqlite::{Connection, OptionalExtension, Result, Row as SqlRow, params};

use super::{
    arrivals::PRIORITIES,
    shelf::{Facts, Letter, Row, Slot, Want},
};

/// Rows of one page.
const PAGE: u32 = 128;
/// A page ends behind the message that makes it larger than this.
const PAGE_BYTES: usize = 1024 * 1024;

/// A message to write.
pub(super) struct Insert<'a> {
    pub(super) id: i64,
    pub(super) queue: i64,
    pub(super) priority: u8,
    pub(super) event_id: Option<EventId>,
    pub(super) published_at: i64,
    pub(super) body: &'a [u8],
}

/// Writes a message; `false` when the event waits in the queue already.
pub(super) fn insert(conn: &Connection, message: &Insert<'_>) -> Result<bool> {
    let changed = conn
        .prepare_cached(
            "INSERT INTO bus_messages (id, queue, priority, event_id, published_at, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            message.id,
            message.queue,
            message.priority,
            message.event_id.as_ref().map(EventId::as_bytes),
            message.published_at,
            message.body
        ])?;
    Ok(changed == 1)
}

/// Takes a message off its queue; `false` when it is gone already.
pub(super) fn delete(conn: &Connection, id: i64) -> Result<bool> {
    Ok(conn.prepare_cached("DELETE FROM bus_messages WHERE id = ?1")?.execute([id])? == 1)
}

/// Counts a rejection; `false` when the message is gone.
pub(super) fn reject(conn: &Connection, id: i64) -> Result<bool> {
    let sql = "UPDATE bus_messages SET rejections = rejections + 1 WHERE id = ?1";
    Ok(conn.prepare_cached(sql)?.execute([id])? == 1)
}

/// Moves a message to the end of the dead letters; `false` when it is gone.
pub(super) fn bury(
    conn: &Connection,
    id: i64,
    dead_queue: i64,
    new_id: i64,
    priority: u8,
    death: &str,
) -> Result<bool> {
    let changed = conn
        .prepare_cached(
            "UPDATE bus_messages SET id = ?2, queue = ?3, priority = ?4, event_id = NULL, rejections = 0, death = ?5 \
             WHERE id = ?1",
        )?
        .execute(params![id, new_id, dead_queue, priority, death])?;
    Ok(changed == 1)
}

/// Reads what a shelf wants, in order, and whether that was all of it.
pub(super) fn read(conn: &Connection, queue: i64, dead_letters: bool, want: &Want) -> Result<(Vec<Row>, bool)> {
    let mut rows = Vec::new();
    let mut bytes = 0;
    match want {
        Want::Page { priority, after, .. } => {
            let mut select = conn.prepare_cached(
                "SELECT id, rejections, published_at, death, body FROM bus_messages \
                 WHERE queue = ?1 AND priority = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
            )?;
            let mut found = select.query(params![queue, priority, after, PAGE])?;
            while let Some(row) = found.next()? {
                let (row, size) = message(row, dead_letters)?;
                rows.push(row);
                bytes += size;
                if bytes > PAGE_BYTES {
                    return Ok((rows, false));
                }
            }
            let whole = rows.len() < PAGE as usize;
            Ok((rows, whole))
        }
        Want::These(ids) => {
            let mut select = conn.prepare_cached(
                "SELECT id, rejections, published_at, death, body FROM bus_messages WHERE id = ?1 AND queue = ?2",
            )?;
            for id in ids {
                if bytes > PAGE_BYTES {
                    return Ok((rows, false));
                }
                if let Some((row, size)) =
                    select.query_row(params![id, queue], |row| message(row, dead_letters)).optional()?
                {
                    rows.push(row);
                    bytes += size;
                }
            }
            Ok((rows, true))
        }
    }
}

fn message(row: &SqlRow<'_>, dead_letters: bool) -> Result<(Row, usize)> {
    let facts = Facts { rejections: row.get(1)?, published_at: row.get(2)? };
    let body = row.get_ref(4)?.as_blob()?;
    let letter = if dead_letters {
        let death: Option<String> = row.get(3)?;
        let death = death.and_then(|death| serde_json::from_str(&death).ok());
        Letter::Dead { body: body.to_vec(), death: Box::new(death.unwrap_or_else(|| published_there(facts))) }
    } else {
        parse(body)
    };
    Ok((Row { id: row.get(0)?, slot: Slot { facts, letter } }, body.len()))
}

/// An event from a message's bytes, or why there is none.
pub(super) fn parse(body: &[u8]) -> Letter {
    match Event::from_bytes(body) {
        Ok(event) => Letter::Event(Box::new(event)),
        Err(error) => {
            let code = match error {
                Unreadable::Malformed(_) => "unreadable",
                Unreadable::TooNew { .. } => "too_new",
            };
            Letter::Unreadable(Failure::new(code, error.to_string()))
        }
    }
}

/// The death of what was published to the dead letters by name.
fn published_there(facts: Facts) -> Death {
    let at = clock::from_millis(facts.published_at);
    let reason = Failure::new("published", "it was published to the dead letters by name");
    Death { queue: DEAD_LETTER_QUEUE.to_owned(), reason, attempts: 0, first_at: at, dead_at: at }
}

// ---- queues ---------------------------------------------------------------------------------------------------------

/// A queue as the file has it.
pub(super) struct StoredQueue {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) sharing: Sharing,
    pub(super) retired: bool,
    pub(super) bindings: Vec<String>,
    pub(super) newest: [i64; PRIORITIES],
}

/// Makes the queue, or takes it out of retirement, bound to exactly these patterns. Returns its key and newest messages.
pub(super) fn declare(
    conn: &Connection,
    name: &str,
    sharing: Sharing,
    bindings: &[String],
) -> Result<(i64, [i64; PRIORITIES])> {
    let id = conn
        .prepare_cached(
            "INSERT INTO bus_queues (name, sharing) VALUES (?1, ?2) \
             ON CONFLICT (name) DO UPDATE SET sharing = excluded.sharing, retired = 0 RETURNING id",
        )?
        .query_row(params![name, encode(sharing)], |row| row.get(0))?;
    conn.prepare_cached("DELETE FROM bus_bindings WHERE queue = ?1")?.execute([id])?;
    let mut bind = conn.prepare_cached("INSERT OR IGNORE INTO bus_bindings (queue, pattern) VALUES (?1, ?2)")?;
    for pattern in bindings {
        bind.execute(params![id, pattern])?;
    }
    Ok((id, newest(conn, id)?))
}

/// Unbinds the queue and deletes it if it is empty. Returns whether it was deleted.
pub(super) fn retire(conn: &Connection, id: i64) -> Result<bool> {
    conn.prepare_cached("UPDATE bus_queues SET retired = 1 WHERE id = ?1")?.execute([id])?;
    conn.prepare_cached("DELETE FROM bus_bindings WHERE queue = ?1")?.execute([id])?;
    let sql = "DELETE FROM bus_queues WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM bus_messages WHERE queue = ?1)";
    Ok(conn.prepare_cached(sql)?.execute([id])? == 1)
}

/// Deletes retired queues that have been emptied since.
pub(super) fn sweep_out(conn: &Connection) -> Result<()> {
    conn.execute(
        "DELETE FROM bus_queues WHERE retired = 1 AND id NOT IN (SELECT DISTINCT queue FROM bus_messages)",
        [],
    )?;
    Ok(())
}

/// All queues.
pub(super) fn queues(conn: &Connection) -> Result<Vec<StoredQueue>> {
    let mut select = conn.prepare("SELECT id, name, sharing, retired FROM bus_queues ORDER BY id")?;
    let mut bound = conn.prepare("SELECT pattern FROM bus_bindings WHERE queue = ?1 ORDER BY pattern")?;
    let mut found = select.query([])?;
    let mut queues = Vec::new();
    while let Some(row) = found.next()? {
        let id = row.get(0)?;
        let bindings = bound.query_map([id], |row| row.get(0))?.collect::<Result<Vec<String>>>()?;
        queues.push(StoredQueue {
            id,
            name: row.get(1)?,
            sharing: decode(row.get(2)?),
            retired: row.get(3)?,
            bindings,
            newest: newest(conn, id)?,
        });
    }
    Ok(queues)
}

/// The highest id in use.
pub(super) fn last_id(conn: &Connection) -> Result<i64> {
    conn.query_row("SELECT coalesce(max(id), 0) FROM bus_messages", [], |row| row.get(0))
}

/// How many messages each queue has.
pub(super) fn depths(conn: &Connection) -> Result<Vec<(i64, u64)>> {
    let mut select = conn.prepare_cached("SELECT queue, count(*) FROM bus_messages GROUP BY queue")?;
    select.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?.collect()
}

/// Writes something, to see that it can be done.
pub(super) fn touch(conn: &Connection, now: i64) -> Result<()> {
    let sql = "INSERT INTO bus_health (one, checked_at) VALUES (1, ?1) \
               ON CONFLICT (one) DO UPDATE SET checked_at = excluded.checked_at";
    conn.prepare_cached(sql)?.execute([now]).map(drop)
}

fn newest(conn: &Connection, queue: i64) -> Result<[i64; PRIORITIES]> {
    let mut select =
        conn.prepare_cached("SELECT coalesce(max(id), 0) FROM bus_messages WHERE queue = ?1 AND priority = ?2")?;
    let mut newest = [0; PRIORITIES];
    for (priority, slot) in newest.iter_mut().enumerate() {
        *slot = select.query_row(params![queue, priority as i64], |row| row.get(0))?;
    }
    Ok(newest)
}

fn encode(sharing: Sharing) -> i64 {
    match sharing {
        Sharing::Competing => 0,
        Sharing::SingleActive => 1,
    }
}

fn decode(sharing: i64) -> Sharing {
    // A kind that this build does not know keeps order rather than spread.
    if sharing == 0 { Sharing::Competing } else { Sharing::SingleActive }
}
