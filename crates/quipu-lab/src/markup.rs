//! Text that stands in HTML or XML.

/// Returns a text as it stands between tags and in quoted attributes. Characters that XML cannot
/// hold become U+FFFD, so that a name from outside never breaks a document.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(char),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            char if char.is_control() => safe.push('\u{fffd}'),
            char => safe.push(char),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_text_ends_a_tag_or_an_attribute() {
        let hostile = "<img src=x onerror='a'>&\"\u{0}\u{1b}\n";
        let safe = "&lt;img src=x onerror=&#39;a&#39;&gt;&amp;&quot;\u{fffd}\u{fffd}\n";
        assert_eq!(escaped(hostile), safe);
    }
}
