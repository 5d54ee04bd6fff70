//! One field: its type, its default, how it is written and read.

use super::{path_name, rust_field};
use crate::schema::{Field, Message, Type, Versions};

/// A field together with what the message says about versions.
pub(super) struct FieldCode<'a> {
    pub(super) field: &'a Field,
    pub(super) message: &'a Message,
    /// What structures are called in Rust.
    pub(super) rename: &'a dyn Fn(&str) -> String,
}

impl FieldCode<'_> {
    /// `self.name` without the `self.`.
    pub(super) fn name(&self) -> String {
        rust_field(&self.field.name)
    }

    fn path(&self) -> String {
        path_name(&self.field.name)
    }

    /// Versions of the message that have the field.
    pub(super) fn present(&self) -> Versions {
        self.field.versions.and(self.message.versions)
    }

    fn nullable(&self) -> Versions {
        let none = Versions { min: 0, max: -1 };
        self.field.nullable.map_or(none, |nullable| nullable.and(self.present()))
    }

    fn is_nullable(&self) -> bool {
        !self.nullable().is_empty()
    }

    /// The condition under which `versions` contain the version; `None` where they always do.
    pub(super) fn condition(&self, versions: Versions) -> Option<String> {
        condition(versions, self.message.versions)
    }

    /// Whether this is a structure that is there only when its tag is: hardly ever, so that it
    /// lives in memory of its own.
    fn is_optional(&self) -> bool {
        let structure = matches!(self.field.ty, Type::Structure(_));
        structure && self.field.tag.is_some() && !self.is_nullable()
    }

    pub(super) fn rust_type(&self) -> String {
        let inner = self.inner_type(&self.field.ty);
        if self.is_optional() {
            return format!("Option<Box<{inner}>>");
        }
        if self.is_nullable() { format!("Option<{inner}>") } else { inner }
    }

    fn inner_type(&self, ty: &Type) -> String {
        match ty {
            Type::Array(element) if **element == Type::Int32 => "Int32Array".to_owned(),
            Type::Array(element) => format!("Vec<{}>", self.inner_type(element)),
            Type::Structure(name) => (self.rename)(name),
            scalar => scalar_type(scalar).to_owned(),
        }
    }

    /// The field's line of documentation.
    pub(super) fn doc(&self) -> String {
        let present = self.present();
        let mut doc = format!("`{}`", self.field.name);
        if self.field.name.ends_with("Ms") {
            doc.push_str(", in milliseconds");
        }
        if present != self.message.versions {
            doc += &format!("; versions {}", shown_versions(present, self.message.versions));
        }
        if let Some((tag, _)) = self.field.tag {
            doc += &format!("; tag {tag}");
        }
        if self.is_optional() {
            doc += "; `None` where it is left out, which stands for its defaults";
        }
        if self.is_nullable() {
            doc += "; `None` is null";
            if self.nullable() != present {
                doc += &format!(
                    ", allowed in versions {}",
                    shown_versions(self.nullable(), self.message.versions)
                );
            }
        }
        if let Some(default) = &self.field.default
            && !["null", "0", "false", "\"\""].contains(&&default[..])
        {
            doc += &format!("; {} by default", shown_default(default));
        }
        if self.field.ignorable && present != self.message.versions {
            doc += "; silently left out of other versions";
        }
        doc.push('.');
        doc
    }

    pub(super) fn default(&self) -> String {
        if self.field.default.as_deref() == Some("null") || self.is_optional() {
            return "None".to_owned();
        }
        let value = match &self.field.ty {
            Type::Array(element) if **element == Type::Int32 => "Int32Array::new()".to_owned(),
            Type::Array(_) => "Vec::new()".to_owned(),
            Type::Structure(name) => format!("{}::default()", (self.rename)(name)),
            scalar => scalar_default(scalar, self.field.default.as_deref()),
        };
        if self.is_nullable() { format!("Some({value})") } else { value }
    }

    /// An expression that is true where `self.name` is not its default.
    pub(super) fn is_set(&self) -> String {
        let place = format!("self.{}", self.name());
        if self.default() == "None" {
            return format!("{place}.is_some()");
        }
        if self.is_nullable() {
            return match &self.field.ty {
                Type::Text | Type::Bytes | Type::Records | Type::Array(_) => {
                    format!("{place}.as_ref().is_none_or(|value| !value.is_empty())")
                }
                _ => format!("{place} != {}", self.default()),
            };
        }
        match &self.field.ty {
            Type::Bool if self.default() == "true" => format!("!{place}"),
            Type::Bool => place,
            Type::Text | Type::Bytes | Type::Records | Type::Array(_) => {
                format!("!{place}.is_empty()")
            }
            Type::Uuid => format!("!{place}.is_zero()"),
            _ => format!("{place} != {}", self.default()),
        }
    }

    /// Writes `self.name`; an expression of type `()`, or a `Result` if the second value says so.
    pub(super) fn write(&self) -> (String, bool) {
        let (path, name) = (self.path(), self.name());
        if let Some(method) = scalar_method(&self.field.ty) {
            return (format!("writer.{method}(self.{name})"), false);
        }
        if self.field.inflexible {
            let call =
                format!("writer.inflexible_nullable_string(\"{path}\", self.{name}.as_deref())");
            return (call, true);
        }
        let (kind, version) = compound(&self.field.ty);
        if self.is_optional() {
            let call =
                format!("writer.optional_structure(\"{path}\", self.{name}.as_deref(){version})");
            return (call, true);
        }
        if !self.is_nullable() {
            return (format!("writer.{kind}(\"{path}\", &self.{name}{version})"), true);
        }
        let view = if matches!(self.field.ty, Type::Records | Type::Structure(_)) {
            "as_ref"
        } else {
            "as_deref"
        };
        let (method, nullable) = (self.nullable_method(kind), self.null_condition());
        let call =
            format!("writer.{method}(\"{path}\", self.{name}.{view}(){version}, {nullable})");
        (call, true)
    }

    /// Reads `self.name`; an expression of type `()` that uses `?`.
    pub(super) fn read(&self) -> String {
        let (path, name) = (self.path(), self.name());
        if let Some(method) = scalar_method(&self.field.ty) {
            return format!("self.{name} = reader.{method}(\"{path}\")?");
        }
        if self.field.inflexible {
            return format!("reader.inflexible_nullable_string(\"{path}\", &mut self.{name})?");
        }
        let (kind, version) = compound(&self.field.ty);
        if self.is_optional() {
            return format!("reader.optional_structure(\"{path}\", &mut self.{name}{version})?");
        }
        if !self.is_nullable() {
            return format!("reader.{kind}(\"{path}\", &mut self.{name}{version})?");
        }
        let (method, nullable) = (self.nullable_method(kind), self.null_condition());
        format!("reader.{method}(\"{path}\", &mut self.{name}{version}, {nullable})?")
    }

    /// The method of a run that reads the field, and its bytes; `None` if its width varies.
    pub(super) fn fixed_width(&self) -> Option<(&'static str, usize)> {
        // Not the two that no message has beside another field of fixed width.
        let rare = matches!(self.field.ty, Type::Uint16 | Type::Float64);
        let method = scalar_method(&self.field.ty).filter(|_| !rare)?;
        Some((method, scalar_size(&self.field.ty)))
    }

    /// Whether the version has a null, where it has the field: an expression.
    fn null_condition(&self) -> String {
        condition(self.nullable(), self.present()).unwrap_or_else(|| "true".to_owned())
    }

    /// A structure's null depends on whether it is a tagged field.
    fn nullable_method(&self, kind: &str) -> String {
        match (&self.field.ty, self.field.tag) {
            (Type::Structure(_), Some(_)) => format!("tagged_nullable_{kind}"),
            _ => format!("nullable_{kind}"),
        }
    }

    /// Fewest bytes of the field in `version`, where it is not tagged.
    pub(super) fn min_size(&self, version: i16) -> usize {
        let flexible = self.message.is_flexible(version) && !self.field.inflexible;
        match &self.field.ty {
            Type::Text => {
                if flexible {
                    1
                } else {
                    2
                }
            }
            Type::Bytes | Type::Records | Type::Array(_) => {
                if flexible {
                    1
                } else {
                    4
                }
            }
            Type::Structure(_) if self.is_nullable() => 1,
            Type::Structure(name) => {
                let fields = self.message.structure(name).unwrap_or_default();
                structure_min_size(fields, self.message, version, self.rename)
            }
            scalar => scalar_size(scalar),
        }
    }
}

/// Fewest bytes of a structure of `fields` in `version`.
pub(super) fn structure_min_size(
    fields: &[Field],
    message: &Message,
    version: i16,
    rename: &dyn Fn(&str) -> String,
) -> usize {
    let sized = fields.iter().filter(|field| {
        let tagged = field.tag.is_some_and(|(_, versions)| versions.contains(version));
        field.versions.contains(version) && !tagged
    });
    let fields: usize =
        sized.map(|field| FieldCode { field, message, rename }.min_size(version)).sum();
    fields + usize::from(message.is_flexible(version))
}

/// A condition on `version` that holds for the `wanted` ones of `all`; `None` if for every one.
pub(super) fn condition(wanted: Versions, all: Versions) -> Option<String> {
    let wanted = wanted.and(all);
    if wanted.is_empty() {
        return Some("false".to_owned());
    }
    match (wanted.min > all.min, wanted.max < all.max) {
        (false, false) => None,
        (true, false) => Some(format!("version >= {}", wanted.min)),
        (false, true) => Some(format!("version <= {}", wanted.max)),
        (true, true) if wanted.min == wanted.max => Some(format!("version == {}", wanted.min)),
        (true, true) => Some(format!("({}..={}).contains(&version)", wanted.min, wanted.max)),
    }
}

/// A condition on `version` that holds for those of `all` that are not `wanted`.
pub(super) fn negated(wanted: Versions, all: Versions) -> String {
    let wanted = wanted.and(all);
    if wanted.is_empty() {
        return "true".to_owned();
    }
    match (wanted.min > all.min, wanted.max < all.max) {
        (true, false) => format!("version < {}", wanted.min),
        (false, true) => format!("version > {}", wanted.max),
        _ => format!("!({}..={}).contains(&version)", wanted.min, wanted.max),
    }
}

fn shown_default(default: &str) -> String {
    if default == "0x7fffffff" { "2147483647".to_owned() } else { default.replace('-', "−") }
}

/// `7+`, `0–3`, or `8–10`.
fn shown_versions(versions: Versions, all: Versions) -> String {
    if versions.max >= all.max {
        format!("{}+", versions.min)
    } else if versions.min == versions.max {
        format!("{} only", versions.min)
    } else {
        format!("{}–{}", versions.min, versions.max)
    }
}

/// The method that writes and reads a type without a length.
fn scalar_method(ty: &Type) -> Option<&'static str> {
    Some(match ty {
        Type::Bool => "bool",
        Type::Int8 => "i8",
        Type::Int16 => "i16",
        Type::Uint16 => "u16",
        Type::Int32 => "i32",
        Type::Int64 => "i64",
        Type::Float64 => "f64",
        Type::Uuid => "uuid",
        Type::Text | Type::Bytes | Type::Records | Type::Array(_) | Type::Structure(_) => {
            return None;
        }
    })
}

/// The method that writes and reads a type with a length, and its last argument.
fn compound(ty: &Type) -> (&'static str, &'static str) {
    match ty {
        Type::Text => ("string", ""),
        Type::Records => ("records", ""),
        Type::Array(element) if **element == Type::Int32 => ("int32_array", ""),
        Type::Array(_) => ("array", ", version"),
        Type::Structure(_) => ("structure", ", version"),
        _ => ("bytes", ""),
    }
}

fn scalar_type(ty: &Type) -> &'static str {
    match ty {
        Type::Text => "ByteString",
        Type::Bytes => "Bytes",
        Type::Records => "RecordChunks",
        Type::Uuid => "Uuid",
        other => scalar_method(other).unwrap_or("()"),
    }
}

fn scalar_default(ty: &Type, default: Option<&str>) -> String {
    match (ty, default) {
        (Type::Bool, default) => default.unwrap_or("false").to_owned(),
        (Type::Float64, default) => format!("{}.0", default.unwrap_or("0")),
        (Type::Text | Type::Bytes, _) => format!("{}::new()", scalar_type(ty)),
        (Type::Records | Type::Uuid, _) => format!("{}::default()", scalar_type(ty)),
        (_, None) => "0".to_owned(),
        (_, Some("-2147483648")) => "i32::MIN".to_owned(),
        (_, Some("0x7fffffff")) => "i32::MAX".to_owned(),
        (_, Some("9223372036854775807")) => "i64::MAX".to_owned(),
        (_, Some(number)) if number.len() > 4 => grouped(number),
        (_, Some(number)) => number.to_owned(),
    }
}

/// `60000` as `60_000`.
fn grouped(number: &str) -> String {
    let (head, tail) = number.split_at(number.len() - 3);
    format!("{head}_{tail}")
}

fn scalar_size(ty: &Type) -> usize {
    match ty {
        Type::Bool | Type::Int8 => 1,
        Type::Int16 | Type::Uint16 => 2,
        Type::Int32 => 4,
        Type::Uuid => 16,
        _ => 8,
    }
}
