//! What elements of arrays take in memory, next to what they take on the wire.
//!
//! The reader refuses a message whose arrays would take more memory than [`LIMIT`] times its
//! bytes. Here it is shown that no honest message does, which a new schema might change.

use ottla_protocol::messages;
use ottla_protocol::wire::Wire;

use crate::support::every_element::every_element;

/// `MEMORY_PER_BYTE` of the reader.
const LIMIT: usize = 32;

/// Structures that exceed the limit if their strings are empty, with the strings that are not, and
/// how many bytes those have at least.
const NAMED: &[(&str, &str, usize)] = &[
    ("MemberIdentity", "a member id or a group instance id", 1),
    // There are 128 ids of one byte; what they take beyond the limit, the reader's free memory
    // holds.
    ("ListedGroup", "a group id", 2),
    ("OffsetFetchRequestGroup", "a group id", 1),
];

/// One structure, in one version in which it is an element of an array.
struct Element {
    name: &'static str,
    version: i16,
    in_memory: usize,
    on_the_wire: usize,
}

fn every_element() -> Vec<Element> {
    let mut elements = Vec::new();
    macro_rules! collect {
        ($($module:ident::$name:ident $min:literal $max:literal)*) => {
            $(elements.extend(($min..=$max).map(|version| Element {
                name: stringify!($name),
                version,
                in_memory: size_of::<messages::$module::$name>(),
                on_the_wire: messages::$module::$name::min_size(version),
            }));)*
        };
    }
    every_element!(collect);
    elements
}

#[test]
fn an_element_takes_bytes() {
    // Or a count could claim elements without end.
    for Element { name, version, on_the_wire, .. } in every_element() {
        assert_ne!(on_the_wire, 0, "{name} version {version}");
    }
}

#[test]
fn no_honest_element_takes_more_memory_than_the_reader_allows() {
    for Element { name, version, in_memory, on_the_wire } in every_element() {
        let named = NAMED.iter().find(|(named, ..)| *named == name);
        let on_the_wire = on_the_wire + named.map_or(0, |(.., bytes)| *bytes);
        assert!(
            in_memory <= LIMIT * on_the_wire,
            "{name} version {version}: {in_memory} bytes in memory, {on_the_wire} on the wire"
        );
    }
}

#[test]
fn every_exception_is_needed() {
    for (name, ..) in NAMED {
        let exceeds = |element: &Element| {
            element.name == *name && element.in_memory > LIMIT * element.on_the_wire
        };
        assert!(every_element().iter().any(exceeds), "{name} stays within the limit");
    }
}
