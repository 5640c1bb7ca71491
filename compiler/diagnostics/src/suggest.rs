//! "Did you mean": the name the user most probably had in mind.

/// Names longer than this are not compared: the distance is quadratic and nobody mistypes so much.
const LONGEST_NAME: usize = 64;

/// The candidate closest to `name`, if it is close enough to be worth saying.
///
/// Close enough is about one slip in three letters (insert, delete, replace or swap), or the same word in another case or
/// with other underscores. Ties go to the candidate that comes first.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.chars().count() > LONGEST_NAME {
        return None;
    }
    let plain = normalize(name);
    let letters = plain.chars().count();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST_NAME * 4 && *candidate != name)
        .map(|candidate| (strsim::damerau_levenshtein(&plain, &normalize(candidate)), candidate))
        .filter(|(distance, candidate)| {
            let longest = letters.max(normalize(candidate).chars().count());
            *distance <= longest.div_ceil(3).min(3) && *distance < longest
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint for an unknown name: ``did you mean `conv`?``, or the whole list when nothing is close and the list is short.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const SHORT_LIST: usize = 12;
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(best) = suggest(name, candidates.iter().copied()) {
        return Some(format!("did you mean `{best}`?"));
    }
    match candidates.as_slice() {
        [] => None,
        [only] => Some(format!("there is only `{only}`")),
        list if list.len() <= SHORT_LIST => Some(format!("there are `{}`", list.join("`, `"))),
        _ => None,
    }
}

/// `text` cut to at most `limit` characters, the cut shown as `…`: for quoting what the user wrote.
pub fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_string(),
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
    }
}

fn normalize(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: [&str; 7] = [
        "conv",
        "dense",
        "relu",
        "leaky_relu",
        "max_pool",
        "avg_pool",
        "batch_norm",
    ];

    #[test]
    fn close_names_are_suggested() {
        for (written, meant) in [
            ("cnov", "conv"),
            ("Conv", "conv"),
            ("conv2", "conv"),
            ("maxpool", "max_pool"),
            ("avgpool2d", "avg_pool"),
            ("BatchNorm", "batch_norm"),
            ("leakyrelu", "leaky_relu"),
            ("rleu", "relu"),
        ] {
            assert_eq!(suggest(written, LAYERS), Some(meant), "{written}");
        }
    }

    #[test]
    fn far_names_are_not() {
        for written in ["x", "attention", "lstm", "", "zzzz", &"conv".repeat(1000)] {
            assert_eq!(suggest(written, LAYERS), None, "{written}");
        }
        assert_eq!(suggest("a", ["b"]), None);
    }

    #[test]
    fn short_lists_are_told() {
        assert_eq!(did_you_mean("zzz", ["sgd", "adam"]).unwrap(), "there are `sgd`, `adam`");
        assert_eq!(did_you_mean("zzzzz", ["logits"]).unwrap(), "there is only `logits`");
        assert_eq!(did_you_mean("zzz", []), None);
    }

    #[test]
    fn quotes_are_cut() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abcde…");
    }
}
