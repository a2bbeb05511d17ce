//! Draws that repeat: a value from a seed and a name, never from a generator.
//!
//! Hashing the name of what is decided (an order, the n-th request under a key)
//! gives the same answer whatever order concurrent requests arrive in.

use sha2::{Digest, Sha256};

/// 64 evenly spread bits for this seed and these words.
pub fn bits(seed: u64, words: &[&str]) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_be_bytes());
    for word in words {
        // The length goes first, so that no two lists of words meet.
        hasher.update((word.len() as u64).to_be_bytes());
        hasher.update(word.as_bytes());
    }
    let hash = hasher.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first)
}

/// A fraction from 0 (included) to 1 (excluded).
pub fn share(seed: u64, words: &[&str]) -> f64 {
    const MANTISSA: u32 = 53;
    (bits(seed, words) >> (u64::BITS - MANTISSA)) as f64 / (1u64 << MANTISSA) as f64
}

/// A number from `low` to `high`, both included; `low` when they are reversed.
pub fn between(seed: u64, words: &[&str], low: u64, high: u64) -> u64 {
    let drawn = bits(seed, words);
    match high.saturating_sub(low).checked_add(1) {
        Some(span) => low + drawn % span,
        None => drawn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_repeats_and_depends_on_seed_and_words() {
        assert_eq!(
            bits(7, &["decline", "ORD-1"]),
            bits(7, &["decline", "ORD-1"])
        );
        assert_ne!(
            bits(7, &["decline", "ORD-1"]),
            bits(8, &["decline", "ORD-1"])
        );
        assert_ne!(
            bits(7, &["de", "clineORD-1"]),
            bits(7, &["decline", "ORD-1"])
        );
    }

    #[test]
    fn shares_are_spread_evenly() {
        let below = (0..10_000)
            .filter(|n| share(1, &[&n.to_string()]) < 0.2)
            .count();
        assert!(
            (1_850..2_150).contains(&below),
            "{below} of 10,000 lie below 0.2"
        );
    }

    #[test]
    fn a_range_is_reached_at_both_ends_and_never_left() {
        let drawn: Vec<u64> = (0..200)
            .map(|n| between(1, &[&n.to_string()], 3, 5))
            .collect();
        assert!(drawn.iter().all(|n| (3..=5).contains(n)));
        assert!(drawn.contains(&3) && drawn.contains(&5));
        assert_eq!(between(1, &["x"], 9, 2), 9);
        assert!(between(1, &["x"], 0, u64::MAX) > 0);
    }
}
