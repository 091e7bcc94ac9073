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
    ("zmtp", &["message"]),
    ("pipe", &["message", "zmtp", "error"]),
    ("pattern", &["message", "pipe", "zmtp", "options"]),
    ("error", &["message", "zmtp"]),
    ("options", &["message", "pipe", "zmtp", "pattern"]),
    ("event", &["message", "pipe", "zmtp", "error", "sync"]),
    ("driver", &["message", "pipe", "zmtp", "sync", "error", "options", "event"]),
    ("context", &["driver", "pipe", "sync"]),
    (
        "socket",
        &["message", "pipe", "pattern", "zmtp", "driver", "context", "sync", "error", "options", "event"],
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
    ("pipe", &["tokio", "futures", "Mutex", "Instant", "zmtp::engine", "Engine"]),
    ("driver", &["Core", "Composition"]),
    ("socket", &["tokio::io", "tokio::net"]),
];

struct Source {
    path: PathBuf,
    layer: String,
    lines: Vec<String>,
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
                let text = fs::read_to_string(&path).unwrap();
                let layer = path.strip_prefix(&root).unwrap().components().next().unwrap();
                let layer = layer.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
                let code = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
                let lines =
                    code.filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect();
                sources.push(Source { path, layer, lines });
            }
        }
    }
    assert!(sources.len() > 5, "no sources found");
    sources
}

/// The layers that a line names as `crate::layer` or `crate::{layer, ..}`.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").map(|(at, prefix)| {
        let rest = &line[at + prefix.len()..];
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
    })
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
        for line in &source.lines {
            for layer in
                named(line).filter(|layer| *layer != source.layer && MAY_NAME.iter().any(|(l, _)| l == layer))
            {
                if !allowed.contains(&layer) {
                    wrong.push(format!("{}: {} must not name {layer}", source.path.display(), source.layer));
                }
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
        for name in forbidden.flat_map(|(_, names)| *names) {
            if let Some(line) = source.lines.iter().find(|line| line.contains(name)) {
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
fn socket_kinds_do_not_name_each_other() {
    let kinds = sources("src/socket/kinds");
    let names: Vec<_> =
        kinds.iter().map(|source| source.layer.clone()).filter(|name| name != "mod").collect();
    for source in kinds.iter().filter(|source| source.layer != "mod") {
        for other in names.iter().filter(|name| **name != source.layer) {
            let path = format!("kinds::{other}");
            assert!(!source.lines.iter().any(|line| line.contains(&path)), "{} names {path}", source.layer);
        }
    }
}

#[test]
fn transports_know_neither_each_other_nor_the_sockets() {
    const SHARED: &[&str] = &["lib", "endpoint", "options", "contract"];
    let files = sources("transports");
    let schemes: Vec<_> =
        files.iter().map(|source| &*source.layer).filter(|name| !SHARED.contains(name)).collect();
    for source in &files {
        for line in &source.lines {
            assert!(!line.contains("zocket::"), "{}: {line}", source.path.display());
            if !SHARED.contains(&&*source.layer) {
                let sibling = named(line).find(|name| schemes.contains(name) && *name != source.layer);
                assert_eq!(sibling, None, "{} names a sibling", source.path.display());
            }
        }
    }
}

#[test]
fn files_stay_readable_in_one_sitting() {
    for source in sources("src").iter().chain(&sources("transports")) {
        let lines = fs::read_to_string(&source.path).unwrap();
        let lines = lines.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        assert!(lines <= 500, "{} has {lines} lines", source.path.display());
    }
}
