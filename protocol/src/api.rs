//! The table of APIs, and what is generated from its rows.

/// Declares [`ApiKey`](crate::ApiKey), [`AnyRequest`](crate::AnyRequest) and
/// [`AnyResponse`](crate::AnyResponse) from rows of: code, name, request, response, highest stable
/// version, documentation.
macro_rules! api_table {
    ($($code:literal $name:ident $request:ident $response:ident $stable:literal $doc:literal)*) => {
        /// An API: a kind of request together with its kind of response.
        ///
        /// Those that a client, or the side of a broker that faces clients, speaks in Apache Kafka
        /// 4.4.0; Java's `ApiKeys`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ApiKey {
            $(#[doc = $doc] $name = $code,)*
        }

        impl ApiKey {
            /// Every API, by ascending code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The API whose number is `code`, if it is known here.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its number on the wire.
            #[must_use]
            pub const fn code(self) -> i16 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Kafka's name for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The versions that can be encoded and decoded, unstable ones included.
            #[must_use]
            pub const fn versions(self) -> crate::VersionRange {
                match self {
                    $(Self::$name => <$request as crate::Message>::VERSIONS,)*
                }
            }

            /// The versions to announce and to choose from: Kafka hides an unstable one by default
            /// (`unstable.api.versions.enable`).
            #[must_use]
            pub const fn stable_versions(self) -> crate::VersionRange {
                let all = self.versions();
                match self {
                    $(Self::$name => crate::VersionRange::new(all.min, $stable),)*
                }
            }

            /// The first version with compact lengths and tagged fields (KIP-482).
            #[must_use]
            pub const fn first_flexible(self) -> i16 {
                match self {
                    $(Self::$name => <$request as crate::Message>::FIRST_FLEXIBLE,)*
                }
            }
        }

        /// A request of any API.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum AnyRequest {
            $(#[doc = $doc] $name($request),)*
        }

        impl AnyRequest {
            /// Takes the request of `api` off the front of `reader`.
            ///
            /// # Errors
            ///
            /// [`DecodeError`](crate::DecodeError), when `version` is unknown or the bytes are not
            /// such a request.
            pub fn decode_from(
                api: ApiKey,
                reader: &mut crate::wire::Reader<'_>,
                version: i16,
            ) -> Result<Self, crate::DecodeError> {
                match api {
                    $(ApiKey::$name => crate::Message::decode_from(reader, version).map(Self::$name),)*
                }
            }

            /// Appends the request to `writer`.
            ///
            /// # Errors
            ///
            /// [`EncodeError`](crate::EncodeError), when `version` is unknown or cannot carry the
            /// request.
            pub fn encode_into(
                &self,
                writer: &mut crate::wire::Writer,
                version: i16,
            ) -> Result<(), crate::EncodeError> {
                match self {
                    $(Self::$name(request) => crate::Message::encode_into(request, writer, version),)*
                }
            }

            /// The API it belongs to.
            #[must_use]
            pub const fn api(&self) -> ApiKey {
                match self {
                    $(Self::$name(_) => ApiKey::$name,)*
                }
            }

            /// Kafka's name for it, such as `MetadataRequest`.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => <$request as crate::Message>::NAME,)*
                }
            }
        }

        /// A response of any API.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum AnyResponse {
            $(#[doc = $doc] $name($response),)*
        }

        impl AnyResponse {
            /// Takes the response of `api` off the front of `reader`.
            ///
            /// # Errors
            ///
            /// [`DecodeError`](crate::DecodeError), when `version` is unknown or the bytes are not
            /// such a response.
            pub fn decode_from(
                api: ApiKey,
                reader: &mut crate::wire::Reader<'_>,
                version: i16,
            ) -> Result<Self, crate::DecodeError> {
                match api {
                    $(ApiKey::$name => crate::Message::decode_from(reader, version).map(Self::$name),)*
                }
            }

            /// Appends the response to `writer`.
            ///
            /// # Errors
            ///
            /// [`EncodeError`](crate::EncodeError), when `version` is unknown or cannot carry the
            /// response.
            pub fn encode_into(
                &self,
                writer: &mut crate::wire::Writer,
                version: i16,
            ) -> Result<(), crate::EncodeError> {
                match self {
                    $(Self::$name(response) => crate::Message::encode_into(response, writer, version),)*
                }
            }

            /// The API it belongs to.
            #[must_use]
            pub const fn api(&self) -> ApiKey {
                match self {
                    $(Self::$name(_) => ApiKey::$name,)*
                }
            }

            /// Kafka's name for it, such as `MetadataResponse`.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => <$response as crate::Message>::NAME,)*
                }
            }
        }

        $(
            impl From<$request> for AnyRequest {
                fn from(request: $request) -> Self {
                    Self::$name(request)
                }
            }

            impl From<$response> for AnyResponse {
                fn from(response: $response) -> Self {
                    Self::$name(response)
                }
            }
        )*
    };
}

pub(crate) use api_table;

use crate::ApiKey;
use std::fmt;

impl ApiKey {
    /// Whether `version` has compact lengths and tagged fields.
    #[must_use]
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.first_flexible()
    }

    /// The version of the header in front of a request in `version`, known here or not.
    #[must_use]
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of the header in front of a response in `version`.
    ///
    /// That of `ApiVersions` never changes, because the client does not know yet what the broker
    /// speaks (KIP-511).
    #[must_use]
    pub const fn response_header_version(self, version: i16) -> i16 {
        match self {
            Self::ApiVersions => 0,
            _ if self.is_flexible(version) => 1,
            _ => 0,
        }
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
