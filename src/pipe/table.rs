//! A table of things by pipe: a vector of places whose generation tells old ids from new ones.

use super::PipeId;

/// Values by [`PipeId`]. Look-ups cost an index and a comparison.
#[derive(Debug)]
pub(crate) struct Table<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Table<T> {
    /// Puts a value in a free place and names it. For the table that owns the names of a socket.
    pub(crate) fn insert(&mut self, value: T) -> PipeId {
        self.len += 1;
        if let Some(slot) = self.free.pop()
            && let Some(place) = self.places.get_mut(slot as usize)
        {
            place.value = Some(value);
            return PipeId::new(slot, place.generation);
        }
        // A socket with 2^32 pipes at once would need 2^32 descriptors.
        let slot = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(Place { generation: 0, value: Some(value) });
        PipeId::new(slot, 0)
    }

    /// Puts a value under a name that another table gave out.
    pub(crate) fn insert_at(&mut self, id: PipeId, value: T) {
        while self.places.len() <= id.slot() {
            self.places.push(Place { generation: 0, value: None });
        }
        let place = &mut self.places[id.slot()];
        self.len += usize::from(place.value.is_none());
        *place = Place { generation: id.generation(), value: Some(value) };
    }

    /// How many values there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, id: PipeId) -> Option<&T> {
        self.places.get(id.slot()).filter(|place| place.generation == id.generation())?.value.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: PipeId) -> Option<&mut T> {
        self.places.get_mut(id.slot()).filter(|place| place.generation == id.generation())?.value.as_mut()
    }

    /// Takes a value out. Its name is never used again.
    pub(crate) fn remove(&mut self, id: PipeId) -> Option<T> {
        let place = self.places.get_mut(id.slot()).filter(|place| place.generation == id.generation())?;
        let value = place.value.take()?;
        self.len -= 1;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(u32::try_from(id.slot()).unwrap_or(u32::MAX));
        Some(value)
    }

    /// Takes out a value that was put in with [`insert_at`](Self::insert_at).
    pub(crate) fn vacate(&mut self, id: PipeId) -> Option<T> {
        let place = self.places.get_mut(id.slot()).filter(|place| place.generation == id.generation())?;
        let value = place.value.take()?;
        self.len -= 1;
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PipeId, &T)> {
        (0..).zip(&self.places).filter_map(|(slot, place)| {
            place.value.as_ref().map(|value| (PipeId::new(slot, place.generation), value))
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (PipeId, &mut T)> {
        (0..).zip(&mut self.places).filter_map(|(slot, place)| {
            place.value.as_mut().map(|value| (PipeId::new(slot, place.generation), value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_names_nobody() {
        let mut table = Table::default();
        let old = table.insert('a');
        assert_eq!(table.remove(old), Some('a'));
        let new = table.insert('b');
        assert_eq!(old.slot(), new.slot());
        assert_eq!((table.get(old), table.get(new)), (None, Some(&'b')));
        assert_eq!(table.remove(old), None);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_second_table_follows_the_names_of_the_first() {
        let (mut names, mut other) = (Table::default(), Table::default());
        let first = names.insert(());
        let second = names.insert(());
        other.insert_at(second, 2);
        other.insert_at(first, 1);
        assert_eq!(other.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((other.vacate(first), other.get(first)), (Some(1), None));
        other.insert_at(second, 3);
        assert_eq!(other.len(), 1);
    }
}
