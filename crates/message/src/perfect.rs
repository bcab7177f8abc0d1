//! Hashes without collisions of names that are known while compiling.

/// A name's slot among `1 << BITS`, from its length, first, last and middle byte; `THIRD`: and the one at a third of it, where
/// the others do not tell all names apart.
#[inline]
#[must_use]
pub const fn slot<const BITS: u32, const THIRD: bool>(name: &[u8], seed: u32) -> usize {
    let n = name.len();
    if n == 0 {
        return 0;
    }
    let mut key = u32::from_le_bytes([n as u8, name[0], name[n - 1], name[n / 2]]);
    if THIRD {
        key ^= (name[n / 3] as u32) << 11;
    }
    (key.wrapping_mul(seed) >> (32 - BITS)) as usize
}

/// The first multiplier with which all names have slots of their own. Equal names stand together and count once.
#[must_use]
pub const fn seed<const BITS: u32, const THIRD: bool>(names: &[&[u8]]) -> u32 {
    let mut seed = 0x9e37_79b1_u32;
    'next: loop {
        let mut taken = [false; 1024];
        let mut i = 0;
        while i < names.len() {
            let again = i > 0 && same(names[i], names[i - 1]);
            let at = slot::<BITS, THIRD>(names[i], seed);
            if taken[at] && !again {
                seed = seed.wrapping_add(2);
                continue 'next;
            }
            taken[at] = true;
            i += 1;
        }
        return seed;
    }
}

/// Are these the same bytes?
#[must_use]
pub const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
