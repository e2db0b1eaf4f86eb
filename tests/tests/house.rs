//! Dependence runs one way: read from the imports of every crate's sources.
//!
//! A module is a file. It depends on what it imports and on what its code names by path. A `pub use` alone is no dependence: it
//! hands on. What goes through such a name depends on where the thing itself lives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::Visit;

type Name = Vec<String>;

/// What one file says.
#[derive(Default)]
struct Module {
    /// Modules declared in it.
    children: BTreeSet<String>,
    /// Names it hands on, and what they are short for.
    exports: BTreeMap<String, Name>,
    /// Names it imports for itself.
    imports: BTreeMap<String, Name>,
    /// Globs among its imports.
    globs: Vec<Name>,
    /// Paths that its code names.
    mentions: BTreeSet<Name>,
}

/// Collects the paths of a file's code, but for its tests'.
struct Reader<'a> {
    module: &'a mut Module,
}

fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let condition = quoted(&attr.meta);
        attr.path().is_ident("cfg") && (condition == "test" || condition.starts_with("all (test ,"))
    })
}

fn quoted(meta: &syn::Meta) -> String {
    match meta {
        syn::Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) {
            return;
        }
        if item.content.is_none() {
            self.module.children.insert(item.ident.to_string());
        } else {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let handed_on = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&item.tree, &mut Vec::new(), handed_on);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    /// Whom a thing is shown to: no dependence on them.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let path_names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.module.mentions.insert(path_names);
        syn::visit::visit_path(self, path);
    }
}

impl Reader<'_> {
    fn tree(&mut self, tree: &syn::UseTree, prefix: &mut Name, handed_on: bool) {
        let mut name = |alias: String, path: Name| {
            let into = if handed_on { &mut self.module.exports } else { &mut self.module.imports };
            into.insert(alias, path);
        };
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.tree(&path.tree, prefix, handed_on);
                prefix.pop();
            }
            syn::UseTree::Name(last) if last.ident == "self" => {
                name(prefix.last().expect("self of something").clone(), prefix.clone());
            }
            syn::UseTree::Name(last) => {
                let last = last.ident.to_string();
                name(last.clone(), [prefix.as_slice(), &[last]].concat());
            }
            syn::UseTree::Rename(last) => {
                name(last.rename.to_string(), [prefix.as_slice(), &[last.ident.to_string()]].concat());
            }
            syn::UseTree::Glob(_) if handed_on => {}
            syn::UseTree::Glob(_) => self.module.globs.push(prefix.clone()),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, prefix, handed_on);
                }
            }
        }
    }
}

/// All modules of a crate, by their path from its root.
#[derive(Default)]
struct Crate {
    modules: BTreeMap<Name, Module>,
}

impl Crate {
    /// Reads a crate from its root file on.
    fn read(root: &Path) -> Self {
        let mut it = Self::default();
        it.read_file(root, &[], root.parent().expect("a folder"));
        it
    }

    fn read_file(&mut self, file: &Path, name: &[String], folder: &Path) {
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.add(name, &text);
        for child in self.modules[name].children.clone() {
            let own = [name, std::slice::from_ref(&child)].concat();
            let flat = folder.join(&child).with_extension("rs");
            let file = if flat.exists() { flat } else { folder.join(&child).join("mod.rs") };
            self.read_file(&file, &own, &folder.join(&child));
        }
    }

    fn add(&mut self, name: &[String], text: &str) {
        let parsed = syn::parse_file(text).unwrap_or_else(|e| panic!("{name:?}: {e}"));
        let mut module = Module::default();
        Reader { module: &mut module }.visit_file(&parsed);
        self.modules.insert(name.to_vec(), module);
    }

    /// A path as one module writes it, from the crate's root; `None` if it leads out of the crate.
    fn absolute(&self, from: &[String], path: &[String]) -> Option<Name> {
        let first = path.first()?.as_str();
        match first {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([from, &path[1..]].concat()),
            "super" => self
                .absolute(&from[..from.len().checked_sub(1)?], &[&["self".to_owned()], &path[1..]].concat()),
            _ if self.modules[from].children.contains(first) => Some([from, path].concat()),
            _ => None,
        }
    }

    /// The module in which the thing of this path lives.
    fn home(&self, path: &[String], depth: usize) -> Option<Name> {
        assert!(depth < 20, "names in a circle at {path:?}");
        let mut at: Name = Vec::new();
        for (i, part) in path.iter().enumerate() {
            let module = &self.modules[&at];
            if module.children.contains(part) {
                at.push(part.clone());
            } else if part == "super" {
                at.pop();
            } else if let Some(target) = module.exports.get(part) {
                let target = self.absolute(&at, target)?;
                return self.home(&[&target, &path[i + 1..]].concat(), depth + 1);
            } else {
                break;
            }
        }
        Some(at)
    }

    /// What each module depends on.
    fn edges(&self) -> BTreeMap<Name, BTreeSet<Name>> {
        let mut all = BTreeMap::new();
        for (name, module) in &self.modules {
            let mut edges = BTreeSet::new();
            let named = module.mentions.iter().filter_map(|path| {
                let alias = module.exports.get(&path[0]);
                alias.map_or_else(
                    || Some(path.clone()),
                    |target| Some([target.as_slice(), &path[1..]].concat()),
                )
            });
            for path in module.imports.values().chain(&module.globs).cloned().chain(named) {
                if let Some(home) = self.absolute(name, &path).and_then(|path| self.home(&path, 0)) {
                    edges.insert(home);
                }
            }
            edges.remove(name);
            all.insert(name.clone(), edges);
        }
        all
    }

    /// A circle of modules, if there is one.
    fn circle(&self) -> Option<String> {
        let edges = self.edges();
        let mut done = BTreeSet::new();
        for start in edges.keys() {
            if let Some(circle) = walk(&edges, start, &mut Vec::new(), &mut done) {
                let shown = |name: &Name| format!("crate::{}", name.join("::"));
                return Some(circle.iter().map(shown).collect::<Vec<_>>().join(" -> "));
            }
        }
        None
    }
}

fn walk(
    edges: &BTreeMap<Name, BTreeSet<Name>>,
    at: &Name,
    path: &mut Vec<Name>,
    done: &mut BTreeSet<Name>,
) -> Option<Vec<Name>> {
    if let Some(begin) = path.iter().position(|name| name == at) {
        return Some([&path[begin..], std::slice::from_ref(at)].concat());
    }
    if done.contains(at) {
        return None;
    }
    path.push(at.clone());
    let found = edges[at].iter().find_map(|next| walk(edges, next, path, done));
    path.pop();
    done.insert(at.clone());
    found
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Root files of the crates whose modules form no circle.
const ROOTS: &[&str] = &[
    "crates/shmq-core/src/lib.rs",
    "crates/shmq/src/lib.rs",
    "crates/shmq-raw/src/lib.rs",
    "crates/shmq-pool/src/lib.rs",
    "crates/shmq-async/src/lib.rs",
    "crates/shmq-tool/src/lib.rs",
    "crates/shmq-cli/src/main.rs",
    "crates/shmq-lab/src/main.rs",
    "benches/src/lib.rs",
];

#[test]
fn no_modules_form_a_circle() {
    let circles: Vec<_> = ROOTS
        .iter()
        .filter_map(|root| Some(format!("{root}: {}", Crate::read(&top().join(root)).circle()?)))
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn modules_of_the_engine_know_only_what_stands_above_them() {
    let root = top().join("crates/shmq-core/src/lib.rs");
    let text = std::fs::read_to_string(&root).expect("a source");
    let order: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split_once('`').map(|(name, _)| name.to_owned()))
        .collect();
    let engine = Crate::read(&root);
    let children: BTreeSet<_> =
        engine.modules[&Vec::new()].children.iter().filter(|c| *c != "macros").cloned().collect();
    assert_eq!(order.iter().cloned().collect::<BTreeSet<_>>(), children, "the table of modules in lib.rs");
    let rank = |name: &Name| order.iter().position(|o| name.first() == Some(o));
    for (from, to) in engine.edges() {
        for to in to {
            if let (Some(a), Some(b)) = (rank(&from), rank(&to)) {
                assert!(b <= a, "{from:?} knows {to:?}, which stands below it");
            }
        }
    }
}

/// Which of this project's crates each may link.
const CRATES: &[(&str, &[&str])] = &[
    ("shmq-core", &[]),
    ("shmq", &["shmq-core"]),
    ("shmq-raw", &["shmq", "shmq-core"]),
    ("shmq-pool", &["shmq", "shmq-core"]),
    ("shmq-async", &["shmq", "shmq-pool"]),
    ("shmq-tool", &["shmq", "shmq-core"]),
    ("shmq-cli", &["shmq", "shmq-pool", "shmq-raw", "shmq-tool"]),
    ("shmq-lab", &["shmq", "shmq-core", "shmq-benches", "shmq-pool", "shmq-raw", "shmq-tool"]),
];

#[test]
fn crates_depend_one_way() {
    let folders: BTreeSet<_> = std::fs::read_dir(top().join("crates"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    assert_eq!(folders, CRATES.iter().map(|(name, _)| (*name).to_owned()).collect(), "the list of crates");
    for (name, may) in CRATES {
        let manifest =
            std::fs::read_to_string(top().join("crates").join(name).join("Cargo.toml")).expect("a manifest");
        let section = manifest.split("\n[dependencies]").nth(1).unwrap_or("");
        let section = section.split("\n[").next().unwrap_or("");
        let linked = section
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|d| d.starts_with("shmq"));
        for dependency in linked {
            assert!(may.contains(&dependency), "{name} must not link {dependency}");
        }
    }
}

/// What is used by tests alone is built for them alone, so the compiler sees what nobody uses.
#[test]
fn no_library_turns_off_the_lint_for_dead_code() {
    for root in ROOTS {
        let text = std::fs::read_to_string(top().join(root)).expect("a source");
        assert!(!text.contains("dead_code") && !text.contains("#![allow("), "{root}");
    }
}

#[test]
fn control_a_planted_circle_is_found() {
    let planted = |files: &[(&str, &str)]| {
        let mut it = Crate::default();
        for (name, text) in files {
            let name: Name = name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            it.add(&name, text);
        }
        it.circle()
    };
    let root = ("", "mod a; mod b; pub use b::B;");
    let found =
        planted(&[root, ("a", "use crate::b::B; pub struct A;"), ("b", "use crate::a::A; pub struct B;")]);
    assert_eq!(found.as_deref(), Some("crate::a -> crate::b -> crate::a"));
    // By a path in the code, and through a name that the root hands on.
    let found = planted(&[root, ("a", "pub fn a() { crate::B; }"), ("b", "use super::a; pub struct B;")]);
    assert_eq!(found.as_deref(), Some("crate::a -> crate::b -> crate::a"));
    // Handing on is no dependence, and neither is what tests import, or to whom a thing is shown.
    for condition in ["test", "all(test, feature = \"x\")"] {
        let tests = format!("#[cfg({condition})] mod tests {{ use crate::b::B; }}");
        assert_eq!(planted(&[root, ("a", &tests), ("b", "use crate::a; pub struct B;")]), None);
    }
    let shown = "pub(super) fn a() {}";
    assert_eq!(planted(&[("", "mod a; fn b() { a::a() }"), ("a", shown)]), None);
    let parent = ("", "mod a; pub use a::A; pub struct Common;");
    assert_eq!(planted(&[parent, ("a", "use super::Common; pub struct A;")]), None);
    let both = ("", "mod a; pub use a::A; pub struct Common(A);");
    assert_eq!(
        planted(&[both, ("a", "use super::Common; pub struct A;")]).as_deref(),
        Some("crate:: -> crate::a -> crate::")
    );
}
