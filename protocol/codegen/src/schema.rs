//! The schema files: what they say, and how they are read.
//!
//! One file describes one API, or a family of structures. `CONTRIBUTING.md` explains the format by
//! example; in short, indented lines are the fields of what stands above them:
//!
//! ```text
//! api 3 Metadata
//! doc Names the nodes of the cluster.
//!
//! request MetadataRequest 0-13 flexible 9+
//!   Topics []MetadataRequestTopic 0+ nullable 1+
//!     Name string 0+ nullable 10+
//! ```

use std::fmt;

/// One schema file.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The file's name without its extension; the module that is generated from it.
    pub module: String,
    /// One sentence about it.
    pub doc: String,
    /// The number and name of the API, where the file describes one.
    pub api: Option<(i16, String)>,
    /// The messages, in the order of the file.
    pub messages: Vec<Message>,
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sent by a client.
    Request,
    /// Sent by a broker.
    Response,
    /// A structure inside something else.
    Data,
    /// The key of a record in a coordinator's topic.
    Key,
    /// The value of a record in a coordinator's topic.
    Value,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    /// What it is for.
    pub kind: Kind,
    /// Kafka's name for it.
    pub name: String,
    /// The record type of a coordinator's key or value.
    pub id: Option<i16>,
    /// The versions it exists in.
    pub versions: Versions,
    /// The first flexible version.
    pub flexible: Option<i16>,
    /// Whether its last version is not stable yet.
    pub unstable_latest: bool,
    /// Its fields, in the order of the file.
    pub fields: Vec<Field>,
    /// Structures that more than one field refers to.
    pub common: Vec<Structure>,
}

/// A structure that more than one field refers to.
#[derive(Debug, Clone)]
pub struct Structure {
    /// Its name.
    pub name: String,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// One field.
#[derive(Debug, Clone)]
pub struct Field {
    /// Kafka's name for it.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// The versions it exists in.
    pub versions: Versions,
    /// The versions in which it may be null.
    pub nullable: Option<Versions>,
    /// Its tag, and the versions in which it is a tagged field.
    pub tag: Option<(u32, Versions)>,
    /// Its default, where it is not its type's.
    pub default: Option<String>,
    /// Whether it may be left out silently where the version has no room for it.
    pub ignorable: bool,
    /// Whether it is written as before KIP-482 even in flexible versions.
    pub inflexible: bool,
    /// The fields of its structure, where that is described here.
    pub fields: Vec<Self>,
}

/// The type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// One byte.
    Bool,
    /// A signed 8-bit number.
    Int8,
    /// A signed 16-bit number.
    Int16,
    /// An unsigned 16-bit number.
    Uint16,
    /// A signed 32-bit number.
    Int32,
    /// A signed 64-bit number.
    Int64,
    /// A 64-bit IEEE 754 number.
    Float64,
    /// UTF-8 text.
    Text,
    /// 16 bytes.
    Uuid,
    /// Bytes of any kind.
    Bytes,
    /// Record batches.
    Records,
    /// A list.
    Array(Box<Self>),
    /// A structure, by name.
    Structure(String),
}

/// Versions from `min` to `max`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The lowest.
    pub min: i16,
    /// The highest; `i16::MAX` where it is open.
    pub max: i16,
}

impl Versions {
    /// Whether `version` is one of them.
    #[must_use]
    pub fn contains(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    /// The versions in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    /// From the first of either to the last of either.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.max < self.min
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = i16> {
        self.min..=self.max
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(min) = text.strip_suffix('+') {
            return Some(Self { min: min.parse().ok()?, max: i16::MAX });
        }
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        Some(Self { min: min.parse().ok()?, max: max.parse().ok()? })
    }
}

impl Message {
    /// Whether `version` has compact lengths and tagged fields.
    #[must_use]
    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible.is_some_and(|first| version >= first)
    }

    /// The fields of the structure called `name`, wherever in the message it is described.
    #[must_use]
    pub fn structure(&self, name: &str) -> Option<&[Field]> {
        let common = self.common.iter().find(|structure| structure.name == name);
        if let Some(structure) = common {
            return Some(&structure.fields);
        }
        let described = self.common.iter().map(|structure| &structure.fields[..]);
        std::iter::once(&self.fields[..]).chain(described).find_map(|fields| find(fields, name))
    }
}

fn find<'a>(fields: &'a [Field], name: &str) -> Option<&'a [Field]> {
    fields.iter().find_map(|field| {
        let described_here = !field.fields.is_empty() && field.ty.structure() == Some(name);
        if described_here { Some(&field.fields[..]) } else { find(&field.fields, name) }
    })
}

impl Type {
    /// The name of the structure it is, or is a list of.
    #[must_use]
    pub fn structure(&self) -> Option<&str> {
        match self {
            Self::Structure(name) => Some(name),
            Self::Array(element) => element.structure(),
            _ => None,
        }
    }

    fn parse(text: &str) -> Self {
        if let Some(element) = text.strip_prefix("[]") {
            return Self::Array(Box::new(Self::parse(element)));
        }
        match text {
            "bool" => Self::Bool,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "uint16" => Self::Uint16,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "string" => Self::Text,
            "uuid" => Self::Uuid,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            name => Self::Structure(name.to_owned()),
        }
    }
}

/// A line of a schema file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    /// The file's module.
    pub module: String,
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.schema, line {}: {}", self.module, self.line, self.why)
    }
}

impl std::error::Error for SchemaError {}

impl Schema {
    /// Reads the schema file of `module`.
    ///
    /// # Errors
    ///
    /// [`SchemaError`], naming the first line that cannot be read.
    pub fn parse(module: &str, text: &str) -> Result<Self, SchemaError> {
        let mut lines = Lines { module, numbered: numbered_lines(text), next: 0 };
        let mut schema =
            Self { module: module.to_owned(), doc: String::new(), api: None, messages: Vec::new() };
        while let Some(line) = lines.take(0) {
            let (keyword, rest) = line.text.split_once(' ').unwrap_or((line.text, ""));
            match keyword {
                "api" => schema.api = Some(parse_api(rest).ok_or_else(|| lines.bad(line, "api"))?),
                "doc" => rest.clone_into(&mut schema.doc),
                _ => schema.messages.push(parse_message(&mut lines, line)?),
            }
        }
        match lines.numbered.get(lines.next) {
            Some(left_over) => Err(lines.bad(*left_over, "indented too far")),
            None => Ok(schema),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

struct Lines<'a> {
    module: &'a str,
    numbered: Vec<Line<'a>>,
    next: usize,
}

impl<'a> Lines<'a> {
    /// The next line, if it is indented by `indent` steps.
    fn take(&mut self, indent: usize) -> Option<Line<'a>> {
        let line = *self.numbered.get(self.next)?;
        (line.indent == indent).then(|| {
            self.next += 1;
            line
        })
    }

    fn bad(&self, line: Line<'_>, why: &'static str) -> SchemaError {
        SchemaError { module: self.module.to_owned(), line: line.number, why }
    }
}

fn numbered_lines(text: &str) -> Vec<Line<'_>> {
    let lines = text.lines().enumerate().map(|(index, line)| {
        let text = line.trim_start();
        Line { number: index + 1, indent: (line.len() - text.len()) / 2, text: text.trim_end() }
    });
    lines.filter(|line| !line.text.is_empty() && !line.text.starts_with('#')).collect()
}

fn parse_api(rest: &str) -> Option<(i16, String)> {
    let (code, name) = rest.split_once(' ')?;
    Some((code.parse().ok()?, name.to_owned()))
}

fn parse_message(lines: &mut Lines<'_>, line: Line<'_>) -> Result<Message, SchemaError> {
    let mut words = line.text.split(' ');
    let mut next = |why| words.next().ok_or_else(|| lines.bad(line, why));
    let kind = match next("a kind is missing")? {
        "request" => Kind::Request,
        "response" => Kind::Response,
        "data" => Kind::Data,
        "key" => Kind::Key,
        "value" => Kind::Value,
        _ => return Err(lines.bad(line, "no such kind of message")),
    };
    let name = next("a name is missing")?.to_owned();
    let mut id = None;
    if matches!(kind, Kind::Key | Kind::Value) {
        let _id = next("id is missing")?;
        let number = next("the id's number is missing")?;
        id = Some(number.parse().map_err(|_| lines.bad(line, "the id is no number"))?);
    }
    let versions = Versions::parse(next("versions are missing")?)
        .ok_or_else(|| lines.bad(line, "versions cannot be read"))?;
    let (mut flexible, mut unstable_latest) = (None, false);
    while let Some(word) = words.next() {
        match word {
            "flexible" => flexible = words.next().and_then(Versions::parse).map(|first| first.min),
            "unstable-latest" => unstable_latest = true,
            _ => return Err(lines.bad(line, "no such attribute of a message")),
        }
    }
    let (mut fields, mut common) = (Vec::new(), Vec::new());
    while let Some(line) = lines.take(1) {
        match line.text.strip_prefix("struct ") {
            Some(rest) => {
                let name = rest.split(' ').next().unwrap_or_default().to_owned();
                common.push(Structure { name, fields: parse_fields(lines, 2)? });
            }
            None => fields.push(parse_field(lines, line)?),
        }
    }
    Ok(Message { kind, name, id, versions, flexible, unstable_latest, fields, common })
}

fn parse_fields(lines: &mut Lines<'_>, indent: usize) -> Result<Vec<Field>, SchemaError> {
    let mut fields = Vec::new();
    while let Some(line) = lines.take(indent) {
        fields.push(parse_field(lines, line)?);
    }
    Ok(fields)
}

fn parse_field(lines: &mut Lines<'_>, line: Line<'_>) -> Result<Field, SchemaError> {
    let mut words = line.text.split(' ');
    let (Some(name), Some(ty), Some(versions)) = (words.next(), words.next(), words.next()) else {
        return Err(lines.bad(line, "a field has a name, a type and versions"));
    };
    let range = |word: Option<&str>| {
        word.and_then(Versions::parse).ok_or_else(|| lines.bad(line, "versions cannot be read"))
    };
    let mut field = Field {
        name: name.to_owned(),
        ty: Type::parse(ty),
        versions: range(Some(versions))?,
        nullable: None,
        tag: None,
        default: None,
        ignorable: false,
        inflexible: false,
        fields: Vec::new(),
    };
    while let Some(word) = words.next() {
        match word {
            "nullable" => field.nullable = Some(range(words.next())?),
            "default" => field.default = words.next().map(str::to_owned),
            "ignorable" => field.ignorable = true,
            "inflexible" => field.inflexible = true,
            "tag" => {
                let tag = words.next().and_then(|tag| tag.parse().ok());
                let tag = tag.ok_or_else(|| lines.bad(line, "the tag is no number"))?;
                field.tag = Some((tag, range(words.next())?));
            }
            // Facts that no code depends on: what a map is keyed by, and what a value names.
            "key" => {}
            "entity" => drop(words.next()),
            _ => return Err(lines.bad(line, "no such attribute of a field")),
        }
    }
    field.fields = parse_fields(lines, line.indent + 1)?;
    Ok(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_is_indented() {
        let text = "api 3 Metadata\ndoc Names nodes.\n\n\
                    request MetadataRequest 0-13 flexible 9+ unstable-latest\n  \
                    Topics []Topic 0+ nullable 1+ ignorable\n    \
                    Name string 2-4 default null tag 1 3+\n  \
                    Other bool 1\n";
        let schema = Schema::parse("metadata", text).unwrap();
        assert_eq!(schema.api, Some((3, "Metadata".to_owned())));
        let request = &schema.messages[0];
        assert_eq!((request.flexible, request.unstable_latest), (Some(9), true));
        let [topics, other] = &request.fields[..] else { panic!("two fields, got {request:?}") };
        assert_eq!(topics.ty, Type::Array(Box::new(Type::Structure("Topic".to_owned()))));
        assert_eq!(topics.nullable, Some(Versions { min: 1, max: i16::MAX }));
        assert_eq!(topics.fields[0].tag, Some((1, Versions { min: 3, max: i16::MAX })));
        assert_eq!(topics.fields[0].versions, Versions { min: 2, max: 4 });
        assert_eq!(other.versions, Versions { min: 1, max: 1 });
    }

    #[test]
    fn an_unknown_attribute_is_refused_with_its_line() {
        let refused = Schema::parse("x", "data X 0\n\n  A bool 0+ nulable 1+\n").unwrap_err();
        assert_eq!(refused.to_string(), "x.schema, line 3: no such attribute of a field");
    }

    #[test]
    fn a_line_indented_too_far_is_refused() {
        assert!(Schema::parse("x", "data X 0\n      A bool 0+\n").is_err());
    }
}
