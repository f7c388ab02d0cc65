//! Pages: the cursors of the two long lists.

use greenroom_contract::{
    page::{Page, PageRequest},
    port::state::Result,
};

use crate::refusal::conflict;

/// The most that one page holds.
const MOST: u32 = 500;

/// A list that is read in pages, by falling row number. Its letter keeps one list's cursors out of another's.
#[derive(Clone, Copy)]
pub(crate) struct List(pub char);

/// What of a list is wanted.
pub(crate) struct Wanted {
    /// Rows below this one.
    pub below: i64,
    /// One more row than the page holds: whether there is one says whether there is a next page.
    pub rows: u32,
}

impl List {
    pub(crate) fn wanted(self, page: &PageRequest) -> Result<Wanted> {
        let below = match page.cursor.as_deref() {
            None => i64::MAX,
            Some(cursor) => self.read(cursor).ok_or_else(|| conflict("the cursor is not one of this list's"))?,
        };
        Ok(Wanted { below, rows: page.limit.clamp(1, MOST) + 1 })
    }

    /// Cuts the extra row off again. `items` are rows with their numbers.
    pub(crate) fn page<T>(self, mut items: Vec<(i64, T)>, wanted_rows: u32) -> Page<T> {
        let more = items.len() >= wanted_rows as usize;
        items.truncate(wanted_rows as usize - 1);
        let next_cursor = if more { items.last().map(|(row, _)| self.write(*row)) } else { None };
        Page { items: items.into_iter().map(|(_, item)| item).collect(), next_cursor }
    }

    fn write(self, row: i64) -> String {
        format!("{}{row:x}", self.0)
    }

    fn read(self, cursor: &str) -> Option<i64> {
        let digits = cursor.strip_prefix(self.0)?;
        let hex = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if hex { i64::from_str_radix(digits, 16).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_by_its_own_list_only() {
        let (executions, letters) = (List('e'), List('d'));
        assert_eq!(executions.read(&executions.write(255)), Some(255));
        for bad in ["", "e", "e-1", "e+1", "eg", "e ff", "é1", "effffffffffffffffff", letters.write(1).as_str()] {
            assert_eq!(executions.read(bad), None, "{bad:?} was taken");
        }
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let rows = |n: i64| (0..n).rev().map(|row| (row, ())).collect();
        assert_eq!(List('e').page(rows(2), 3).next_cursor, None);
        let full = List('e').page(rows(3), 3);
        assert_eq!((full.items.len(), full.next_cursor.as_deref()), (2, Some("e1")));
    }
}
