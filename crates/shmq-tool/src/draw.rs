//! Numbers that a seed determines.

/// Scrambles a number: Steele, Lea and Flood's SplitMix64.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Numbers drawn from a seed.
#[derive(Debug)]
pub struct Draw(u64);

impl Draw {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// Less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % bound.max(1)
    }
}
