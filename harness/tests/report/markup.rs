//! Whether a page is well formed: every tag that opens closes, in order, and attributes are quoted.

/// Elements that have no end.
const VOID: [&str; 4] = ["meta", "link", "br", "img"];

/// Fails at the first tag that does not fit.
pub(crate) fn check(page: &str) {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a page of HTML 5");
    let mut open: Vec<&str> = Vec::new();
    while let Some(start) = rest.find('<') {
        let end = start + end_of_tag(&rest[start..]);
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> closes another element");
            continue;
        }
        let name =
            tag.split(|letter: char| !letter.is_ascii_alphanumeric()).next().expect("a part");
        assert!(!name.is_empty(), "a raw < before {tag:?}");
        if !VOID.contains(&name) {
            open.push(name);
        }
        if name == "script" || name == "style" {
            // What stands in these is no markup.
            let end = rest.find(&format!("</{name}>")).expect("an end");
            rest = &rest[end..];
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "elements that never close");
}

/// The place of the `>` that ends the tag at the start of `text`: the first that is not quoted.
fn end_of_tag(text: &str) -> usize {
    let mut quoted = false;
    for (place, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '>' if !quoted => return place,
            '<' if place > 0 => assert!(quoted, "a tag within a tag: {}", &text[..place]),
            _ => {}
        }
    }
    panic!("a tag without an end: {}", text.chars().take(60).collect::<String>());
}

#[test]
fn what_is_not_well_formed_is_found() {
    check("<!DOCTYPE html><p class=\"a > b\">text</p>");
    for wrong in ["<p><b></p></b>", "<p>", "</p>", "a < b<p></p>"] {
        let page = format!("<!DOCTYPE html>{wrong}");
        assert!(std::panic::catch_unwind(|| check(&page)).is_err(), "{wrong}");
    }
}
