//! Who may import whom: reads the `use` lines and paths of `src` and `transports`, and fails on a forbidden edge.
//!
//! The table below is the architecture, bottom to top. `message` knows nothing of ours; `zmtp` and `pattern` are
//! pure; `pipe` is plain data; only `driver` polls I/O; users hold what `socket` makes.

#![expect(clippy::unwrap_used, reason = "a file of the tree that cannot be read fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// A layer, and the layers of this crate that it may name. `error`, `options` and `event` are values that every
/// layer above `zmtp` may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("message", &[]),
    ("sync", &[]),
    ("pool", &["sync"]),
    ("zmtp", &["message"]),
    ("pipe", &["message", "zmtp", "error", "pool", "sync"]),
    ("pattern", &["message", "pipe", "zmtp", "options"]),
    ("error", &["message", "zmtp"]),
    ("options", &["message", "pipe", "zmtp", "pattern"]),
    ("event", &["message", "pipe", "zmtp", "error", "sync"]),
    ("driver", &["message", "pipe", "pool", "zmtp", "sync", "error", "options", "event"]),
    ("context", &["driver", "pipe", "pool", "sync"]),
    (
        "socket",
        &[
            "message", "pipe", "pool", "pattern", "zmtp", "driver", "context", "sync", "error", "options",
            "event",
        ],
    ),
    ("guide", &[]),
];

/// Foreign names that a layer must never use.
const MUST_NOT_NAME: &[(&str, &[&str])] = &[
    ("message", &["tokio", "std::io", "std::net"]),
    ("zmtp", &["tokio", "futures", "std::io", "std::net", "Mutex"]),
    (
        "pattern",
        &["tokio", "futures", "Waker", "Mutex", "Instant", "std::io", "ChunkQueue", "Outbox", "zmtp::engine"],
    ),
    ("pipe", &["tokio", "futures", "Mutex", "sync::Short", "Instant", "zmtp::engine", "Engine"]),
    ("driver", &["Core", "Composition"]),
    ("socket", &["tokio::io", "tokio::net"]),
];

/// The only one of its layer that has a lock.
const LOCKED: &str = "crate::pipe::inbox";

/// What of `pipe` a socket type may name: values, and none of its queues.
const KINDS_MAY_NAME: &[&str] = &["PipeId", "HighWater", "Offer"];

struct Source {
    path: PathBuf,
    layer: String,
    /// Its lines with comments and without tests.
    length: usize,
    lines: Vec<String>,
    /// Every path that it imports or spells from `crate`, `super` or `self`, in full.
    names: Vec<String>,
    /// Its own, as `crate::layer::module`.
    module: String,
}

impl Source {
    fn read(path: PathBuf, root: &Path) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let lines = without_tests(&text);
        let length = lines.len();
        let lines: Vec<_> = lines
            .into_iter()
            .filter(|line| !line.trim_start().starts_with("//"))
            .map(str::to_owned)
            .collect();
        let inside = path.strip_prefix(root).unwrap().with_extension("");
        let modules = inside.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod");
        let module = std::iter::once("crate").chain(modules).collect::<Vec<_>>().join("::");
        let layer = inside.iter().next().unwrap().to_string_lossy().into_owned();
        let names = named(&lines.join("\n"), &module);
        Self { path, layer, length, lines, names, module }
    }
}

/// Every source file below `root`, without its tests and comments.
fn sources(root: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && !matches!(&*name, "tests.rs" | "fake.rs") {
                sources.push(Source::read(path, &root));
            }
        }
    }
    assert!(sources.len() > 5, "no sources found");
    sources
}

/// The lines but those of items under `#[cfg(test)]`. Such an item ends where rustfmt puts its end: at a `;`, or at
/// a brace that stands as far in as the attribute.
fn without_tests(text: &str) -> Vec<&str> {
    let mut kept = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.strip_suffix("#[cfg(test)]") else {
            kept.push(line);
            continue;
        };
        let end = format!("{indent}}}");
        let mut in_block = false;
        for line in lines.by_ref() {
            if line == end || (!in_block && (line.ends_with(';') || line.ends_with('}'))) {
                break;
            }
            in_block |= line.ends_with('{');
        }
    }
    kept
}

/// The paths that the code of `module` imports, or spells from `crate`, `super` or `self`.
fn named(code: &str, module: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["use ", "crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':')) {
                continue;
            }
            let path = code[at..].strip_prefix("use ").unwrap_or_else(|| &code[at..]);
            follow(path, Vec::new(), module, &mut found);
        }
    }
    found
}

/// Follows a path, or a tree of them in braces, to all its ends. Returns what comes after.
fn follow<'a>(
    mut rest: &'a str,
    mut path: Vec<&'a str>,
    module: &'a str,
    found: &mut Vec<String>,
) -> &'a str {
    loop {
        rest = rest.trim_start();
        if let Some(mut list) = rest.strip_prefix('{') {
            loop {
                let after = follow(list, path.clone(), module, found);
                // Past an `as name` too.
                let end = after.find([',', '}']).unwrap_or(after.len());
                list = match after[end..].strip_prefix(',') {
                    Some(next) if !next.trim_start().starts_with('}') => next,
                    Some(next) => return &next.trim_start()[1..],
                    None => return after.get(end + 1..).unwrap_or_default(),
                };
            }
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        match &rest[..end] {
            "super" => {
                if path.is_empty() {
                    path = module.split("::").collect();
                }
                path.pop();
            }
            "self" if path.is_empty() => path = module.split("::").collect(),
            "self" | "" => {}
            name => path.push(name),
        }
        rest = &rest[end..];
        let Some(next) = rest.strip_prefix("::") else {
            found.push(path.join("::"));
            return rest;
        };
        rest = next;
    }
}

/// The layer of this crate that a path leads to.
fn layer(path: &str) -> Option<&str> {
    path.strip_prefix("crate::")?.split("::").next()
}

#[test]
fn every_spelling_of_a_path_is_seen() {
    let code = "
use crate::{driver, pipe::{self, Table as T, queue::*}, };
use super::super::socket::{
    core::Core,
};
#[cfg(test)]
mod fake;
use std::{io, fmt};
    #[cfg(test)]
    fn hidden() {
        crate::hidden();
    }
fn f(x: super::Lane) { self::g::<crate::event::Event>(x) }
#[cfg(test)]
mod tests {
    use crate::hidden;
}";
    let mut names = named(&without_tests(code).join("\n"), "crate::zmtp::engine");
    names.sort();
    names.dedup();
    let expected = [
        "crate::driver",
        "crate::event::Event",
        "crate::pipe",
        "crate::pipe::Table",
        "crate::pipe::queue",
        "crate::socket::core::Core",
        "crate::zmtp::Lane",
        "crate::zmtp::engine::g",
        "std::fmt",
        "std::io",
    ];
    assert_eq!(names, expected);
}

#[test]
fn no_layer_names_one_above_it() {
    let mut wrong = Vec::new();
    for source in
        sources("src").iter().filter(|source| !matches!(&*source.layer, "lib" | "internals" | "fuzzing"))
    {
        let (_, allowed) = MAY_NAME
            .iter()
            .find(|(layer, _)| *layer == source.layer)
            .unwrap_or_else(|| panic!("{} is in no layer of the table", source.path.display()));
        for name in &source.names {
            // What the crate's root re-exports has a layer too, and is to be named there.
            let Some(layer) = layer(name).filter(|layer| *layer != source.layer) else { continue };
            if !allowed.contains(&layer) {
                wrong.push(format!("{}: {} must not name {name}", source.path.display(), source.layer));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_layers_name_no_runtime_and_no_io() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        let forbidden = MUST_NOT_NAME.iter().filter(|(layer, _)| *layer == source.layer);
        let forbidden = forbidden.flat_map(|(_, names)| *names);
        for name in forbidden.filter(|name| **name != "sync::Short" || source.module != LOCKED) {
            if let Some(line) = source.lines.iter().chain(&source.names).find(|line| line.contains(name)) {
                wrong.push(format!(
                    "{}: {} names {name}: {}",
                    source.path.display(),
                    source.layer,
                    line.trim()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn socket_kinds_name_neither_each_other_nor_what_is_below_the_socket() {
    const KINDS: &str = "crate::socket::kinds::";
    let sources = sources("src");
    let kinds: Vec<_> = sources.iter().filter(|source| source.module.starts_with(KINDS)).collect();
    assert!(kinds.len() > 5, "no socket types found");
    for source in &kinds {
        for name in &source.names {
            let whole = format!("{name}::");
            let is = |other: &str| whole.starts_with(&format!("{other}::"));
            let sibling = kinds.iter().any(|other| other.module != source.module && is(&other.module));
            let inside = layer(name) == Some("pipe")
                && !KINDS_MAY_NAME.iter().any(|value| is(&format!("crate::pipe::{value}")));
            assert!(!sibling && !inside && !is("crate::driver"), "{} names {name}", source.module);
        }
    }
}

#[test]
fn transports_know_neither_each_other_nor_the_sockets() {
    const SHARED: &[&str] = &[
        "lib",
        "address",
        "datagrams",
        "eager",
        "endpoint",
        "interface",
        "options",
        "resolve",
        "trust",
        "contract",
    ];
    let files = sources("transports");
    let schemes: Vec<_> =
        files.iter().map(|source| &*source.layer).filter(|name| !SHARED.contains(name)).collect();
    for source in &files {
        for line in &source.lines {
            assert!(!line.contains("zocket::"), "{}: {line}", source.path.display());
        }
        if !SHARED.contains(&&*source.layer) {
            let mut layers = source.names.iter().filter_map(|name| layer(name));
            let sibling = layers.find(|name| schemes.contains(name) && *name != source.layer);
            assert_eq!(sibling, None, "{} names a sibling", source.path.display());
        }
    }
}

#[test]
fn files_stay_readable_in_one_sitting() {
    for source in sources("src").iter().chain(&sources("transports")) {
        let lines = source.length;
        assert!(lines <= 500, "{} has {lines} lines", source.path.display());
    }
}
