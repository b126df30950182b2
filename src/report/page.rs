//! The page that shows the server in a browser. It reads the other documents, and needs nothing from elsewhere.

use super::Document;

const PAGE: &str = include_str!("page.html");

/// What goes before the page as `Content-Security-Policy`: its own script and style alone, by their hashes, and requests
/// to this server alone; nobody shows it in a frame. So a text that got into the page as markup would do nothing.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    script-src 'sha256-OcEImkpVfYjMev0ih4mUb/9ByxBMo36PIvYczcVl5j4='; \
    style-src 'sha256-c8j2Y0iq6X3jI5RdL/Ey8PvmdziR+VBn68GZROC39IU='; \
    img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

pub fn document() -> Document {
    Document::new("text/html; charset=utf-8", PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between<'a>(from: &str, to: &str) -> &'a str {
        let begin = PAGE.find(from).unwrap() + from.len();
        &PAGE[begin..begin + PAGE[begin..].find(to).unwrap()]
    }

    /// As base64 (RFC 4648 §4).
    fn hash(text: &str) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let letters = hash.as_ref().chunks(3).flat_map(|three| {
            let bits =
                three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
            (0..=three.len()).map(move |at| char::from(LETTERS[(bits >> (18 - 6 * at)) as usize & 63]))
        });
        letters.chain(['=']).collect()
    }

    #[test]
    fn the_policy_knows_the_script_and_the_style() {
        for (name, text) in
            [("script-src", between("<script>", "</script>")), ("style-src", between("<style>", "</style>"))]
        {
            let wanted = format!("{name} 'sha256-{}'", hash(text));
            assert!(
                CONTENT_SECURITY_POLICY.contains(&wanted),
                "the page was changed; the policy wants {wanted}"
            );
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_nothing_is_taken_for_markup() {
        let offences = [
            "src=",
            "@import",
            "url(",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "eval(",
            " style=",
            "document.write",
        ];
        assert!(offences.iter().all(|word| !PAGE.contains(word)));
        let addresses: Vec<_> = PAGE.match_indices("://").map(|(at, _)| &PAGE[at - 4..at + 13]).collect();
        assert_eq!(addresses, ["http://www.w3.org"], "the name of SVG alone");
    }
}
