//! `docs/OPERATIONS.md` says what the code does: every error, every metric, every event, and sizes that suffice.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The cells of all rows of the table with this header.
fn table<'a>(text: &'a str, header: &str) -> Vec<Vec<&'a str>> {
    let rows = text.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let rows: Vec<Vec<_>> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "no table {header:?}");
    rows
}

/// Every `Enum::Variant` of the library's errors: as the source lists them.
fn variants() -> Vec<String> {
    let source = read("crates/shmq-core/src/error.rs");
    let list = source.split("\nerrors! {").nth(1).expect("the list").split("\n}\n").next().expect("its end");
    let mut name = "";
    let mut all = Vec::new();
    for line in list.lines() {
        let text = line.trim_start();
        let word = text.split([' ', '{']).next().unwrap_or("");
        match line.len() - text.len() {
            4 if word.ends_with("Error") => name = word,
            8 if word.starts_with(char::is_uppercase) => all.push(format!("{name}::{word}")),
            _ => {}
        }
    }
    all
}

#[test]
fn every_error_of_the_library_is_explained() {
    let operations = read("docs/OPERATIONS.md");
    let variants = variants();
    assert!(variants.len() > 40 && variants.contains(&"RecvError::ProducerLost".into()), "{variants:?}");
    let explained: Vec<_> =
        table(&operations, "| error |").iter().flat_map(|row| row[0].split(", ")).collect();
    let explained: Vec<_> = explained.iter().map(|name| name.trim_matches('`')).collect();
    for variant in &variants {
        assert!(explained.contains(&&variant[..]), "docs/OPERATIONS.md does not explain {variant}");
    }
    for name in explained {
        assert!(variants.iter().any(|variant| variant == name), "there is no {name}");
    }
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            into.push(path);
        }
    }
}

/// The sentences with which the command fails, and its notes: what is given to `Failure` and `say` as a literal, with …
/// for what is filled in.
fn sentences(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or("");
    let mut all = Vec::new();
    for (call, before, after) in [
        ("Failure::new(", "", ""),
        ("Failure::usage(", "", ""),
        ("Failure::io(", "cannot ", ": …"),
        ("say(", "", ""),
    ] {
        for rest in code.split(call).skip(1) {
            let rest = rest.trim_start().trim_start_matches('&');
            let rest =
                ["format!(", "format_args!("].iter().find_map(|f| rest.strip_prefix(f)).unwrap_or(rest);
            let Some(literal) = rest.trim_start().strip_prefix('"') else { continue };
            all.push(format!("{before}{}{after}", filled_in(literal)));
        }
    }
    all
}

/// A string literal up to its end, as it is shown.
fn filled_in(literal: &str) -> String {
    let mut shown = String::new();
    let mut letters = literal.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => match letters.next() {
                // Goes on at the next line's first letter.
                Some('\n') => while letters.next_if(|c| c.is_whitespace()).is_some() {},
                Some('n') => shown.push(' '),
                Some(other) => shown.push(other),
                None => {}
            },
            '{' => {
                shown.push('…');
                for inside in letters.by_ref() {
                    if inside == '}' {
                        break;
                    }
                }
            }
            other => shown.push(other),
        }
    }
    shown
}

/// Without what the document may leave to the reader: what stands in quotes of a shell, and what is filled in.
fn bare(text: &str) -> String {
    let outside: Vec<_> = text.split('`').step_by(2).collect();
    let joined = outside.join("…");
    let mut words = joined.split('…').map(str::trim).collect::<Vec<_>>();
    words.retain(|word| !word.is_empty());
    words.join("…")
}

#[test]
fn every_sentence_of_the_command_is_explained() {
    let operations = read("docs/OPERATIONS.md");
    let mut files = Vec::new();
    for folder in ["crates/shmq-cli/src", "crates/shmq-tool/src"] {
        sources(&root().join(folder), &mut files);
    }
    let said: Vec<_> =
        files.iter().flat_map(|file| sentences(&std::fs::read_to_string(file).unwrap())).collect();
    assert!(said.len() > 25, "{said:?}");
    let rows = table(&operations, "| says |");
    let explained: Vec<_> = rows
        .iter()
        .flat_map(|row| row[0].split("`, `"))
        .map(|text| text.trim_matches(['`', ' ']).to_owned())
        .map(|text| bare(&text))
        .collect();
    let missing: Vec<_> = said.iter().filter(|text| !explained.contains(&bare(text))).collect();
    assert!(missing.is_empty(), "docs/OPERATIONS.md does not explain {missing:#?}; it has {explained:#?}");
}

#[test]
fn the_documented_metrics_and_events_are_those_there_are() {
    let operations = read("docs/OPERATIONS.md");
    let rows = table(&operations, "| metric |");
    let documented: Vec<_> = rows.iter().map(|row| row.join(" | ")).collect();
    let real = shmq::METRICS.iter().chain(shmq_pool::METRICS).map(|metric| {
        let kind = format!("{:?}", metric.kind).to_lowercase();
        format!("`{}` | {kind} | {}", metric.name, metric.help)
    });
    assert_eq!(documented, real.collect::<Vec<_>>());
    let source = read("crates/shmq-core/src/observe.rs");
    let listed: Vec<_> = source.lines().filter_map(|line| line.strip_prefix("//! | `")).collect();
    let rows: Vec<_> = table(&operations, "| event |").iter().map(|row| row.join(" | ")).collect();
    let listed: Vec<_> = listed.iter().map(|row| format!("`{}", row.trim_end_matches(" |"))).collect();
    assert_eq!(rows, listed);
    // And the list is of what the code tells.
    let told: Vec<_> = source.split("tell!(").skip(1).filter_map(|call| call.split('"').nth(1)).collect();
    assert!(told.len() >= 10);
    for event in told {
        assert!(rows.iter().any(|row| row.starts_with(&format!("`{event}`"))), "{event} is not documented");
    }
}

#[test]
fn the_worked_sizes_suffice() {
    let operations = read("docs/OPERATIONS.md");
    for row in table(&operations, "| rate, 1/s |") {
        let number = |i: usize| row[i].parse::<u64>().unwrap_or_else(|e| panic!("{row:?}: {e}"));
        let messages = number(0) * number(1) / 1000;
        let up = |bytes: u64| bytes.next_multiple_of(8);
        let option = row[6].split(' ').nth(1).expect("an option and its value");
        if row[4] == "slots" {
            assert_eq!((number(5), option), (messages, row[5]), "{row:?}");
            let name = format!("shmq-sizing-{}-{}", number(2), std::process::id());
            let queue =
                shmq::slots::Queue::<[u8]>::create_bytes(&name, number(2), messages, &Default::default());
            let queue = queue.unwrap();
            let mut tx = queue.producer().unwrap();
            let message = vec![1; number(2) as usize];
            let sent = (0..=messages).take_while(|_| tx.try_send(&message).is_ok()).count();
            drop(tx);
            queue.remove().unwrap();
            assert_eq!(sent as u64, messages, "{row:?}");
            continue;
        }
        let needed = messages * (8 + up(number(2))) + 16 + up(number(3));
        let capacity = needed.next_power_of_two().max((2 * (number(3) + 16)).next_power_of_two());
        assert_eq!((number(5), option), (needed, &capacity.to_string()[..]), "{row:?}");
        // One lap first, so that the end of the ring is in the middle of it.
        let options = shmq::Options::new().capacity(capacity).max_message(number(3));
        let (mut tx, mut rx) = shmq::pair(&options).unwrap();
        let message = vec![1; number(2) as usize];
        let largest = vec![1; number(3) as usize];
        for _ in 0..3 {
            tx.try_send(&largest).unwrap();
            rx.try_recv().unwrap();
        }
        let sent = (0..messages).take_while(|_| tx.try_send(&message).is_ok()).count();
        assert_eq!(sent as u64, messages, "{row:?}");
    }
}
