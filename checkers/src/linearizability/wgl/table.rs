//! A set of configurations of equal width, without an allocation for each.
//!
//! Open addressing with linear probing over numbers of entries; the entries lie one after the other.

/// The set. Entries keep the order of their insertion.
#[derive(Clone, Debug)]
pub(super) struct Table {
    width: usize,
    entries: Vec<u64>,
    /// Number of the entry, plus one; 0 is empty. The length is a power of two.
    places: Vec<u32>,
    len: usize,
}

impl Table {
    /// An empty set of entries of `width` words.
    pub(super) fn new(width: usize) -> Self {
        Self { width, entries: Vec::new(), places: vec![0; PLACES_MIN], len: 0 }
    }

    /// Adds an entry. Whether it is new.
    pub(super) fn insert(&mut self, entry: &[u64]) -> bool {
        debug_assert_eq!(entry.len(), self.width, "entries of one table are equally wide");
        // Three quarters full at most.
        if 4 * (self.len + 1) > 3 * self.places.len() {
            self.grow();
        }
        let mask = self.places.len() - 1;
        let mut place = place_of(entry, mask);
        loop {
            match self.places[place] {
                0 => break,
                number if self.get(number as usize - 1) == entry => return false,
                _ => place = (place + 1) & mask,
            }
        }
        self.entries.extend_from_slice(entry);
        self.len += 1;
        self.places[place] = u32::try_from(self.len).expect("memory ends before 2^32 entries");
        true
    }

    /// The entry with this number, counted from 0.
    pub(super) fn get(&self, number: usize) -> &[u64] {
        &self.entries[number * self.width..(number + 1) * self.width]
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets all entries, but keeps the room of a small set.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.len = 0;
        if self.places.len() > PLACES_KEPT {
            self.places = vec![0; PLACES_MIN];
            self.entries.shrink_to(PLACES_KEPT);
        } else {
            self.places.fill(0);
        }
    }

    /// What it occupies.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * 8 + self.places.len() * 4
    }

    fn grow(&mut self) {
        let mask = 2 * self.places.len() - 1;
        let mut places = vec![0; mask + 1];
        for number in 0..self.len {
            let mut place = place_of(self.get(number), mask);
            while places[place] != 0 {
                place = (place + 1) & mask;
            }
            places[place] = u32::try_from(number + 1).expect("memory ends before 2^32 entries");
        }
        self.places = places;
    }
}

/// Where the search for an entry begins.
fn place_of(entry: &[u64], mask: usize) -> usize {
    let mut hash = 0_u64;
    for word in entry {
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^= hash >> 32;
    }
    usize::try_from(hash & mask as u64).expect("not above the mask, which is a usize")
}

const PLACES_MIN: usize = 64;
const PLACES_KEPT: usize = 1 << 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_set() {
        let mut table = Table::new(2);
        for round in 0..2 {
            for entry in 0..10_000_u64 {
                assert_eq!(table.insert(&[entry % 7, entry]), round == 0);
            }
        }
        assert_eq!(table.len(), 10_000);
        assert_eq!(table.get(9), [2, 9]);
        table.clear();
        assert!(table.insert(&[0, 0]));
    }
}
