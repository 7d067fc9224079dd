//! References, the registry client, pull and unpack.
