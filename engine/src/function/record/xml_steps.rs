//! Walks a record's tree along a path.
//!
//! A name without a prefix means every element of that name, whatever its namespace. A name with a prefix means the elements
//! written with that prefix; in a record that does not use the prefix at all it means the local name, because the same
//! source writes `<mods:title>` in one page and `<title xmlns="…">` in the next.

use std::borrow::Cow;

use super::xml_path::{Comparison, Condition, Name, Path, Paths, Predicate, Step, Test};
use super::xml_tree::{DOCUMENT, Tree};

/// Something a path leads to; in document order, an element before its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Node(usize),
    /// The element and the attribute.
    Attribute(usize, usize),
}

/// Hands the text of everything that `paths` lead to in a record to `emit`, in document order.
pub(super) fn walk(tree: &Tree, paths: &Paths, mut emit: impl FnMut(&str)) {
    let root = Found::Node(tree.root());
    let mut found: Vec<Found> = paths.0.iter().flat_map(|path| follow(tree, path, root)).collect();
    if paths.0.len() > 1 {
        in_order(&mut found);
    }
    found.into_iter().for_each(|found| emit(&text(tree, found)));
}

fn text(tree: &Tree, found: Found) -> Cow<'_, str> {
    match found {
        Found::Node(node) => tree.string_value(node),
        Found::Attribute(_, attribute) => Cow::Borrowed(tree.attribute_value(attribute)),
    }
}

fn follow(tree: &Tree, path: &Path, from: Found) -> Vec<Found> {
    let mut here = vec![if path.absolute { Found::Node(DOCUMENT) } else { from }];
    for step in &path.steps {
        if step.deep {
            here = here.into_iter().flat_map(|found| below(tree, found)).collect();
            in_order(&mut here);
        }
        let mut next = Vec::new();
        for found in &here {
            let start = next.len();
            candidates(tree, step, *found, &mut next);
            for predicate in &step.predicates {
                select(tree, predicate, &mut next, start);
            }
        }
        if here.len() > 1 {
            in_order(&mut next);
        }
        here = next;
    }
    here
}

fn in_order(found: &mut Vec<Found>) {
    found.sort_unstable();
    found.dedup();
}

fn below(tree: &Tree, found: Found) -> Vec<Found> {
    match found {
        Found::Node(node) => tree.descendants_and_self(node).map(Found::Node).collect(),
        Found::Attribute(..) => vec![found],
    }
}

fn candidates(tree: &Tree, step: &Step, from: Found, out: &mut Vec<Found>) {
    let node = match (from, &step.test) {
        (_, Test::Itself) => return out.push(from),
        (Found::Attribute(element, _), Test::Parent) => return out.push(Found::Node(element)),
        // An attribute has nothing below it.
        (Found::Attribute(..), _) => return,
        (Found::Node(node), _) => node,
    };
    match &step.test {
        Test::Itself => {}
        Test::Parent => out.extend((node != DOCUMENT).then(|| Found::Node(tree.parent(node)))),
        Test::AnyElement => out.extend(tree.children(node).filter(|child| tree.element_name(*child).is_some()).map(Found::Node)),
        Test::Element(name) => {
            let is_meant = |child: &usize| tree.element_name(*child).is_some_and(|written| matches(tree, name, written));
            out.extend(tree.children(node).filter(is_meant).map(Found::Node));
        }
        Test::Text => out.extend(tree.children(node).filter(|child| tree.is_text(*child)).map(Found::Node)),
        Test::AnyAttribute => out.extend(tree.attributes(node).map(|attribute| Found::Attribute(node, attribute))),
        Test::Attribute(name) => {
            let is_meant = |attribute: &usize| matches(tree, name, tree.attribute_name(*attribute));
            out.extend(tree.attributes(node).filter(is_meant).map(|attribute| Found::Attribute(node, attribute)));
        }
    }
}

fn matches(tree: &Tree, name: &Name, written: &str) -> bool {
    let (prefix, local) = written.split_once(':').map_or((None, written), |(prefix, local)| (Some(prefix), local));
    local == name.local
        && match &name.prefix {
            None => true,
            Some(wanted) => prefix == Some(wanted.as_str()) || !tree.has_prefix(wanted),
        }
}

/// Keeps what the predicate allows of the candidates from `start` on.
fn select(tree: &Tree, predicate: &Predicate, found: &mut Vec<Found>, start: usize) {
    match predicate {
        Predicate::Position(position) => {
            let kept = found.get(start + position - 1).copied();
            found.truncate(start);
            found.extend(kept);
        }
        Predicate::Last => {
            let kept = found[start..].last().copied();
            found.truncate(start);
            found.extend(kept);
        }
        Predicate::Condition(condition) => {
            let kept: Vec<Found> = found.drain(start..).filter(|found| holds(tree, condition, *found)).collect();
            found.extend(kept);
        }
    }
}

fn holds(tree: &Tree, condition: &Condition, at: Found) -> bool {
    match condition {
        Condition::Exists(path) => !follow(tree, path, at).is_empty(),
        Condition::Compare { path, comparison, text: wanted } => follow(tree, path, at).into_iter().any(|found| {
            let text = text(tree, found);
            match comparison {
                Comparison::Equal => text == wanted.as_str(),
                Comparison::NotEqual => text != wanted.as_str(),
                Comparison::Contains => text.contains(wanted.as_str()),
                Comparison::StartsWith => text.starts_with(wanted.as_str()),
            }
        }),
        Condition::Not(inner) => !holds(tree, inner, at),
        Condition::And(all) => all.iter().all(|inner| holds(tree, inner, at)),
        Condition::Or(any) => any.iter().any(|inner| holds(tree, inner, at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "<mods:mods xmlns:mods='m' version='3.5'>\
        <mods:titleInfo><mods:title>Mills</mods:title></mods:titleInfo>\
        <mods:titleInfo type='alternative'><mods:title>The mills</mods:title><mods:subTitle>of Ohio</mods:subTitle></mods:titleInfo>\
        <mods:name type='personal'><mods:namePart>Ada</mods:namePart><mods:role><mods:roleTerm>creator</mods:roleTerm></mods:role></mods:name>\
        <mods:name><mods:namePart>Ben</mods:namePart><mods:role><mods:roleTerm>donor</mods:roleTerm></mods:role></mods:name>\
        <mods:note>one <b>bold</b> word</mods:note>\
        </mods:mods>";

    fn found(xml: &str, path: &str) -> Vec<String> {
        let mut tree = Tree::default();
        tree.read(xml);
        let mut out = Vec::new();
        walk(&tree, &Paths::parse(path).unwrap(), |text| out.push(text.to_owned()));
        out
    }

    #[test]
    fn steps_lead_to_elements_attributes_and_text() {
        for (path, expected) in [
            ("titleInfo/title", vec!["Mills", "The mills"]),
            ("/mods/titleInfo/title", vec!["Mills", "The mills"]),
            ("//title", vec!["Mills", "The mills"]),
            ("/mods//roleTerm", vec!["creator", "donor"]),
            ("mods:titleInfo/mods:title", vec!["Mills", "The mills"]),
            ("dc:titleInfo/title", vec!["Mills", "The mills"]),
            ("titleInfo/*", vec!["Mills", "The mills", "of Ohio"]),
            ("@version", vec!["3.5"]),
            ("titleInfo/@type", vec!["alternative"]),
            ("//@type", vec!["alternative", "personal"]),
            ("//@*", vec!["3.5", "alternative", "personal"]),
            ("note", vec!["one bold word"]),
            ("note/text()", vec!["one ", " word"]),
            ("note/.", vec!["one bold word"]),
            ("//subTitle/../title", vec!["The mills"]),
            ("//subTitle | //title", vec!["Mills", "The mills", "of Ohio"]),
            ("/titleInfo", vec![]),
            ("title", vec![]),
        ] {
            assert_eq!(found(RECORD, path), expected, "{path}");
        }
    }

    #[test]
    fn predicates_choose_among_siblings() {
        for (path, expected) in [
            ("titleInfo[1]/title", vec!["Mills"]),
            ("titleInfo[last()]/title", vec!["The mills"]),
            ("titleInfo[3]/title", vec![]),
            ("//title[1]", vec!["Mills", "The mills"]),
            ("titleInfo[@type]/title", vec!["The mills"]),
            ("titleInfo[not(@type)]/title", vec!["Mills"]),
            ("titleInfo[@type='alternative']/title", vec!["The mills"]),
            ("titleInfo[@type!='alternative']/title", vec![]),
            ("name[role/roleTerm='creator']/namePart", vec!["Ada"]),
            ("name[contains(namePart, 'e')]/namePart", vec!["Ben"]),
            ("//title[starts-with(., 'The')]", vec!["The mills"]),
            ("//namePart[text()='Ada' or .='Ben']", vec!["Ada", "Ben"]),
            ("name[@type='personal' and (namePart='Ben' or namePart='Ada')]/namePart", vec!["Ada"]),
            ("name[role/roleTerm='donor'][1]/namePart", vec!["Ben"]),
            ("*[//subTitle]/title[../subTitle]", vec!["The mills"]),
        ] {
            assert_eq!(found(RECORD, path), expected, "{path}");
        }
    }

    #[test]
    fn a_prefix_that_the_record_uses_tells_names_apart() {
        let xml = "<r><dc:rights>a</dc:rights><edm:rights>b</edm:rights><rights>c</rights></r>";
        assert_eq!(found(xml, "edm:rights"), ["b"]);
        assert_eq!(found(xml, "rights"), ["a", "b", "c"]);
        assert_eq!(found("<r><rights>c</rights></r>", "edm:rights"), ["c"]);
    }
}
