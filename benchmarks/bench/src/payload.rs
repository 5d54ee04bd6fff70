//! The record values that all clients produce, and that the broker serves.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file of values of `size` bytes.
pub fn path(folder: &Path, size: usize) -> PathBuf {
    folder.join(format!("payload-{size}"))
}

/// Writes the files for these sizes, the same in every run on every machine.
pub fn write(folder: &Path, sizes: impl IntoIterator<Item = usize>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for size in sizes {
        fs::write(path(folder, size), values(size))?;
    }
    Ok(())
}

/// Values of `size` bytes each: JSON of one shape with different contents, as logs and events are,
/// cut where it is long enough.
fn values(size: usize) -> Vec<u8> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut values = Vec::with_capacity(VALUES * size);
    for _ in 0..VALUES {
        let mut value = String::new();
        while value.len() < size {
            value.push_str(&event(&mut dice));
        }
        values.extend_from_slice(&value.as_bytes()[..size]);
    }
    values
}

fn event(dice: &mut Dice) -> String {
    const ACTIONS: [&str; 5] = ["view", "click", "add_to_cart", "purchase", "refund"];
    let action = ACTIONS[usize::try_from(dice.below(5)).unwrap_or(0)];
    let (id, user, item) = (dice.below(1 << 40), dice.below(200_000), dice.below(50_000));
    let (price, cents, ok) = (dice.below(500), dice.below(100), dice.below(20) != 0);
    format!(
        "{{\"id\":{id},\"user\":\"user-{user}\",\"action\":\"{action}\",\"item\":{item},\
         \"price\":{price}.{cents:02},\"ok\":{ok}}}\n"
    )
}

/// Marsaglia's xorshift: no more is asked of it than to look different.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Values in a file. Together larger than the first cache, so that reading them costs what it does
/// in an application.
const VALUES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_whole_values_of_the_size_asked() {
        for size in [1, 100, 1_024] {
            assert_eq!(values(size).len(), VALUES * size);
        }
    }

    #[test]
    fn two_writings_are_the_same() {
        assert_eq!(values(100), values(100));
    }

    #[test]
    fn values_differ() {
        let values = values(100);
        let mut each: Vec<&[u8]> = values.chunks(100).collect();
        each.sort_unstable();
        each.dedup();
        assert_eq!(each.len(), VALUES);
    }
}
