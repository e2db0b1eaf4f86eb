//! `docs/JSON.md` against what the commands print: every field of every object, both ways, with its type.

mod common;
use common::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The fields of each object, by the heading they stand under: name and type.
type Schemas = BTreeMap<String, BTreeMap<String, String>>;

fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/JSON.md")).unwrap()
}

fn schemas(text: &str) -> Schemas {
    let mut all = Schemas::new();
    let mut heading = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            heading = name;
        } else if let Some(row) = line.strip_prefix("| `")
            && !heading.is_empty()
        {
            let (field, rest) = row.split_once("` | ").expect(line);
            let (kind, meaning) = rest.split_once(" | ").expect(line);
            assert!(!meaning.trim_matches([' ', '|']).is_empty(), "{line}");
            let twice = all.entry(heading.into()).or_default().insert(field.into(), kind.into());
            assert_eq!(twice, None, "{heading} has {field} twice");
        }
    }
    all
}

/// What is wrong with a value of this type; nothing if it is right. `met` gathers what was seen at work.
fn check(
    schemas: &Schemas,
    kind: &str,
    value: &Value,
    place: &str,
    met: &mut BTreeSet<String>,
) -> Vec<String> {
    let wrong = |what: &str| vec![format!("{place}: {what}, is {value}")];
    if let Some(kind) = kind.strip_suffix(" or null") {
        return if value.is_null() { Vec::new() } else { check(schemas, kind, value, place, met) };
    }
    if let Some(of) = kind.strip_prefix("array of ") {
        let Some(items) = value.as_array() else { return wrong("no array") };
        return items.iter().flat_map(|item| check(schemas, of, item, &format!("{place}[]"), met)).collect();
    }
    let right = match kind {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        object => {
            let Some(fields) = schemas.get(object) else {
                return wrong(&format!("{object} is not documented"));
            };
            let Some(found) = value.as_object() else { return wrong("no object") };
            met.insert(object.into());
            let unknown = found.keys().filter(|key| !fields.contains_key(*key));
            let mut all: Vec<_> = unknown.map(|key| format!("{place}.{key} is not documented")).collect();
            for (field, kind) in fields {
                let place = format!("{place}.{field}");
                match found.get(field) {
                    Some(value) => all.extend(check(schemas, kind, value, &place, met)),
                    None => all.push(format!("{place} is documented and not there")),
                }
            }
            return all;
        }
    };
    if right { Vec::new() } else { wrong(&format!("no {kind}")) }
}

/// What the command prints, of queues in as many states as it takes for every field to have a value once.
fn outputs(command: &str) -> Vec<Value> {
    let name = Name::new(&format!("json-{command}"));
    let slots = Name::new(&format!("json-{command}-slots"));
    let copy = Name::new(&format!("json-{command}-copy"));
    let other = copy.path().display().to_string();
    ok(&run(&["create", &slots.0, "--slots", "8", "--depth", "4"]));
    ok(&run_with(&["send", &name.0, "--create", "--no-finish", "--max-messages", "100"], &lines(20)));
    let mut tx = shmq::Producer::open(&name.0).unwrap();
    tx.set_origin([7; 16], 1000);
    tx.try_send_marked(b"the last line\n", *b"read up to here.").unwrap();
    drop(tx);
    let (pool, raw) = (Name::new(&format!("json-{command}-pool")), Name::new(&format!("json-{command}-raw")));
    let options = shmq_pool::Options::new();
    shmq_pool::Pool::create(&pool.0, 4, 4096, &options)
        .unwrap()
        .writer()
        .unwrap()
        .try_loan()
        .unwrap()
        .send(9)
        .unwrap();
    shmq_raw::Region::create(&raw.0, &shmq_raw::Options::new().bytes(5000)).unwrap();
    let receiver = Running::start(shmq(&["recv", &slots.0]));
    until("a receiver", || stat(&slots)["consumer"]["stalled_for_ns"].is_u64());
    let sets: &[&[&str]] = match command {
        "stat" => &[
            &["stat", &name.0, "--json"],
            &["stat", &slots.0, "--json", "--sample", "10ms"],
            &["stat", &pool.0, "--json"],
            &["stat", &raw.0, "--json"],
        ],
        "top" => &[&["top", &name.0, &slots.0, "no-such-queue", "--once", "--json", "--interval", "50ms"]],
        "ls" => &[&["ls", "--json"]],
        "dump" => &[&["dump", &name.0, "--json"], &["dump", &pool.0, "--json"], &["dump", &raw.0, "--json"]],
        "doctor" => &[&["doctor", &name.0, "--json"]],
        "drain" => &[
            &["drain", &name.0, "--json", "--keep", "15"],
            &["drain", &name.0, "--json"],
            &["drain", &pool.0, "--json"],
        ],
        "copy" => &[&["copy", &name.0, &other, "--json"]],
        "pipe" => &[&["pipe", &name.0, "--recv", "--json", "--", "cat"]],
        "demo" => &[&["demo", "--json", "--bytes", "1MiB", "--kills", "1"]],
        other => panic!("show here what `shmq {other} --json` prints"),
    };
    let lines = |args: &&[&str]| {
        let output = run(args);
        let text = if command == "pipe" { stderr(&output) } else { stdout(&output) };
        text.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect::<Vec<_>>()
    };
    let parse = |line: String| serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
    let all: Vec<_> = sets.iter().flat_map(lines).map(parse).collect();
    assert!(!all.is_empty(), "{command} printed no JSON");
    drop(receiver);
    all
}

/// The commands that have --json, as the program itself says.
fn commands() -> BTreeSet<String> {
    let help = stdout(&run(&["--help"]));
    let list = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let names = names.filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty());
    let with = |name: &&str| stdout(&run(&[*name, "--help"])).contains("--json");
    names.filter(with).map(str::to_owned).collect()
}

#[test]
fn every_object_is_documented_field_by_field() {
    let text = document();
    let schemas = schemas(&text);
    let index = text.split("\n## ").next().unwrap();
    let index: BTreeMap<_, _> = index
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix("` |")?.split_once("` | `"))
        .collect();
    assert_eq!(index.keys().map(|name| name.to_string()).collect::<BTreeSet<_>>(), commands());
    let mut met = BTreeSet::new();
    for (command, of_it) in index {
        let of_it: Vec<_> = of_it.split("`, `").collect();
        for output in outputs(command) {
            let schema = output["schema"].as_str().unwrap_or("none");
            assert!(of_it.contains(&schema), "{command} prints {schema}");
            let wrong = check(&schemas, schema, &output, command, &mut met);
            assert!(wrong.is_empty(), "{wrong:#?}");
        }
    }
    assert_eq!(met, schemas.keys().cloned().collect(), "every documented object was seen");
}

#[test]
fn the_comparison_itself_finds_what_is_wrong() {
    let schemas = schemas(
        "## x/1\n| `a` | integer | one |\n| `b` | string or null | two |\n| `c` | array of y | three |\n### y\n| `d` | boolean | four |\n",
    );
    let wrong = |value| check(&schemas, "x/1", &value, "x", &mut BTreeSet::new());
    use serde_json::json;
    assert_eq!(wrong(json!({"a": 1, "b": null, "c": [{"d": true}]})), [""; 0]);
    for (value, says) in [
        (json!({"a": 1, "b": null, "c": [], "e": 1}), "x.e is not documented"),
        (json!({"b": null, "c": []}), "x.a is documented and not there"),
        (json!({"a": -1, "b": null, "c": []}), "x.a: no integer"),
        (json!({"a": 1, "b": 2, "c": []}), "x.b: no string"),
        (json!({"a": 1, "b": "", "c": [{"d": 0}]}), "x.c[].d: no boolean"),
        (json!({"a": 1, "b": "", "c": [{}]}), "x.c[].d is documented and not there"),
        (json!([]), "x: no object"),
    ] {
        let wrong = wrong(value);
        assert!(wrong.len() == 1 && wrong[0].starts_with(says), "{wrong:?} does not say {says}");
    }
}
