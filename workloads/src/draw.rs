//! Random numbers: a ChaCha stream a thread, and integer arithmetic only, so that a seed gives the same run on every
//! machine and with every version of `rand` (whose range sampling may change between versions).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The stream of an open loop. Those below it belong to the threads of the workload, so that one seed may serve all.
pub const STREAM_ARRIVALS: u64 = 1 << 32;
/// The stream of a balancer.
pub const STREAM_BALANCER: u64 = 2 << 32;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// Stream `stream` of `seed`. Different streams of a seed are independent.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`, by Lemire's multiplication ("Fast Random Integer Generation in an Interval", 2019)
    /// without its rejection: the bias is below `bound / 2^64`. 0 if the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.bits()) * u128::from(bound);
        u64::try_from(product >> 64).expect("the upper half of a product of two u64")
    }

    /// As [`Draw::below`], for small bounds.
    pub fn below_u32(&mut self, bound: u32) -> u32 {
        u32::try_from(self.below(u64::from(bound))).expect("below a u32")
    }

    /// As [`Draw::below`], for an index into something of length `len`.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    /// True with a chance of `percent` in 100.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < u64::from(percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_function_of_seed_and_number() {
        let first = |seed, stream| {
            let mut draw = Draw::new(seed, stream);
            [draw.bits(), draw.bits()]
        };
        assert_eq!(first(1, 2), first(1, 2));
        assert_ne!(first(1, 2), first(1, 3));
        assert_ne!(first(1, 2), first(2, 2));
    }

    #[test]
    fn the_numbers_are_the_same_on_every_machine() {
        let mut draw = Draw::new(7, 0);
        let drawn: Vec<u64> = (0..8).map(|_| draw.below(1000)).collect();
        assert_eq!(drawn, [157, 167, 704, 726, 601, 359, 83, 849]);
    }

    #[test]
    fn every_number_below_the_bound_comes_up() {
        let mut draw = Draw::new(3, 0);
        let mut counts = [0_u32; 5];
        for _ in 0..5000 {
            counts[draw.index(5)] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!(draw.below(0), 0);
    }
}
