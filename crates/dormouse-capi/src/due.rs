//! What is due, in order. Each entry leads to the one before it of the same side of the same handle, so that all of these can be taken
//! back without a look at the others: with thousands due, a program may forget thousands of handles.

use std::collections::VecDeque;

pub(crate) struct Due<T> {
    entries: VecDeque<Entry<T>>,
    /// The number of the first of them.
    first: u64,
    /// How many have not been taken back.
    len: usize,
}

struct Entry<T> {
    /// `None`: it was taken back.
    value: Option<T>,
    before: Last,
}

/// The last entry of one side: its number and 1, or 0 for none. It may have been taken out since.
#[derive(Clone, Copy, Default)]
pub(crate) struct Last(u64);

impl<T> Due<T> {
    pub(crate) const fn new() -> Self {
        Due { entries: VecDeque::new(), first: 0, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds one of a side whose last was `last`.
    pub(crate) fn push(&mut self, value: T, last: &mut Last) {
        self.entries.push_back(Entry { value: Some(value), before: *last });
        self.len += 1;
        *last = Last(self.first + self.entries.len() as u64);
    }

    /// Takes the first out.
    pub(crate) fn pop(&mut self) -> Option<T> {
        loop {
            let entry = self.entries.pop_front()?;
            self.first += 1;
            if let Some(value) = entry.value {
                self.len -= 1;
                return Some(value);
            }
        }
    }

    /// Takes those of a side back. Tells how many entries it has looked at.
    pub(crate) fn forget(&mut self, last: &mut Last) -> usize {
        let (mut at, mut looked) = (std::mem::take(last), 0);
        while let Some(index) = at.0.checked_sub(1 + self.first)
            && let Some(entry) = self.entries.get_mut(index as usize)
        {
            at = entry.before;
            self.len -= usize::from(entry.value.take().is_some());
            looked += 1;
        }
        if self.len == 0 {
            self.clear();
        }
        looked
    }

    pub(crate) fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_looked_at_and_nothing_else() {
        const MANY: usize = 10_000;
        let mut due = Due::new();
        let mut sides = vec![Last::default(); MANY];
        for round in 0..2 {
            for (n, last) in sides.iter_mut().enumerate() {
                due.push((n, round), last);
            }
        }
        assert_eq!(due.pop(), Some((0, 0)));
        for (n, last) in sides.iter_mut().enumerate().filter(|(n, _)| n % 3 != 1) {
            assert_eq!(due.forget(last), if n == 0 { 1 } else { 2 });
            assert_eq!(due.forget(last), 0);
        }
        let left = (0..2).flat_map(|round| (1..MANY).step_by(3).map(move |n| (n, round)));
        assert_eq!(due.len(), 2 * MANY.div_ceil(3) - 2 * usize::from(MANY % 3 != 2));
        assert!(std::iter::from_fn(|| due.pop()).eq(left));
        assert!(due.is_empty());
    }

    #[test]
    fn a_side_that_is_used_again_has_nothing_of_before() {
        let mut due = Due::new();
        let (mut one, mut other) = (Last::default(), Last::default());
        for n in 0..100 {
            due.push(n, &mut one);
            due.push(n, &mut other);
            if n % 3 == 0 {
                due.clear();
            } else {
                assert_eq!((due.pop(), due.pop()), (Some(n), Some(n)));
            }
            due.push(n, &mut other);
            assert_eq!(due.forget(&mut one), 0);
            assert_eq!(due.pop(), Some(n));
        }
    }
}
