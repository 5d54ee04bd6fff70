//! Which name was meant.

use super::Row;

/// The property whose name, or other name, is nearest to `name`, if it is near enough to have been
/// meant.
pub(super) fn to(name: &str, rows: &[&'static Row]) -> Option<&'static str> {
    let most = (name.len() / 4).clamp(1, 3);
    let names =
        rows.iter().flat_map(|row| row.aliases.iter().map(|alias| alias.name).chain([row.name]));
    let near = names.map(|known| (distance(name, known), known));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, known)| known)
}

/// How many letters must be added, left out, changed, or swapped with their neighbour to make one
/// word of the other. Dots, dashes and underscores are the same letter, as are capitals and small
/// ones.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (letters(one), letters(other));
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = row[j] + usize::from(a != b);
            let mut least = changed.min(row[j + 1] + 1).min(next[j] + 1);
            let is_swap = i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b;
            if is_swap {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

fn letters(name: &str) -> Vec<u8> {
    let plain = |letter: u8| if matches!(letter, b'_' | b'-') { b'.' } else { letter };
    name.bytes().map(|letter| plain(letter.to_ascii_lowercase())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand_are_near() {
        for (typed, meant, expected) in [
            ("linger.ms", "linger.ms", 0),
            ("lingr.ms", "linger.ms", 1),
            ("linegr.ms", "linger.ms", 1),
            ("Linger_ms", "linger.ms", 0),
            ("acks", "", 4),
            ("", "", 0),
        ] {
            assert_eq!(distance(typed, meant), expected, "{typed} {meant}");
            assert_eq!(distance(meant, typed), expected, "{meant} {typed}");
        }
    }
}
