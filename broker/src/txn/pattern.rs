//! The pattern of `ListTransactions` (KIP-1152): the part of RE2 that names are looked for with.

use std::str::FromStr;

/// A regular expression that a whole text matches or does not, in time that is bounded by the
/// product of their lengths.
///
/// Literals, `.`, classes, `\d \w \s` and their opposites, groups, `|`, `*`, `+`, `?`, `{m,n}` and
/// anchors. What else RE2 has is refused, and not misread.
#[derive(Debug)]
pub(super) struct Pattern {
    steps: Vec<Step>,
}

/// A pattern that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadPattern;

#[derive(Debug, Clone)]
enum Step {
    /// Takes a character of a class.
    Take(Class),
    /// Goes on at both.
    Split(usize, usize),
    /// Goes on there.
    Goto(usize),
    /// Only before the first character.
    Start,
    /// Only behind the last character.
    End,
}

#[derive(Debug, Clone)]
struct Class {
    ranges: Vec<(char, char)>,
    negated: bool,
}

impl Pattern {
    /// Whether it matches all of `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut at = vec![false; self.steps.len() + 1];
        let last = text.chars().count();
        self.reach(0, 0, last, &mut at);
        for (position, character) in text.chars().enumerate() {
            let mut next = vec![false; self.steps.len() + 1];
            for (index, step) in self.steps.iter().enumerate() {
                if at.get(index) == Some(&true)
                    && let Step::Take(class) = step
                    && class.has(character)
                {
                    self.reach(index + 1, position + 1, last, &mut next);
                }
            }
            at = next;
        }
        at.last() == Some(&true)
    }

    /// Marks every step that can be come to from `from` without taking a character.
    fn reach(&self, from: usize, position: usize, last: usize, at: &mut [bool]) {
        let mut pending = vec![from];
        while let Some(index) = pending.pop() {
            match at.get_mut(index) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            match self.steps.get(index) {
                Some(Step::Split(one, other)) => pending.extend([*one, *other]),
                Some(Step::Goto(there)) => pending.push(*there),
                Some(Step::Start) if position == 0 => pending.push(index + 1),
                Some(Step::End) if position == last => pending.push(index + 1),
                Some(Step::Start | Step::End | Step::Take(_)) | None => {}
            }
        }
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let mut reader = Reader { rest: text, depth: 0 };
        let steps = reader.alternatives()?;
        if reader.rest.is_empty() { Ok(Self { steps }) } else { Err(BadPattern) }
    }
}

impl Class {
    fn of(ranges: &[(char, char)], negated: bool) -> Self {
        Self { ranges: ranges.to_vec(), negated }
    }

    fn has(&self, character: char) -> bool {
        let inside = |(from, to): &(char, char)| (*from..=*to).contains(&character);
        self.ranges.iter().any(inside) != self.negated
    }
}

/// Reads a pattern from left to right; the steps of each part count from 0.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = self.rest.get(next.len_utf8()..).unwrap_or_default();
        Some(next)
    }

    fn skip(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn alternatives(&mut self) -> Result<Vec<Step>, BadPattern> {
        let mut steps = self.sequence()?;
        while self.skip("|") {
            let other = self.sequence()?;
            let mut both = vec![Step::Split(1, steps.len() + 2)];
            append(&mut both, &steps)?;
            both.push(Step::Goto(steps.len() + 2 + other.len()));
            append(&mut both, &other)?;
            steps = both;
        }
        Ok(steps)
    }

    fn sequence(&mut self) -> Result<Vec<Step>, BadPattern> {
        let mut steps = Vec::new();
        while self.peek().is_some_and(|next| !matches!(next, '|' | ')')) {
            let part = self.repeated()?;
            append(&mut steps, &part)?;
        }
        Ok(steps)
    }

    fn repeated(&mut self) -> Result<Vec<Step>, BadPattern> {
        let mut part = self.single()?;
        while let Some((least, most)) = self.repetition()? {
            // Whether it takes as much or as little as it can makes no difference to a whole text.
            self.skip("?");
            part = repeat(&part, least, most)?;
        }
        Ok(part)
    }

    fn repetition(&mut self) -> Result<Option<(usize, Option<usize>)>, BadPattern> {
        let bounds = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.counted().map(Some),
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(bounds))
    }

    fn counted(&mut self) -> Result<(usize, Option<usize>), BadPattern> {
        let (inside, rest) =
            self.rest.get(1..).and_then(|r| r.split_once('}')).ok_or(BadPattern)?;
        self.rest = rest;
        let number = |text: &str| text.parse::<usize>().map_err(|_| BadPattern);
        let bounds = match inside.split_once(',') {
            None => (number(inside)?, Some(number(inside)?)),
            Some((least, "")) => (number(least)?, None),
            Some((least, most)) => (number(least)?, Some(number(most)?)),
        };
        let possible = bounds.0 <= MOST_REPETITIONS
            && bounds.1.is_none_or(|most| (bounds.0..=MOST_REPETITIONS).contains(&most));
        if possible { Ok(bounds) } else { Err(BadPattern) }
    }

    fn single(&mut self) -> Result<Vec<Step>, BadPattern> {
        let step = match self.next().ok_or(BadPattern)? {
            '(' => return self.group(),
            '[' => Step::Take(self.class()?),
            '.' => Step::Take(Class::of(&[('\n', '\n')], true)),
            '^' => Step::Start,
            '$' => Step::End,
            '\\' => match self.escape()? {
                Escape::One(character) => Step::Take(Class::of(&[(character, character)], false)),
                Escape::Any(class) => Step::Take(class),
            },
            '*' | '+' | '?' | ')' | '{' => return Err(BadPattern),
            literal => Step::Take(Class::of(&[(literal, literal)], false)),
        };
        Ok(vec![step])
    }

    fn group(&mut self) -> Result<Vec<Step>, BadPattern> {
        self.depth += 1;
        if self.depth > DEEPEST || (self.rest.starts_with('?') && !self.skip("?:")) {
            return Err(BadPattern);
        }
        let steps = self.alternatives()?;
        self.depth -= 1;
        if self.skip(")") { Ok(steps) } else { Err(BadPattern) }
    }

    fn class(&mut self) -> Result<Class, BadPattern> {
        let mut class = Class { negated: self.skip("^"), ranges: Vec::new() };
        loop {
            let from = match self.next().ok_or(BadPattern)? {
                ']' if !class.ranges.is_empty() => return Ok(class),
                '[' if self.rest.starts_with(':') => return Err(BadPattern),
                '\\' => match self.escape()? {
                    Escape::One(character) => character,
                    Escape::Any(Class { ranges, negated: false }) => {
                        class.ranges.extend(ranges);
                        continue;
                    }
                    Escape::Any(_) => return Err(BadPattern),
                },
                character => character,
            };
            let mut to = from;
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.next();
                to = self.next().filter(|to| *to >= from && *to != '\\').ok_or(BadPattern)?;
            }
            class.ranges.push((from, to));
        }
    }

    fn escape(&mut self) -> Result<Escape, BadPattern> {
        let letter = self.next().ok_or(BadPattern)?;
        let negated = letter.is_ascii_uppercase();
        let ranges = match letter.to_ascii_lowercase() {
            'd' => DIGITS,
            'w' => WORD,
            's' => SPACE,
            't' if !negated => return Ok(Escape::One('\t')),
            'n' if !negated => return Ok(Escape::One('\n')),
            'r' if !negated => return Ok(Escape::One('\r')),
            other if other.is_ascii_alphanumeric() => return Err(BadPattern),
            _ => return Ok(Escape::One(letter)),
        };
        Ok(Escape::Any(Class::of(ranges, negated)))
    }
}

enum Escape {
    One(char),
    Any(Class),
}

fn repeat(part: &[Step], least: usize, most: Option<usize>) -> Result<Vec<Step>, BadPattern> {
    let mut steps = Vec::new();
    for _ in 0..least {
        append(&mut steps, part)?;
    }
    match most {
        None => {
            let mut again = vec![Step::Split(1, part.len() + 2)];
            append(&mut again, part)?;
            again.push(Step::Goto(0));
            append(&mut steps, &again)?;
        }
        Some(most) => {
            let mut perhaps = vec![Step::Split(1, part.len() + 1)];
            append(&mut perhaps, part)?;
            for _ in least..most {
                append(&mut steps, &perhaps)?;
            }
        }
    }
    Ok(steps)
}

/// Puts a part behind others, and its jumps with it.
fn append(steps: &mut Vec<Step>, part: &[Step]) -> Result<(), BadPattern> {
    let by = steps.len();
    if by + part.len() > MOST_STEPS {
        return Err(BadPattern);
    }
    steps.extend(part.iter().map(|step| match step {
        Step::Split(one, other) => Step::Split(one + by, other + by),
        Step::Goto(there) => Step::Goto(there + by),
        step @ (Step::Take(_) | Step::Start | Step::End) => step.clone(),
    }));
    Ok(())
}

const DIGITS: &[(char, char)] = &[('0', '9')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('a', 'z'), ('_', '_')];
const SPACE: &[(char, char)] = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];

/// RE2's bound of a counted repetition.
const MOST_REPETITIONS: usize = 1000;

/// What a pattern may grow to, so that asking costs no more than any other request.
const MOST_STEPS: usize = 2000;

/// How deep groups may lie in each other: reading them is recursive.
const DEEPEST: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let pattern: Pattern = pattern.parse().unwrap();
        for text in matching {
            assert!(pattern.matches(text), "{text}");
        }
        for text in others {
            assert!(!pattern.matches(text), "{text}");
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_text() {
        check("my-.*", &["my-", "my-1"], &["my", "amy-1", ""]);
        check("my", &["my"], &["my-1"]);
        check("^a$", &["a"], &["aa"]);
    }

    #[test]
    fn repetitions_and_alternatives_nest() {
        check("(ab|c)+d?", &["ab", "cabd", "c"], &["", "abdd", "a"]);
        check("a{2,3}", &["aa", "aaa"], &["a", "aaaa"]);
        check("(a*)*b", &["b", "aab"], &["a"]);
    }

    #[test]
    fn classes_hold_ranges_and_their_opposite() {
        check(r"[a-c_]\d[^x]", &["a1y", "_9-"], &["d1y", "a1x", "aay"]);
        check(r"app\.\w+", &["app.x_1"], &["appx", "app.-"]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for bad in ["(", "a)", "[a", "*", "a{2", "a{3,2}", r"\p{L}", "(?i)a", "a{1001}", r"\1"] {
            assert_eq!(bad.parse::<Pattern>().map(drop), Err(BadPattern), "{bad}");
        }
        assert!("(".repeat(100_000).parse::<Pattern>().is_err());
        assert!("(a{1000}){1000}".parse::<Pattern>().is_err());
    }
}
