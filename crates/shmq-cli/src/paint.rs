//! Colours: on a terminal only, and not if NO_COLOR says so (<https://no-color.org>).

use std::io::{IsTerminal, stdout};

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Yellow,
    Green,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// For what goes to standard output.
    pub fn stdout() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self(stdout().is_terminal() && !set("NO_COLOR") && !dumb)
    }

    pub fn style(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Yellow => "33",
            Style::Green => "32",
            Style::Plain => return text.into(),
        };
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_gets_colours() {
        assert_eq!(Paint(true).style(Style::Red, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(Paint(false).style(Style::Red, "x"), "x");
        assert_eq!(Paint(true).style(Style::Plain, "x"), "x");
    }
}
