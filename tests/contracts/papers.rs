//! What the papers point at is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tollgate_config::Settings;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn papers() -> Vec<PathBuf> {
    let mut papers: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
            .map(|name| root().join(name))
            .into();
    for directory in ["docs", "docs/decisions"] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                papers.push(path);
            }
        }
    }
    papers
}

/// What stands between two marks, each time, on one line.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    let pieces = text.lines().flat_map(|line| line.split(open).skip(1));
    pieces.filter_map(|rest| Some(rest.split_once(close)?.0)).collect()
}

/// Files that a paper names as code: `proxy/src/decide.rs`, `config/examples/`.
fn named_files(text: &str) -> Vec<&str> {
    let is_path = |word: &&str| {
        let is_plain = !word.contains(['<', ' ', '{', '*', '$', ':']);
        let is_file = [".rs", ".md", ".yaml", ".toml", ".json"].iter().any(|e| word.ends_with(e));
        is_plain && word.contains('/') && !word.starts_with('/') && (is_file || word.ends_with('/'))
    };
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_path).collect()
}

#[test]
fn every_link_leads_to_a_file() {
    for paper in papers() {
        let text = fs::read_to_string(&paper).unwrap();
        for link in between(&text, "](", ")") {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let target = link.split('#').next().unwrap();
            let path = paper.parent().unwrap().join(target);
            assert!(path.exists(), "{} links to {link}", paper.display());
        }
    }
}

#[test]
fn every_file_that_is_named_exists() {
    // A decision tells of its day; files may have moved since.
    for paper in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/configuration.md"] {
        let text = fs::read_to_string(root().join(paper)).unwrap();
        for name in named_files(&text) {
            assert!(root().join(name).exists(), "{paper} names {name}");
        }
    }
}

#[test]
fn every_decision_is_in_the_index() {
    let index = fs::read_to_string(root().join("docs/decisions/README.md")).unwrap();
    let listed: BTreeSet<&str> = between(&index, "](", ")").into_iter().collect();

    for entry in fs::read_dir(root().join("docs/decisions")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || listed.contains(name.as_str()), "{name} is not listed");
    }
}

#[test]
fn every_variable_that_is_named_is_a_setting() {
    for paper in papers() {
        let text = fs::read_to_string(&paper).unwrap();
        let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let is_setting = |word: &&str| {
            let is_of_a_bench = word.starts_with("TOLLGATE_BENCH_");
            word.starts_with("TOLLGATE_") && word.len() > 9 && !is_of_a_bench
        };
        for name in words.filter(is_setting) {
            let environment = [(name.to_owned(), String::new())];
            let parsed = Settings::parse(None, environment);
            assert!(parsed.is_ok(), "{} names {name}: {}", paper.display(), parsed.unwrap_err());
        }
    }
}

#[test]
fn the_architecture_stays_within_two_pages() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();

    assert!(text.lines().count() <= 120, "a page has some 60 lines");
}
