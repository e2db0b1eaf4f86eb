//! Names and other people's text, fit for a terminal.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What moves a terminal's cursor, or turns its text round.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text from a file or a process, fit for a terminal: what would steer it is shown as an escape.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.into() }).collect()
}

/// A name or path, fit for a terminal. One that is not UTF-8, or would steer the terminal, is shown as bash takes it:
/// `$'caf\xe9'`; so two names are never shown alike.
pub fn shown(name: impl AsRef<OsStr>) -> String {
    let name = name.as_ref();
    if let Some(text) = name.to_str().filter(|text| !text.contains(steers)) {
        return text.into();
    }
    let byte = |text: String, byte: &u8| text + &format!("\\x{byte:02x}");
    let inside = name.as_bytes().utf8_chunks().fold(String::new(), |mut text, chunk| {
        for c in chunk.valid().chars() {
            match c {
                c if steers(c) => text = c.encode_utf8(&mut [0; 4]).as_bytes().iter().fold(text, byte),
                '\\' | '\'' => text.extend(['\\', c]),
                c => text.push(c),
            }
        }
        chunk.invalid().iter().fold(text, byte)
    });
    format!("$'{inside}'")
}
