//! The room's own generator, so that an interval can be recomputed to the last bit from a record and its seed,
//! on any platform and with any version of any dependency.
//!
//! Source: D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators", ACM Transactions on
//! Mathematical Software 47(4), 2021 (xoshiro256++), seeded by SplitMix64 as its authors advise
//! (G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).

/// xoshiro256++: 256 bits of state, period 2^256 − 1. Not for secrets.
#[derive(Debug, Clone)]
pub struct Prng {
    state: [u64; 4],
}

impl Prng {
    /// A generator whose whole sequence follows from `seed`; every value is valid, zero included.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut counter = seed;
        Self { state: std::array::from_fn(|_| split_mix(&mut counter)) }
    }

    /// The next 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// A uniform index in `0..bound`.
    ///
    /// Multiply-shift without rejection (D. Lemire, "Fast random integer generation in an interval", 2019): the
    /// bias is below `bound` / 2^64, which no number of resamples can notice.
    ///
    /// # Panics
    ///
    /// When `bound` is 0: an empty range has no index.
    pub fn index(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "an empty range has no index");
        let wide = u128::from(self.next_u64()) * bound as u128;
        (wide >> 64) as usize
    }

    /// A uniform number in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

fn split_mix(counter: &mut u64) -> u64 {
    *counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *counter;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_gives_the_reference_sequence() {
        let mut counter = 0;
        let first: Vec<u64> = (0..3).map(|_| split_mix(&mut counter)).collect();
        assert_eq!(first, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
    }

    #[test]
    fn xoshiro_gives_the_reference_sequence() {
        let mut prng = Prng { state: [1, 2, 3, 4] };
        let first: Vec<u64> = (0..4).map(|_| prng.next_u64()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn indices_stay_in_range_and_reach_every_value() {
        let mut prng = Prng::seeded(7);
        let mut seen = [0u32; 6];
        for _ in 0..6_000 {
            seen[prng.index(6)] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
    }
}
