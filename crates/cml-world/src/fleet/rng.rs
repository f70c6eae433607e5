//! A random number generator whose output is the same for the same seed, on every platform and in every version:
//! xorshift64*.

/// A small generator.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Creates the generator of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns any number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    /// Returns a number from 0 to below `end`.
    pub fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.number() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// Returns a number from `first` to below `end`.
    pub fn between(&mut self, first: i64, end: i64) -> i64 {
        first + self.below(end - first)
    }

    /// Returns true with this rate per thousand.
    pub fn per_mille(&mut self, rate: i64) -> bool {
        self.below(1000) < rate
    }

    /// Returns one of these; they are never empty.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let index = self.below(i64::try_from(of.len()).unwrap_or(1));
        &of[usize::try_from(index).unwrap_or(0)]
    }
}
