//! Bytes of messages, written straight from a schema.
//!
//! Nothing here knows the generated Rust: what the schema file says is walked value by value and
//! written as KIP-482 and the protocol guide say. Tests hold the generated code against it, and
//! learn where its lengths lie, so that they can lie about them.

use crate::schema::{Field, Message, Type};

/// One message's bytes.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// The message, without header.
    pub bytes: Vec<u8>,
    /// Every length and count in it, in the order of the bytes.
    pub lengths: Vec<Length>,
}

/// Where a length or count lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Its first byte.
    pub offset: usize,
    /// How it is written.
    pub form: LengthForm,
    /// How many bytes it takes as it stands.
    pub width: usize,
    /// What it counts.
    pub counts: Counts,
}

/// What a length counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Bytes of a string.
    Text,
    /// Bytes of any kind.
    Bytes,
    /// Elements of an array.
    Elements,
    /// Tagged fields of a structure.
    TaggedFields,
    /// Nothing: it is the tag of a tagged field.
    Tag,
    /// Bytes of a tagged field.
    TaggedBytes,
}

/// How a length is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthForm {
    /// Two bytes, −1 for null.
    Int16,
    /// Four bytes, −1 for null.
    Int32,
    /// A varint of the length plus one, 0 for null.
    Compact,
    /// A varint of the length itself: tags, their count and their sizes.
    Varint,
}

/// Which values a message is filled with.
#[derive(Debug, Clone)]
pub enum Fill {
    /// Every field as `golden/README.md` numbers them, nothing null.
    Numbered,
    /// As [`Numbered`](Self::Numbered), with null wherever the version has it.
    Nulls,
    /// As [`Numbered`](Self::Numbered), with every array empty.
    EmptyArrays,
    /// Values of all kinds from a seed, unknown tagged fields among them.
    Random(Random),
}

impl Sample {
    /// A message in `version`, filled by `fill`.
    #[must_use]
    pub fn new(message: &Message, version: i16, fill: Fill) -> Self {
        let mut values = Values { message, version, fill, leaves: 0 };
        let value = values.structure(&message.fields);
        let mut bytes = Bytes { flexible: message.is_flexible(version), sample: Self::default() };
        bytes.value(&value);
        bytes.sample
    }
}

/// A small generator of random numbers (splitmix64): the same seed, the same numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator that starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number, below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }
}

/// A value with all that is needed to write it.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// A fixed number of bytes.
    Fixed(Vec<u8>),
    /// A string, or `None` for null; true if it is written as before KIP-482.
    Text(Option<String>, bool),
    Bytes(Option<Vec<u8>>),
    Array(Option<Vec<Self>>),
    Structure {
        fields: Vec<Self>,
        tagged: Vec<(u32, Vec<u8>, Option<Self>)>,
    },
    NullableStructure(Option<Box<Self>>),
}

struct Values<'a> {
    message: &'a Message,
    version: i16,
    fill: Fill,
    leaves: u64,
}

impl Values<'_> {
    fn structure(&mut self, fields: &[Field]) -> Value {
        let version = self.version;
        let (mut plain, mut tagged) = (Vec::new(), Vec::new());
        for field in fields.iter().filter(|field| field.versions.contains(version)) {
            let value = self.field(field);
            match field.tag.filter(|(_, versions)| versions.contains(version)) {
                None => plain.push(value),
                Some(_) if value == self.default(field) => {}
                Some((tag, _)) => tagged.push((tag, Vec::new(), Some(value))),
            }
        }
        if let Fill::Random(random) = &mut self.fill
            && self.message.is_flexible(self.version)
            && random.below(4) == 0
        {
            let data = (0..random.below(4)).map(|_| low_byte(random.number())).collect();
            tagged.push((1000, data, None));
        }
        tagged.sort_by_key(|(tag, ..)| *tag);
        Value::Structure { fields: plain, tagged }
    }

    fn field(&mut self, field: &Field) -> Value {
        let nullable = field.nullable.is_some_and(|versions| versions.contains(self.version));
        let null = match &mut self.fill {
            Fill::Numbered | Fill::EmptyArrays => false,
            Fill::Nulls => nullable,
            Fill::Random(random) => nullable && random.below(4) == 0,
        };
        self.typed(&field.ty, field, nullable, null)
    }

    fn typed(&mut self, ty: &Type, field: &Field, nullable: bool, null: bool) -> Value {
        match ty {
            Type::Text if null => Value::Text(None, field.inflexible),
            Type::Bytes | Type::Records if null => Value::Bytes(None),
            Type::Array(_) if null => Value::Array(None),
            Type::Structure(_) if null => Value::NullableStructure(None),
            Type::Array(element) => {
                let count = match &mut self.fill {
                    Fill::EmptyArrays => 0,
                    Fill::Numbered | Fill::Nulls => 2,
                    Fill::Random(random) => random.below(3),
                };
                let elements = (0..count).map(|_| self.typed(element, field, false, false));
                Value::Array(Some(elements.collect()))
            }
            Type::Structure(name) => {
                let message = self.message;
                let value = self.structure(message.structure(name).unwrap_or_default());
                if nullable { Value::NullableStructure(Some(Box::new(value))) } else { value }
            }
            leaf => self.leaf(leaf, field.inflexible),
        }
    }

    fn leaf(&mut self, ty: &Type, inflexible: bool) -> Value {
        self.leaves += 1;
        match &mut self.fill {
            Fill::Random(random) => random_leaf(ty, inflexible, random),
            _ => numbered_leaf(ty, inflexible, self.leaves),
        }
    }

    /// The value that a tagged field has when it is not written.
    fn default(&self, field: &Field) -> Value {
        let default = field.default.as_deref();
        let nullable = field.nullable.is_some_and(|versions| versions.contains(self.version));
        let number = default.and_then(parse_number).unwrap_or(0);
        match &field.ty {
            Type::Text if default == Some("null") => Value::Text(None, false),
            Type::Text => Value::Text(Some(String::new()), false),
            Type::Bytes | Type::Records if default == Some("null") => Value::Bytes(None),
            Type::Bytes | Type::Records => Value::Bytes(Some(Vec::new())),
            Type::Array(_) if default == Some("null") => Value::Array(None),
            Type::Array(_) => Value::Array(Some(Vec::new())),
            Type::Structure(_) if default == Some("null") => Value::NullableStructure(None),
            Type::Structure(name) => {
                let fields = self.message.structure(name).unwrap_or_default();
                let present = fields.iter().filter(|field| field.versions.contains(self.version));
                let plain = present.filter(|field| field.tag.is_none());
                let fields = plain.map(|field| self.default(field)).collect();
                let value = Value::Structure { fields, tagged: Vec::new() };
                if nullable { Value::NullableStructure(Some(Box::new(value))) } else { value }
            }
            Type::Bool => Value::Fixed(vec![u8::from(default == Some("true"))]),
            Type::Uuid => Value::Fixed(vec![0; 16]),
            Type::Float64 => Value::Fixed(vec![0; 8]),
            fixed => Value::Fixed(big_endian(number, width(fixed))),
        }
    }
}

fn parse_number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// What `golden/README.md` says the leaf numbered `n` is.
fn numbered_leaf(ty: &Type, inflexible: bool, n: u64) -> Value {
    let number = |value: u64| Value::Fixed(big_endian(value.cast_signed(), width(ty)));
    match ty {
        Type::Bool => number(n % 2),
        Type::Int8 => number(n % 128),
        Type::Int16 => number(n * 257 % (1 << 15)),
        Type::Uint16 => number(n * 257 % (1 << 16)),
        Type::Int32 => number(n * 65_793 % (1 << 31)),
        Type::Int64 => number(n * 4_311_810_305),
        Type::Float64 => {
            let exact = u32::try_from(n).map(f64::from).unwrap_or_default();
            Value::Fixed((exact + 0.5).to_be_bytes().to_vec())
        }
        Type::Uuid => {
            let bits = u128::from(n) << 64 | u128::from(n * 3 + 1);
            Value::Fixed(bits.to_be_bytes().to_vec())
        }
        Type::Text => Value::Text(Some(format!("s{n}")), inflexible),
        _ => Value::Bytes(Some(vec![low_byte(n), 0xc3, 0])),
    }
}

fn random_leaf(ty: &Type, inflexible: bool, random: &mut Random) -> Value {
    match ty {
        Type::Bool => Value::Fixed(vec![low_byte(random.below(2))]),
        Type::Float64 => {
            let finite = f64::from(low_byte(random.number())) / 3.0;
            Value::Fixed(finite.to_be_bytes().to_vec())
        }
        Type::Uuid => {
            let bits = [random.number().to_be_bytes(), random.number().to_be_bytes()];
            Value::Fixed(bits.concat())
        }
        Type::Text => {
            // The longest one's length takes two bytes as a varint.
            let words = ["", "a", "orders", "snøgg", "表", "with space", &"long ".repeat(30)];
            let index = usize::from(low_byte(random.below(words.len() as u64)));
            Value::Text(words.get(index).map(|word| (*word).to_owned()), inflexible)
        }
        Type::Bytes | Type::Records => {
            let length = if random.below(8) == 0 { 200 } else { random.below(20) };
            Value::Bytes(Some((0..length).map(|_| low_byte(random.number())).collect()))
        }
        fixed => {
            let width = width(fixed);
            let (highest, lowest) = (i64::MAX >> (64 - 8 * width), i64::MIN >> (64 - 8 * width));
            let extremes = [0, 1, -1, highest, lowest, random.number().cast_signed()];
            let index = usize::from(low_byte(random.below(extremes.len() as u64)));
            let value = extremes.get(index).copied().unwrap_or(0);
            Value::Fixed(big_endian(value, width))
        }
    }
}

fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

/// The low `width` bytes of `value`, highest first.
fn big_endian(value: i64, width: usize) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    bytes.get(bytes.len() - width..).unwrap_or_default().to_vec()
}

fn width(ty: &Type) -> usize {
    match ty {
        Type::Bool | Type::Int8 => 1,
        Type::Int16 | Type::Uint16 => 2,
        Type::Int32 => 4,
        _ => 8,
    }
}

struct Bytes {
    flexible: bool,
    sample: Sample,
}

impl Bytes {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Fixed(bytes) => self.raw(bytes),
            Value::Text(text, inflexible) => {
                let form = if self.flexible && !inflexible {
                    LengthForm::Compact
                } else {
                    LengthForm::Int16
                };
                self.length(form, Counts::Text, text.as_ref().map(String::len));
                self.raw(text.as_deref().unwrap_or_default().as_bytes());
            }
            Value::Bytes(bytes) => {
                self.length(self.wide_form(), Counts::Bytes, bytes.as_ref().map(Vec::len));
                self.raw(bytes.as_deref().unwrap_or_default());
            }
            Value::Array(elements) => {
                let count = elements.as_ref().map(Vec::len);
                self.length(self.wide_form(), Counts::Elements, count);
                for element in elements.iter().flatten() {
                    self.value(element);
                }
            }
            Value::NullableStructure(None) => self.raw(&[0xff]),
            Value::NullableStructure(Some(structure)) => {
                self.raw(&[1]);
                self.value(structure);
            }
            Value::Structure { fields, tagged } => self.structure(fields, tagged),
        }
    }

    fn structure(&mut self, fields: &[Value], tagged: &[(u32, Vec<u8>, Option<Value>)]) {
        for field in fields {
            self.value(field);
        }
        if !self.flexible {
            return;
        }
        self.length(LengthForm::Varint, Counts::TaggedFields, Some(tagged.len()));
        for (tag, data, value) in tagged {
            self.length(LengthForm::Varint, Counts::Tag, Some(*tag as usize));
            let mut content = Self { flexible: true, sample: Sample::default() };
            match value {
                // The one null that is written otherwise in a tagged field.
                Some(Value::NullableStructure(None)) => content.raw(&[0]),
                Some(value) => content.value(value),
                None => content.raw(data),
            }
            let size = Some(content.sample.bytes.len());
            self.length(LengthForm::Varint, Counts::TaggedBytes, size);
            let start = self.sample.bytes.len();
            self.raw(&content.sample.bytes);
            let moved = content.sample.lengths.into_iter();
            let moved = moved.map(|length| Length { offset: start + length.offset, ..length });
            self.sample.lengths.extend(moved);
        }
    }

    fn wide_form(&self) -> LengthForm {
        if self.flexible { LengthForm::Compact } else { LengthForm::Int32 }
    }

    fn length(&mut self, form: LengthForm, counts: Counts, length: Option<usize>) {
        let offset = self.sample.bytes.len();
        let signed = length.and_then(|length| i64::try_from(length).ok()).unwrap_or(-1);
        self.sample.bytes.extend(length_bytes(form, signed));
        let width = self.sample.bytes.len() - offset;
        self.sample.lengths.push(Length { offset, form, width, counts });
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.sample.bytes.extend_from_slice(bytes);
    }
}

/// `length` as `form` writes it; −1 is null, and lower ones are lies.
#[must_use]
pub fn length_bytes(form: LengthForm, length: i64) -> Vec<u8> {
    match form {
        LengthForm::Int16 => big_endian(length, 2),
        LengthForm::Int32 => big_endian(length, 4),
        LengthForm::Compact => varint(low_word(length.wrapping_add(1))),
        LengthForm::Varint => varint(low_word(length)),
    }
}

fn low_word(value: i64) -> u32 {
    let [.., a, b, c, d] = value.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(low_byte(u64::from(value)) | 0x80);
        value >>= 7;
    }
    bytes.push(low_byte(u64::from(value)));
    bytes
}
