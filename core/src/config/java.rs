//! The format of Java's `Properties`.

/// A property as a file has it, from its first line to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The number of its first line, from 1.
    pub(super) number: usize,
    text: String,
}

/// The lines of `text` that hold a property: comments and blank lines left out, lines that go on
/// put together.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = Vec::new();
    let mut open: Option<Line> = None;
    for (index, natural) in text.lines().enumerate() {
        let natural = natural.trim_start_matches(BLANKS);
        let line = match open.take() {
            Some(Line { number, text }) => Line { number, text: text + natural },
            None if natural.is_empty() || natural.starts_with(['#', '!']) => continue,
            None => Line { number: index + 1, text: natural.to_owned() },
        };
        match goes_on(&line.text) {
            Some(text) => open = Some(Line { number: line.number, text: text.to_owned() }),
            None => lines.push(line),
        }
    }
    lines.extend(open);
    lines
}

impl Line {
    /// The name and the value, or what is wrong with the line.
    pub(super) fn read(&self) -> Result<(String, String), String> {
        let end = end_of_name(&self.text);
        let (name, rest) = self.text.split_at(end);
        let rest = rest.trim_start_matches(BLANKS);
        let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
        Ok((unescape(name)?, unescape(rest.trim_start_matches(BLANKS))?))
    }
}

/// The text without the backslash at its end that joins it to the next line. Two of them are an
/// escaped backslash.
fn goes_on(text: &str) -> Option<&str> {
    let backslashes = text.bytes().rev().take_while(|byte| *byte == b'\\').count();
    if backslashes % 2 == 1 { text.strip_suffix('\\') } else { None }
}

/// The name ends at the first `=`, `:` or blank without a backslash before it.
fn end_of_name(text: &str) -> usize {
    let mut is_escaped = false;
    for (index, letter) in text.char_indices() {
        if !is_escaped && (matches!(letter, '=' | ':') || BLANKS.contains(&letter)) {
            return index;
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    text.len()
}

fn unescape(text: &str) -> Result<String, String> {
    // UTF-16, because two escapes may be the halves of one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let plain = match letter {
            '\\' => match letters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    let digits: String = letters.by_ref().take(4).collect();
                    units.push(unit(&digits).ok_or_else(|| broken(&digits))?);
                    continue;
                }
                Some(other) => other,
                None => continue,
            },
            plain => plain,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| "has half of a surrogate pair after \\u".to_owned())
}

fn broken(digits: &str) -> String {
    format!("has `\\u{digits}`: four hexadecimal digits must follow \\u")
}

fn unit(digits: &str) -> Option<u16> {
    let is_hex = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// What `Properties` takes for blanks.
const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_read_as_java_reads_them() {
        check("a=b", "a=b");
        check("  a : b ", "a=b ");
        check("a b=c", "a=b=c");
        check("a", "a=");
        check("a=", "a=");
        check("a==b", "a==b");
        check("# c\n! d\n\n \t\na=1\r\nb=2\rc=3", "a=1|b=2|c=3");
        check("a\\=\\:\\ b=c", "a=: b=c");
        check(r"path=C:\\temp\tx", "path=C:\\temp\tx");
        check(r"odd=\q\#", "odd=q#");
    }

    #[test]
    fn a_backslash_at_the_end_joins_lines() {
        check("a=1,\\\n   2,\\\n   3", "a=1,2,3");
        check("a=1\\\\\nb=2", "a=1\\|b=2");
        check("a=1\\\n# no comment", "a=1# no comment");
        check("a=1\\", "a=1");
    }

    #[test]
    fn unicode_escapes_are_read_in_pairs_too() {
        check(r"a=\u00e9\u20AC", "a=é€");
        check(r"a=\uD83D\uDE00", "a=😀");
        check("a=é", "a=é");
    }

    #[test]
    fn broken_escapes_are_errors_with_their_line() {
        for text in [r"a=\u12", r"a=\u12g4", r"a=\u+123", r"a=\uD83D"] {
            let lines = lines(&format!("x=1\n{text}"));
            assert_eq!(lines[1].number, 2);
            assert!(lines[1].read().is_err(), "{text}");
        }
    }

    #[test]
    fn a_joined_line_has_the_number_of_its_first() {
        let numbers: Vec<usize> = lines("a=1\\\n2\nb=3").iter().map(|it| it.number).collect();
        assert_eq!(numbers, [1, 3]);
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let read = lines(text).into_iter().map(|line| line.read().unwrap());
        let shown: Vec<String> = read.map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(shown.join("|"), expected);
    }
}
