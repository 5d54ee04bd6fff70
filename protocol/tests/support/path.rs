//! Whether the path of an error names a field that there is.

use ottla_codegen::schema::{Field, Message, Type};

/// Whether `path`, such as `topics[0].partitions`, leads to a field of `message` in `version`.
pub(crate) fn exists(message: &Message, version: i16, path: &str) -> bool {
    path == "end" || leads_to_field(message, &message.fields, version, path)
}

fn leads_to_field(message: &Message, fields: &[Field], version: i16, path: &str) -> bool {
    if path == "tagged_fields" {
        return message.is_flexible(version);
    }
    let (segment, rest) = path.split_once('.').unwrap_or((path, ""));
    let (name, index) = segment.split_once('[').unwrap_or((segment, ""));
    let named = |field: &&Field| field.name.to_lowercase() == name.replace('_', "");
    let mut present = fields.iter().filter(|field| field.versions.contains(version));
    let Some(field) = present.find(named) else { return false };
    let is_array = matches!(field.ty, Type::Array(_));
    if rest.is_empty() {
        return index.is_empty();
    }
    match field.ty.structure() {
        Some(inner) => {
            let fields = message.structure(inner).unwrap_or_default();
            is_array != index.is_empty() && leads_to_field(message, fields, version, rest)
        }
        None => is_array && rest == "value",
    }
}
