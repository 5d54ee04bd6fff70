//! What the fuzz targets `request` and `response` start from.

use crate::sample::{Fill, Sample};
use crate::schema::{Kind, Schema};

/// A seed for every API, version and direction, as path below `protocol/` and bytes: the API's
/// number, the version, and a body with a value in every field.
#[must_use]
pub fn seeds(schemas: &[Schema]) -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for schema in schemas {
        let Some((code, api)) = &schema.api else { continue };
        for message in &schema.messages {
            let target = match message.kind {
                Kind::Request => "request",
                Kind::Response => "response",
                Kind::Data | Kind::Key | Kind::Value => continue,
            };
            for version in message.versions.iter() {
                let ([_, code], [_, number]) = (code.to_be_bytes(), version.to_be_bytes());
                let body = Sample::new(message, version, Fill::Numbered).bytes;
                let path = format!("../fuzz/seeds/{target}/{api}-{version}");
                seeds.push((path, [&[code, number], &body[..]].concat()));
            }
        }
    }
    seeds
}
