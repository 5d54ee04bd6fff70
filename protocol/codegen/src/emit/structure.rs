//! One structure: its declaration, its default, and its bytes.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::field::{FieldCode, condition, negated, structure_min_size};
use super::shown;
use crate::schema::{Field, Message, Type, Versions};

/// Every structure of a message, the message itself first.
pub(super) struct Structures<'a> {
    message: &'a Message,
    renamed: BTreeMap<String, String>,
}

/// The structures that a message describes, with their fields, in the order of the file.
pub(super) fn described(message: &Message) -> Vec<(&str, &[Field])> {
    fn nested<'a>(fields: &'a [Field], found: &mut Vec<(&'a str, &'a [Field])>) {
        for field in fields {
            if let Some(name) = field.ty.structure()
                && !field.fields.is_empty()
            {
                found.push((name, &field.fields));
                nested(&field.fields, found);
            }
        }
    }
    let mut found = Vec::new();
    nested(&message.fields, &mut found);
    for structure in &message.common {
        found.push((&structure.name, &structure.fields));
        nested(&structure.fields, &mut found);
    }
    found
}

impl<'a> Structures<'a> {
    pub(super) fn new(message: &'a Message, taken: &BTreeMap<String, usize>) -> Self {
        let clashing =
            described(message).into_iter().filter(|(name, _)| taken.get(*name) > Some(&1));
        let renamed =
            clashing.map(|(name, _)| (name.to_owned(), format!("{}{name}", message.name)));
        Self { message, renamed: renamed.collect() }
    }

    pub(super) fn write_all(&self, out: &mut String) {
        let Message { name, versions, flexible, .. } = self.message;
        let mut doc = format!("{}, versions {}–{}", shown(name), versions.min, versions.max);
        if let Some(first) = flexible {
            let _ = write!(doc, ", flexible from {first} on");
        }
        if self.message.unstable_latest {
            let _ = write!(doc, "; version {} is not stable yet", versions.max);
        }
        self.write(out, name, &doc, &self.message.fields);
        for (inner, fields) in described(self.message) {
            self.write(
                out,
                &self.rename(inner),
                &format!("{} of [`{name}`]", shown(inner)),
                fields,
            );
        }
    }

    /// The structures that are elements of arrays, by their Rust names, and the versions from the
    /// first to the last in which they are.
    pub(super) fn elements(&self) -> BTreeMap<String, Versions> {
        let mut elements = BTreeMap::new();
        self.collect_elements(&self.message.fields, self.message.versions, &mut elements);
        elements
    }

    fn collect_elements(
        &self,
        fields: &[Field],
        reached: Versions,
        elements: &mut BTreeMap<String, Versions>,
    ) {
        for field in fields {
            let reached = field.versions.and(reached);
            let Some(name) = field.ty.structure().filter(|_| !reached.is_empty()) else { continue };
            if matches!(field.ty, Type::Array(_)) {
                let known = elements.entry(self.rename(name)).or_insert(reached);
                *known = known.hull(reached);
            }
            let fields = self.message.structure(name).unwrap_or_default();
            self.collect_elements(fields, reached, elements);
        }
    }

    fn rename(&self, name: &str) -> String {
        self.renamed.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    fn write(&self, out: &mut String, name: &str, doc: &str, fields: &[Field]) {
        let rename = |name: &str| self.rename(name);
        let fields: Vec<_> = fields
            .iter()
            .filter(|field| !field.versions.and(self.message.versions).is_empty())
            .map(|field| FieldCode { field, message: self.message, rename: &rename })
            .collect();
        self.write_declaration(out, name, doc, &fields);
        self.write_default(out, name, &fields);
        let min_size = self.min_size(&fields);
        let (write, read) = (self.body_of_write(&fields), self.body_of_read(&fields));
        let argument = |name: &str, body: &str| {
            if super::mentions(body, name) { name.to_owned() } else { "_".to_owned() }
        };
        let _ = write!(
            out,
            "\nimpl Wire for {name} {{\n    fn min_size({}: i16) -> usize {{\n        {min_size}\n    }}\n\n    \
             fn write(&self, {}: &mut Writer, {}: i16) -> Result<(), EncodeError> {{\n{write}        Ok(())\n    }}\n\n    \
             fn read_into(&mut self, {}: &mut Reader<'_>, {}: i16) -> Result<(), DecodeError> {{\n{read}        Ok(())\n    }}\n}}\n",
            argument("version", &min_size),
            argument("writer", &write),
            argument("version", &write),
            argument("reader", &read),
            argument("version", &read),
        );
    }

    fn write_declaration(&self, out: &mut String, name: &str, doc: &str, fields: &[FieldCode<'_>]) {
        let eq = if self.has_floats() { "" } else { ", Eq" };
        let default = if defaults_are_derived(fields) { ", Default" } else { "" };
        let _ = write!(
            out,
            "\n/// {doc}.\n#[derive(Debug, Clone, PartialEq{eq}{default})]\npub struct {name} {{\n"
        );
        for field in fields {
            let _ = writeln!(
                out,
                "    /// {}\n    pub {}: {},",
                field.doc(),
                field.name(),
                field.rust_type()
            );
        }
        if self.message.flexible.is_some() {
            let _ = writeln!(
                out,
                "    /// Tagged fields that are not known here.\n    pub unknown_tagged_fields: UnknownTaggedFields,"
            );
        }
        out.push_str("}\n");
    }

    fn has_floats(&self) -> bool {
        fn any(fields: &[Field]) -> bool {
            fields.iter().any(|field| field.ty == Type::Float64 || any(&field.fields))
        }
        any(&self.message.fields) || self.message.common.iter().any(|common| any(&common.fields))
    }

    fn write_default(&self, out: &mut String, name: &str, fields: &[FieldCode<'_>]) {
        if defaults_are_derived(fields) {
            return;
        }
        let _ = write!(
            out,
            "\nimpl Default for {name} {{\n    fn default() -> Self {{\n        Self {{\n"
        );
        for field in fields {
            let _ = writeln!(out, "            {}: {},", field.name(), field.default());
        }
        if self.message.flexible.is_some() {
            out.push_str("            unknown_tagged_fields: UnknownTaggedFields::new(),\n");
        }
        out.push_str("        }\n    }\n}\n");
    }

    /// An expression for the fewest bytes in each version.
    fn min_size(&self, fields: &[FieldCode<'_>]) -> String {
        let rename = |name: &str| self.rename(name);
        let owned: Vec<Field> = fields.iter().map(|field| field.field.clone()).collect();
        let mut ranges: Vec<(Versions, usize)> = Vec::new();
        for version in self.message.versions.iter() {
            let size = structure_min_size(&owned, self.message, version, &rename);
            match ranges.last_mut() {
                Some((range, last)) if *last == size => range.max = version,
                _ => ranges.push((Versions { min: version, max: version }, size)),
            }
        }
        let Some(((_, last), earlier)) = ranges.split_last() else { return "0".to_owned() };
        if earlier.is_empty() {
            return last.to_string();
        }
        let mut arms = String::new();
        for (range, size) in earlier {
            let _ = writeln!(arms, "            {} => {size},", arm(*range));
        }
        format!("match version {{\n{arms}            _ => {last},\n        }}")
    }

    fn body_of_write(&self, fields: &[FieldCode<'_>]) -> String {
        let mut body = String::new();
        for field in fields {
            self.write_field(&mut body, field);
        }
        let Some(first) = self.message.flexible else { return body };
        let tagged: Vec<_> = fields.iter().filter(|field| field.field.tag.is_some()).collect();
        let mut inside = String::new();
        write_tagged(&mut inside, &tagged);
        let flexible = Versions { min: first, max: i16::MAX };
        match condition(flexible, self.message.versions) {
            None => body.push_str(&indented(&inside, 2)),
            Some(condition) => {
                let _ = write!(
                    body,
                    "        if {condition} {{\n{}        }} else if !self.unknown_tagged_fields.is_empty() {{\n            \
                     return Err(EncodeError::unsupported(\"unknown_tagged_fields\", version));\n        }}\n",
                    indented(&inside, 3)
                );
            }
        }
        body
    }

    /// Writes a field that is not tagged, and refuses one that is set where it has no place.
    fn write_field(&self, body: &mut String, field: &FieldCode<'_>) {
        let refuse = format!(
            "return Err(EncodeError::unsupported(\"{}\", version));",
            super::path_name(&field.field.name)
        );
        let (call, fallible) = field.write();
        let call = if fallible { format!("{call}?;") } else { format!("{call};") };
        let may_be_absent = field.condition(field.present());
        let refused = !field.field.ignorable;
        let _ = match (may_be_absent, field.field.tag.is_some()) {
            (None, true) => Ok(()),
            (None, false) => writeln!(body, "        {call}"),
            (Some(_), true) if !refused => Ok(()),
            (Some(_), true) => {
                let absent = negated(field.present(), self.message.versions);
                let is_set = field.is_set();
                writeln!(
                    body,
                    "        if {absent} && {is_set} {{\n            {refuse}\n        }}"
                )
            }
            (Some(present), false) if refused => writeln!(
                body,
                "        if {present} {{\n            {call}\n        }} else if {} {{\n            {refuse}\n        }}",
                field.is_set()
            ),
            (Some(present), false) => {
                writeln!(body, "        if {present} {{\n            {call}\n        }}")
            }
        };
    }

    fn body_of_read(&self, fields: &[FieldCode<'_>]) -> String {
        let mut body = String::new();
        let untagged =
            fields.iter().zip(runs(fields)).filter(|(field, _)| field.field.tag.is_none());
        for (field, run) in untagged {
            let name = field.name();
            let _ = match (run, field.condition(field.present())) {
                (Some(Run { begin, method }), _) => {
                    body.extend(begin.map(|begin| format!("        {begin}\n")));
                    writeln!(body, "        self.{name} = run.{method}();")
                }
                (None, None) => writeln!(body, "        {};", field.read()),
                (None, Some(present)) => writeln!(
                    body,
                    "        if {present} {{\n            {};\n        }}",
                    field.read()
                ),
            };
        }
        let Some(first) = self.message.flexible else { return body };
        let tagged: Vec<_> = fields.iter().filter(|field| field.field.tag.is_some()).collect();
        let mut inside = String::new();
        read_tagged(&mut inside, &tagged);
        match condition(Versions { min: first, max: i16::MAX }, self.message.versions) {
            None => body.push_str(&indented(&inside, 2)),
            Some(condition) => {
                let _ =
                    write!(body, "        if {condition} {{\n{}        }}\n", indented(&inside, 3));
            }
        }
        body
    }
}

/// How to read a field that is one of a run: what takes the run off the reader, for the first one,
/// and the method that takes the field off the run.
#[derive(Clone)]
struct Run {
    begin: Option<String>,
    method: &'static str,
}

/// How to read those of `fields` that are read in runs: neighbours of fixed width that every version
/// has, checked for all at once.
fn runs(fields: &[FieldCode<'_>]) -> Vec<Option<Run>> {
    let width = |field: &FieldCode<'_>| {
        let always = field.field.tag.is_none() && field.condition(field.present()).is_none();
        always.then(|| field.fixed_width()).flatten()
    };
    let mut reads = vec![None; fields.len()];
    let mut start = 0;
    while start < fields.len() {
        let run: Vec<_> = fields
            .get(start..)
            .unwrap_or_default()
            .iter()
            .map_while(|field| Some((field, width(field)?)))
            .collect();
        if run.len() > 1 {
            let total: usize = run.iter().map(|(_, (_, width))| width).sum();
            let parts: Vec<_> = run
                .iter()
                .map(|(field, (_, width))| {
                    format!("(\"{}\", {width})", super::path_name(&field.field.name))
                })
                .collect();
            let begin = format!("let mut run = reader.run::<{total}>(&[{}])?;", parts.join(", "));
            let mut begin = Some(begin);
            for (slot, (_, (method, _))) in reads.iter_mut().skip(start).zip(&run) {
                *slot = Some(Run { begin: begin.take(), method });
            }
        }
        start += run.len().max(1);
    }
    reads
}

/// The tagged fields that end a structure, in the order of their tags.
fn write_tagged(inside: &mut String, tagged: &[&FieldCode<'_>]) {
    let mut tagged: Vec<_> =
        tagged.iter().filter_map(|field| Some((field.field.tag?, *field))).collect();
    tagged.sort_by_key(|((tag, _), _)| *tag);
    let set = |versions: Versions, field: &FieldCode<'_>| match condition(
        versions,
        flexible_versions(field.message),
    ) {
        None => field.is_set(),
        Some(condition) => {
            let is_set = field.is_set();
            let is_set = if is_set.contains("||") { format!("({is_set})") } else { is_set };
            format!("{condition} && {is_set}")
        }
    };
    if tagged.is_empty() {
        inside.push_str("writer.tagged_field_count(0, &self.unknown_tagged_fields);\n");
        inside.push_str("writer.unknown_tagged_fields(&self.unknown_tagged_fields, -1)?;\n");
        return;
    }
    inside.push_str("let mut known = 0;\nlet mut last = -1;\n");
    for ((tag, versions), field) in &tagged {
        let _ = writeln!(
            inside,
            "if {} {{\n    known += 1;\n    last = {tag};\n}}",
            set(*versions, field)
        );
    }
    inside.push_str("writer.tagged_field_count(known, &self.unknown_tagged_fields);\n");
    for ((tag, versions), field) in &tagged {
        let (call, fallible) = field.write();
        let content = if fallible { call } else { format!("{{ {call}; Ok(()) }}") };
        let _ = writeln!(
            inside,
            "if {} {{\n    writer.tagged_field({tag}, |writer| {content})?;\n}}",
            set(*versions, field)
        );
    }
    inside.push_str("writer.unknown_tagged_fields(&self.unknown_tagged_fields, last)?;\n");
}

fn read_tagged(inside: &mut String, tagged: &[&FieldCode<'_>]) {
    if tagged.is_empty() {
        inside.push_str("reader.tagged_fields(&mut self.unknown_tagged_fields)?;\n");
        return;
    }
    inside.push_str("reader.known_tagged_fields(&mut self.unknown_tagged_fields, |tag, reader| {\n    match tag {\n");
    for field in tagged {
        let Some((tag, versions)) = field.field.tag else { continue };
        let first = field.message.flexible.unwrap_or(i16::MAX);
        let all = Versions {
            min: first.max(field.message.versions.min),
            max: field.message.versions.max,
        };
        let guard =
            condition(versions, all).map_or_else(String::new, |guard| format!(" if {guard}"));
        let _ = writeln!(inside, "        {tag}{guard} => {},", field.read());
    }
    inside.push_str("        _ => return Ok(false),\n    }\n    Ok(true)\n})?;\n");
}

/// The versions of `message` that have tagged fields.
fn flexible_versions(message: &Message) -> Versions {
    message.versions.and(Versions { min: message.flexible.unwrap_or(i16::MAX), max: i16::MAX })
}

/// Whether each field's default is that of its Rust type.
fn defaults_are_derived(fields: &[FieldCode<'_>]) -> bool {
    fields.iter().all(|field| {
        let default = field.default();
        let plain = ["0", "0.0", "false", "None"].contains(&&default[..]);
        plain || default.ends_with("::new()") || default.ends_with("::default()")
    })
}

/// The pattern that matches `range`.
fn arm(range: Versions) -> String {
    if range.min == range.max {
        range.min.to_string()
    } else {
        format!("{}..={}", range.min, range.max)
    }
}

fn indented(text: &str, steps: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", "    ".repeat(steps))).collect()
}
