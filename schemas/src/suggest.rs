//! "Did you mean …": the closest of the names that exist.

/// The known name most like `wrong`, if one is close enough to be meant.
pub fn closest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1.max(name.chars().count().max(lower.chars().count()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A hint for an unknown name: the closest one, or the list of what exists.
pub fn hint<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = closest(wrong, known.clone()) {
        return format!("did you mean {name}?");
    }
    let mut names: Vec<&str> = known.into_iter().collect();
    names.sort_unstable();
    match names.len() {
        0 => "there are none yet".to_owned(),
        1..=24 => format!("known: {}", names.join(", ")),
        more => format!("known: {} and {} more", names[..20].join(", "), more - 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_letter_is_recognised_and_another_word_is_not() {
        assert_eq!(closest("titel", ["title", "creator"]), Some("title"));
        assert_eq!(closest("banana", ["title", "creator"]), None);
        assert_eq!(hint("banana", ["title", "creator"]), "known: creator, title");
    }
}
