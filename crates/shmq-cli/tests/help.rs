//! The help fits a terminal, and is wrapped once.

mod common;
use common::*;

fn commands() -> Vec<String> {
    let help = stdout(&run(&["--help"]));
    let list = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let names = list.map_while(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    names.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

fn help(args: &[&str], width: usize) -> String {
    let mut command = shmq(args);
    command.env("COLUMNS", width.to_string());
    let output = Running::start(command).finish();
    ok(&output);
    stdout(&output)
}

#[test]
fn every_help_fits_the_terminal_and_no_paragraph_is_ragged() {
    let commands = commands();
    assert!(commands.len() >= 15, "{commands:?}");
    for width in [80, 100] {
        for command in commands.iter().filter(|name| *name != "help") {
            for how in ["-h", "--help"] {
                let text = help(&[command, how], width);
                let lines: Vec<&str> = text.lines().collect();
                for line in &lines {
                    assert!(line.chars().count() <= width, "{command} {how} at {width}: {line:?}");
                }
                // Of a paragraph that was wrapped once, no line has room for the next one's first word.
                for pair in lines.windows(2) {
                    let prose = |line: &str| {
                        line.starts_with(|c: char| !c.is_whitespace() && c != '-') && !line.ends_with(':')
                    };
                    let Some(word) = pair[1].split(' ').next().filter(|_| prose(pair[0]) && prose(pair[1]))
                    else {
                        continue;
                    };
                    let long = pair[0].chars().count() + 1 + word.chars().count();
                    assert!(long > width, "{command} {how} at {width} is ragged: {pair:?}");
                }
                // An example that is wrapped cannot be copied.
                let examples = lines.iter().skip_while(|line| **line != "Examples:").skip(1);
                for line in examples.take_while(|line| !line.is_empty()) {
                    assert!(
                        ["shmq ", "seq ", "tail ", "watch ", "mv "]
                            .iter()
                            .any(|start| line.trim_start().starts_with(start)),
                        "{command} {how} at {width}: {line:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn help_is_a_command_too() {
    assert!(commands().contains(&"help".into()));
    assert!(help(&["help"], 100).contains("Exit codes:"));
    assert_eq!(help(&["help", "recv"], 100), help(&["recv", "--help"], 100));
    fails(&run(&["help", "no-such-command"]), 2, "no-such-command");
}
