//! What owners may type.

/// What a text may be.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    pub length_min: usize,
    pub length_max: usize,
    /// Line breaks and tabs are welcome.
    pub lines: bool,
}

impl Text {
    /// Whatever parses it says what is wrong.
    pub const ANY: Text = Text { length_min: 0, length_max: 4_096, lines: false };

    pub const fn line(length_min: usize, length_max: usize) -> Self {
        Self { length_min, length_max, lines: false }
    }

    /// Lengths are in characters. Control characters have no business in a name: they forge lines
    /// in logs and fields in headers, and steer terminals. Nor have those that turn the direction
    /// of what stands around them.
    pub fn check(self, text: &str) -> Result<(), String> {
        let length = text.chars().count();
        if length < self.length_min {
            return Err(format!("must be at least {} characters long", self.length_min));
        }
        if length > self.length_max {
            return Err(format!("must be at most {} characters long", self.length_max));
        }
        let is_line = |character| self.lines && matches!(character, '\n' | '\r' | '\t');
        if text.chars().any(|character| is_steering(character) && !is_line(character)) {
            return Err("must not contain control characters".to_owned());
        }
        if self.length_min > 0 && text.chars().all(is_unseen) {
            return Err("must not be blank".to_owned());
        }
        Ok(())
    }
}

/// Whether a character does something to what stands around it instead of being seen.
pub fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(character, '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2066}'..='\u{2069}')
}

/// Whether a character leaves no mark where it stands: alone, a name of such is none.
fn is_unseen(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}')
        || matches!(character, '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// A name as an error shows it: in one line and not too long.
pub(super) fn shown(name: &str) -> String {
    const SHOWN_MAX: usize = 64;
    name.chars().filter(|character| !character.is_control()).take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_could_forge_a_line_or_turn_one_around_is_refused() {
        for text in ["a\nb", "a\r\nb", "\u{1b}[31m", "a\0", "\u{202e}gnp", "\u{85}", "\u{61c}a"] {
            assert!(Text::line(0, 100).check(text).is_err(), "{text:?}");
        }
        assert!(Text { lines: true, ..Text::line(0, 100) }.check("a\n\tb").is_ok());
    }

    #[test]
    fn a_name_that_nobody_sees_is_blank() {
        for text in ["  ", "\u{200b}", "\u{feff}", " \u{ad}\u{2060}\u{200d}"] {
            assert_eq!(Text::line(1, 100).check(text), Err("must not be blank".to_owned()));
            assert!(Text::line(0, 100).check(text).is_ok());
        }
        // Between others they join what is one sign.
        assert!(Text::line(1, 100).check("\u{1f469}\u{200d}\u{1f680}").is_ok());
    }
}
