//! Every choice of a simulation goes through one object. Where the choices come from decides what a run is: a sample, a
//! fuzzer's input, the repetition of another run, or the next of all that there are.
//!
//! Of each choice 0 is the alternative in which nothing strange happens, so a list of choices that ends early is a quiet
//! run, and a fuzzer that shortens its input makes a run quieter.

use std::cell::RefCell;
use std::rc::Rc;

/// More choices than that in one run of an exploration, and it would not end in a lifetime.
const MOST_EXPLORED: usize = 10_000;

/// The choices of one run.
pub(crate) struct Choices {
    from: From,
    /// What was chosen, for a replay.
    made: Vec<u32>,
}

/// Where choices come from.
pub(crate) enum From {
    Seed(u64),
    /// From a fuzzer.
    Bytes {
        bytes: Vec<u8>,
        at: usize,
    },
    /// Those of another run.
    List {
        list: Vec<u32>,
        at: usize,
    },
    Odometer(Rc<RefCell<Odometer>>),
}

impl Choices {
    pub(crate) fn new(from: From) -> Self {
        Choices { from, made: Vec::new() }
    }

    /// One of `n` alternatives; of one it is no choice.
    pub(crate) fn choose(&mut self, n: usize) -> usize {
        if n <= 1 {
            return 0;
        }
        let chosen = match &mut self.from {
            From::Odometer(odometer) => odometer.borrow_mut().choose(n, 1),
            from => from.below(n),
        };
        self.note(chosen)
    }

    /// A number below `n`, where the order of magnitude matters more than each single one: an exploration takes the least
    /// and the greatest.
    pub(crate) fn within(&mut self, n: usize) -> usize {
        if n <= 1 {
            return 0;
        }
        let chosen = match &mut self.from {
            From::Odometer(odometer) => odometer.borrow_mut().choose(2, n - 1),
            from => from.below(n),
        };
        self.note(chosen)
    }

    /// True in so many of a hundred cases. An exploration takes both, if both can be.
    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        if percent == 0 || percent >= 100 {
            return percent != 0;
        }
        let chosen = match &mut self.from {
            From::Odometer(odometer) => odometer.borrow_mut().choose(2, 1),
            From::List { .. } => self.from.below(2),
            from => usize::from(from.below(100) >= 100 - usize::from(percent)),
        };
        self.note(chosen) == 1
    }

    fn note(&mut self, chosen: usize) -> usize {
        self.made.push(u32::try_from(chosen).unwrap_or(u32::MAX));
        chosen
    }

    pub(crate) fn made(&self) -> &[u32] {
        &self.made
    }
}

impl From {
    fn below(&mut self, n: usize) -> usize {
        match self {
            From::Seed(state) => ((u128::from(split_mix(state)) * n as u128) >> 64) as usize,
            From::Bytes { bytes, at } => {
                let width = if n <= 1 << 8 { 1 } else { 4 };
                let taken = bytes.iter().skip(*at).take(width);
                *at += width;
                taken.fold(0, |number, &byte| number << 8 | usize::from(byte)) % n
            }
            From::List { list, at } => {
                let chosen = list.get(*at).map_or(0, |&chosen| chosen as usize);
                *at += 1;
                chosen.min(n - 1)
            }
            From::Odometer(_) => unreachable!("an odometer chooses by itself"),
        }
    }
}

/// The generator splitmix64 (Steele, Lea, Flood 2014): small, and any seed is a good one.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Goes through all sequences of choices, as TigerBeetle's `exhaustigen` does: each run repeats the choices of the one
/// before up to the last that had an alternative left, and takes that.
///
/// ```text
///   run 1   0 0 0        the digits that a run needs are found out by running it
///   run 2   0 0 1
///   run 3   0 1          another path, another number of choices
///   run 4   1 0 0
/// ```
#[derive(Default)]
pub(crate) struct Odometer {
    digits: Vec<Digit>,
    at: usize,
}

struct Digit {
    chosen: usize,
    of: usize,
    /// What it stands for is so many times as much.
    scale: usize,
}

impl Odometer {
    fn choose(&mut self, n: usize, scale: usize) -> usize {
        if self.at == self.digits.len() {
            assert!(
                self.at < MOST_EXPLORED,
                "a run of an exploration made {MOST_EXPLORED} choices: bound its faults (`Faults::most`) or the program"
            );
            self.digits.push(Digit { chosen: 0, of: n, scale });
        }
        let digit = &self.digits[self.at];
        assert_eq!(
            (digit.of, digit.scale),
            (n, scale),
            "the same choices led elsewhere: the program depends on something outside of the simulation"
        );
        self.at += 1;
        digit.chosen * scale
    }

    /// What this run has chosen.
    pub(crate) fn made(&self) -> Vec<u32> {
        self.digits[..self.at].iter().map(|digit| (digit.chosen * digit.scale) as u32).collect()
    }

    /// Turns to the next sequence; false if there is none.
    pub(crate) fn turn(&mut self) -> bool {
        // Nothing else notices a run that made fewer choices than it repeats.
        assert_eq!(
            self.at,
            self.digits.len(),
            "the same choices led elsewhere: the program depends on something outside of the simulation"
        );
        self.at = 0;
        while let Some(last) = self.digits.last_mut() {
            last.chosen += 1;
            if last.chosen < last.of {
                return true;
            }
            self.digits.pop();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odometer_goes_through_all_sequences_once() {
        let odometer = Rc::new(RefCell::new(Odometer::default()));
        let mut seen = Vec::new();
        loop {
            let mut choices = Choices::new(From::Odometer(Rc::clone(&odometer)));
            // The second choice depends on the first.
            let first = choices.choose(3);
            let second = if first == 1 { choices.choose(2) } else { 9 };
            seen.push((first, second, choices.chance(50), choices.within(100)));
            if !odometer.borrow_mut().turn() {
                break;
            }
        }
        assert_eq!(seen.len(), 4 * 4);
        let mut distinct = seen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), seen.len());
        assert_eq!(seen[0], (0, 9, false, 0));
        assert_eq!(seen[15], (2, 9, true, 99));
    }

    #[test]
    fn what_was_chosen_can_be_replayed() {
        let draw = |from| {
            let mut choices = Choices::new(from);
            let drawn: Vec<usize> = (1..300)
                .map(|n| match n % 3 {
                    0 => choices.choose(n),
                    1 => choices.within(n * 1000),
                    _ => usize::from(choices.chance((n % 101) as u8)),
                })
                .collect();
            (drawn, choices.made)
        };
        let (drawn, made) = draw(From::Seed(7));
        assert_ne!(drawn, draw(From::Seed(8)).0);
        assert_eq!(drawn, draw(From::List { list: made, at: 0 }).0);
    }

    #[test]
    fn a_fuzzer_that_has_no_more_bytes_chooses_nothing_strange() {
        let mut choices = Choices::new(From::Bytes { bytes: vec![255, 3], at: 0 });
        assert!(choices.chance(1 + 99 / 2), "255 % 100 is 55, and the upper half is yes");
        assert_eq!(choices.choose(4), 3);
        assert_eq!((choices.choose(4), choices.within(1000), choices.chance(99)), (0, 0, false));
        assert_eq!(choices.made(), [1, 3, 0, 0, 0]);
    }
}
