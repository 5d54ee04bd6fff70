//! How a record is shown: `%t-%p@%o %k=%v\n`.

use std::io::{self, Write};

use ottla::{Batch, RecordRef};

/// A format that was read once and is written with for each record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Topic,
    Partition,
    Offset,
    Key,
    Value,
    Headers,
    Timestamp,
}

impl Format {
    /// Reads a format: `%t` topic, `%p` partition, `%o` offset, `%k` key, `%v` value, `%h` headers,
    /// `%T` timestamp in milliseconds since 1970, `%%` a percent sign, `\n`, `\t`, `\\`.
    ///
    /// # Errors
    ///
    /// What is not one of these.
    pub fn parse(format: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '%' => match piece(letters.next())? {
                    Some(piece) => {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                        pieces.push(piece);
                    }
                    None => text.push('%'),
                },
                '\\' => text.push(escape(letters.next())?),
                other => text.push(other),
            }
        }
        pieces.push(Piece::Text(text));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Ok(Self(pieces))
    }

    /// Writes one record. A null key or value shows as nothing.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write(
        &self,
        batch: &Batch,
        record: &RecordRef<'_>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.write_all(text.as_bytes())?,
                Piece::Topic => out.write_all(batch.topic().as_bytes())?,
                Piece::Partition => write!(out, "{}", batch.partition())?,
                Piece::Offset => write!(out, "{}", record.offset())?,
                Piece::Key => out.write_all(record.key().unwrap_or_default())?,
                Piece::Value => out.write_all(record.value().unwrap_or_default())?,
                Piece::Headers => write_headers(record, out)?,
                Piece::Timestamp => write!(out, "{}", record.timestamp())?,
            }
        }
        Ok(())
    }
}

fn write_headers(record: &RecordRef<'_>, out: &mut impl Write) -> io::Result<()> {
    for (index, header) in record.headers().into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(header.key)?;
        out.write_all(b"=")?;
        out.write_all(header.value.unwrap_or_default())?;
    }
    Ok(())
}

/// `None` for the percent sign itself.
fn piece(letter: Option<char>) -> Result<Option<Piece>, String> {
    Ok(Some(match letter {
        Some('t') => Piece::Topic,
        Some('p') => Piece::Partition,
        Some('o') => Piece::Offset,
        Some('k') => Piece::Key,
        Some('v') => Piece::Value,
        Some('h') => Piece::Headers,
        Some('T') => Piece::Timestamp,
        Some('%') => return Ok(None),
        Some(other) => return Err(format!("%{other} means nothing; use %t %p %o %k %v %h %T %%")),
        None => return Err("the format ends with a %; write %% for the sign itself".into()),
    }))
}

fn escape(letter: Option<char>) -> Result<char, String> {
    match letter {
        Some('n') => Ok('\n'),
        Some('t') => Ok('\t'),
        Some('\\') => Ok('\\'),
        Some(other) => Err(format!("\\{other} means nothing; use \\n, \\t or \\\\")),
        None => Err("the format ends with a \\; write \\\\ for the sign itself".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_read_piece_by_piece() {
        let text = |text: &str| Piece::Text(text.into());
        let expected = vec![Piece::Topic, text("-"), Piece::Partition, text("\t%"), Piece::Value];
        assert_eq!(Format::parse("%t-%p\\t%%%v"), Ok(Format(expected)));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for format in ["%x", "%", "\\q", "\\"] {
            assert!(Format::parse(format).is_err(), "{format}");
        }
    }
}
