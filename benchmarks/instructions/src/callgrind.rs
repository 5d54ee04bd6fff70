//! Reads what callgrind writes.

/// Instructions of the program `object` itself. The C library's are left out, which chooses its
/// copying by the processor, and so are those of the checksum, which does so as well.
pub fn total(profile: &str, object: &str) -> u64 {
    let (mut total, mut ours, mut counts, mut call) = (0, false, false, false);
    for line in profile.lines() {
        if let Some(of) = line.strip_prefix("ob=") {
            ours = of == object;
        } else if let Some(function) = line.strip_prefix("fn=") {
            counts = ours && !CHOSEN_BY_PROCESSOR.iter().any(|name| function.contains(name));
        } else if line.starts_with("calls=") {
            // The next line is the cost of what is called, which is counted where it is spent.
            call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok());
            if counts && !call {
                total += cost.unwrap_or(0);
            }
            call = false;
        }
    }
    total
}

/// Parts of the names of functions.
const CHOSEN_BY_PROCESSOR: &[&str] = &["crc_fast", "memchr"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_counts_where_it_is_spent_and_what_is_not_ours_not_at_all() {
        let profile = "events: Ir\n\n\
            ob=/bin/replay\nfn=main\n1 10\ncob=/lib/libc.so\ncfn=memcpy\ncalls=3 0\n1 700\n+1 5\n\n\
            fn=crc_fast::update\n1 90\n\n\
            ob=/lib/libc.so\nfn=memcpy\n1 700\n\n\
            ob=/bin/replay\nfn=other\n* 2\n\ntotals: 807\n";
        assert_eq!(total(profile, "/bin/replay"), 17);
    }
}
