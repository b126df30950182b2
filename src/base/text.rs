//! Texts.

/// The beginning of a text that is not longer.
pub fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!([cut("äöü", 3), cut("äöü", 0), cut("äöü", 9)], ["ä", "", "äöü"]);
    }
}
