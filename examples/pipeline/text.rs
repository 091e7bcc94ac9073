//! Files, pieces and words: the work itself, without a socket in sight.
//!
//! The same folder gives the same pieces in the same order to whoever asks, so their numbers mean the same to
//! the ventilator that hands them out and to the sink that checks the result.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io, iter};

pub(crate) type Counts = HashMap<String, u64>;

/// The least bytes in a piece but the last of a file: some twenty lines.
const PIECE: usize = 1024;

/// Folders that hold no text of ours.
const SKIPPED: [&str; 2] = [".git", "target"];

/// The files below a folder, sorted, with their text. What is not UTF-8 becomes `�`. Links are not followed.
pub(crate) fn files(folder: &Path) -> impl Iterator<Item = (PathBuf, io::Result<String>)> + use<> {
    // With a slash behind it, the folder itself may be a link.
    let mut waiting = vec![folder.join("")];
    iter::from_fn(move || {
        loop {
            let path = waiting.pop()?;
            let entry = match fs::symlink_metadata(&path) {
                Ok(entry) if entry.is_dir() => fs::read_dir(&path).map(|entries| {
                    let below = entries.filter_map(|entry| Some(entry.ok()?.path()));
                    let mut below: Vec<_> =
                        below.filter(|path| !SKIPPED.iter().any(|name| path.ends_with(name))).collect();
                    below.sort_by(|a, b| b.cmp(a));
                    waiting.append(&mut below);
                    None
                }),
                Ok(entry) if entry.is_file() => {
                    fs::read(&path).map(|bytes| Some(String::from_utf8_lossy(&bytes).into_owned()))
                }
                Ok(_) => continue,
                Err(error) => Err(error),
            };
            if let Some(text) = entry.transpose() {
                return Some((path, text));
            }
        }
    })
}

/// A text in pieces that cut no word.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    iter::from_fn(move || {
        let mut ends = rest.char_indices().skip_while(|(at, _)| *at < PIECE);
        let end = ends.find(|(_, c)| !c.is_alphanumeric()).map_or(rest.len(), |(at, _)| at);
        let piece;
        (piece, rest) = rest.split_at(end);
        (!piece.is_empty()).then_some(piece)
    })
}

/// Adds the words of a text to `counts`: runs of letters and digits, in lower case.
pub(crate) fn count(text: &str, counts: &mut Counts) {
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        add(counts, &word.to_lowercase(), 1);
    }
}

pub(crate) fn add(counts: &mut Counts, word: &str, times: u64) {
    match counts.get_mut(word) {
        Some(count) => *count += times,
        None => drop(counts.insert(word.to_owned(), times)),
    }
}
